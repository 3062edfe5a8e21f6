"""Refunds: into the very lots, never too much, never cash, and no value that lives longer for it."""

from datetime import timedelta

import pytest

from ledger.chart import Kind
from ledger.instructions import BonusBack, Destination, Draw
from ledger.refusals import (
    FlowOff,
    InstructionInvalid,
    MerchantFundsShort,
    NotFound,
    NothingToMove,
    RefundExceedsPayment,
)
from tests.ledger.ledger_factories import (
    BAKERY,
    GREENGROCER,
    HANAKO,
    MONTH_END,
    NEXT_MONTH_END,
    TARO,
    TODAY,
    TWO_PEOPLE,
    MemoryBook,
    bonus,
    book_with,
    expire,
    expired,
    fund,
    gift,
    grant,
    instruction,
    lot,
    pay,
    payout,
    person,
    pot,
    receivable,
    refund,
    reserve,
    settle,
    takings,
    top_up,
    undo,
    yen,
)

DAY = timedelta(days=1)


def paid(amount: int = 1000, **terms) -> tuple[MemoryBook, object]:
    """A book in which Hanako has paid the bakery all she had."""
    payment = pay(HANAKO, BAKERY, amount)
    return book_with(top_up(HANAKO, amount), payment, programmes=(yen(**terms), grant())), payment


def test_a_refund_goes_back_into_the_lots_it_came_from_in_reverse():
    payment = pay(HANAKO, BAKERY, 250)
    book = book_with(
        top_up(HANAKO, 100, expires_on=MONTH_END),
        top_up(HANAKO, 100, expires_on=NEXT_MONTH_END),
        top_up(HANAKO, 100),
        payment,
    )
    entry = book.post(refund(payment, 120))
    assert [(one.credit, one.amount) for one in entry.transfers] == [
        (lot(), 50),
        (lot(expires_on=NEXT_MONTH_END), 70),
    ]
    book.post(refund(payment, 130))
    assert book.balance(lot(expires_on=MONTH_END)) == 100
    assert book.balance(takings()) == 0


def test_D01_refunds_together_never_exceed_the_payment():
    book, payment = paid(1000)
    book.post(refund(payment, 600))
    with pytest.raises(RefundExceedsPayment) as refused:
        book.post(refund(payment, 401))
    assert refused.value.left == 400
    book.post(refund(payment, 400))
    with pytest.raises(RefundExceedsPayment) as refused:
        book.post(refund(payment, 1))
    assert refused.value.left == 0


def test_D01_parts_in_one_batch_or_one_entry_never_exceed_the_payment_either():
    book, payment = paid(1000)
    plan = book.ask_batch(*((refund(payment, 300),) for _ in range(5)))
    assert [getattr(outcomes[0], "code", "booked") for outcomes in plan.outcomes] == ["booked"] * 3 + [
        "refund_exceeds_payment"
    ] * 2
    book, payment = paid(1000)
    part = refund(payment, 600).moves[0]
    assert book.ask(instruction(part, part)).code == "refund_exceeds_payment"
    assert book.balance(lot()) == 0


def test_D01_the_takings_of_others_do_not_make_a_refund_larger():
    book, payment = paid(1000)
    book.post(top_up(TARO, 5000))
    book.post(pay(TARO, BAKERY, 5000))
    with pytest.raises(RefundExceedsPayment):
        book.post(refund(payment, 1001))


def test_D02_after_settlement_the_merchant_owes_up_to_his_ceiling_and_nobody_gets_cash():
    book, payment = paid(1000, receivable_max=700)
    book.post(settle())
    cash = book.balance(reserve())
    with pytest.raises(MerchantFundsShort):
        book.post(refund(payment, 701))
    book.post(refund(payment, 700))
    assert book.balance(receivable()) == 700
    assert book.balance(lot()) == 700
    assert book.balance(reserve()) == cash
    assert book.balance(payout()) == 1000
    with pytest.raises(MerchantFundsShort):
        book.post(refund(payment, 1))


def test_D02_takings_cover_what_they_can_and_only_the_rest_is_owed():
    book, payment = paid(1000, receivable_max=1000)
    book.post(settle(amount=800))
    entry = book.post(refund(payment, 900))
    assert [(one.flow, one.amount) for one in entry.transfers] == [("refund", 200), ("refund_advance", 700)]


def test_D02_what_is_refused_says_how_much_takings_and_ceiling_would_cover():
    book, payment = paid(1000, receivable_max=100)
    book.post(settle(amount=700))
    with pytest.raises(MerchantFundsShort) as refused:
        book.post(refund(payment, 500))
    assert refused.value.available == 400


def test_D02_what_is_owed_is_recovered_first_in_the_next_settlement():
    book, payment = paid(1000, receivable_max=1000)
    book.post(settle())
    book.post(refund(payment, 600))
    book.post(pay(HANAKO, BAKERY, 600))
    book.post(top_up(TARO, 900))
    book.post(pay(TARO, BAKERY, 900))
    entry = book.post(settle())
    assert [(one.flow, one.amount) for one in entry.transfers] == [("recover", 600), ("settle", 900)]
    assert book.balance(receivable()) == 0


def test_D02_with_advances_switched_off_takings_must_cover_all():
    book, payment = paid(1000, receivable_max=1000, without=("refund_advance",))
    book.post(settle(amount=400))
    with pytest.raises(MerchantFundsShort) as refused:
        book.post(refund(payment, 601))
    assert refused.value.available == 600
    book.post(refund(payment, 600))


@pytest.mark.parametrize("is_settled", [False, True])
def test_refunds_that_are_switched_off_are_refused_by_takings_and_by_advance(is_settled):
    book, payment = paid(1000, without=("refund",), receivable_max=1000)
    if is_settled:
        book.post(settle())
    with pytest.raises(FlowOff):
        book.post(refund(payment, 1))


# --- D03 and F08: time ------------------------------------------------------------------------------------------


def ended(extension_days_max: int | None = None) -> tuple[MemoryBook, object]:
    """A payment out of a lot whose last day has passed by ten days."""
    payment = pay(HANAKO, BAKERY, 1000)
    book = book_with(
        top_up(HANAKO, 1000, expires_on=TODAY), payment, programmes=(yen(extension_days_max=extension_days_max),)
    )
    book.move_time(TODAY + 10 * DAY)
    return book, payment


def test_a_refund_on_the_last_day_goes_back_into_the_lot():
    payment = pay(HANAKO, BAKERY, 1000)
    book = book_with(top_up(HANAKO, 1000, expires_on=TODAY), payment)
    book.post(refund(payment, 1000))
    assert book.balance(lot(expires_on=TODAY)) == 1000


@pytest.mark.parametrize(
    ("extension", "grace_days", "last_day"),
    [(None, 14, 24), (None, 1, 11), (None, 366, 376), (20, 14, 20), (24, 14, 24), (10, 14, 10)],
)
def test_D03_a_refund_into_an_ended_lot_is_usable_for_the_days_of_grace_and_the_law(
    extension, grace_days, last_day
):
    book, payment = ended(extension)
    book.post(refund(payment, 400, grace_days=grace_days))
    assert book.balance(lot(expires_on=TODAY + last_day * DAY, grace=True)) == 400
    assert book.balance(lot(expires_on=TODAY)) == 0


@pytest.mark.parametrize(("extension", "grace_days"), [(None, 0), (0, 14), (9, 14)])
def test_D03_F08_what_may_not_live_on_goes_to_expired_value_in_the_same_entry(extension, grace_days):
    book, payment = ended(extension)
    entry = book.post(refund(payment, 400, grace_days=grace_days))
    assert book.moved(entry) == [
        ("refund", takings(), lot(expires_on=TODAY), 400),
        ("expire", lot(expires_on=TODAY), expired(), 400),
    ]


def test_D03_a_grace_lot_is_never_restored_again():
    book, payment = ended()
    book.post(refund(payment, 1000))
    second = pay(HANAKO, BAKERY, 1000)
    book.post(second)
    book.move_time(TODAY + 60 * DAY)
    entry = book.post(refund(second, 1000, grace_days=366))
    assert [one.flow for one in entry.transfers] == ["refund", "expire"]
    assert book.balance(expired()) == 1000


@pytest.mark.parametrize("giver", [HANAKO, TARO])
def test_D03_F08_no_pay_and_refund_cycle_ever_prolongs_value(giver):
    """Pays at the last moment and is refunded, over and over, also by way of a gift: it ends all the same."""
    book = book_with(top_up(HANAKO, 1000, expires_on=TODAY), programmes=(yen(extension_days_max=20),))
    if giver is TARO:
        book.post(gift(HANAKO, TARO, 1000))
    days_used = []
    for day in range(60):
        book.move_time(TODAY + day * DAY)
        payment = pay(giver, BAKERY, 1000)
        if getattr(book.ask(payment), "code", None) == "insufficient_funds":
            continue
        days_used.append(day)
        # Refunded only after the lot's day, as late as it takes to gain most.
        book.move_time(TODAY + (day + 1) * DAY)
        book.post(refund(payment, 1000, grace_days=366))
    assert max(days_used) <= 20
    assert (
        sum(book.balance(key) for key in book.state.accounts if key.kind is Kind.WALLET) + book.balance(expired())
        == 1000
    )


def test_D03_expired_value_that_is_undone_after_a_refund_is_not_prolonged_a_second_time():
    book, payment = ended(20)
    book.post(refund(payment, 1000))
    grace = lot(expires_on=TODAY + 20 * DAY, grace=True)
    book.move_time(TODAY + 21 * DAY)
    ending = expire(grace)
    book.post(ending)
    assert book.ask(undo("expire_back", ending, 1000)).code == "past_legal_limit"


# --- D11: the bonus goes back -----------------------------------------------------------------------------------


def with_bonus() -> tuple[MemoryBook, object, BonusBack]:
    payment, given = pay(HANAKO, BAKERY, 1000), bonus(HANAKO, 100)
    book = book_with(top_up(HANAKO, 1000), fund(500), payment, given)
    return book, payment, BonusBack(given.id, 1, 100)


def test_D11_a_bonus_earned_by_a_refunded_payment_goes_back_to_its_pot():
    book, payment, back = with_bonus()
    entry = book.post(refund(payment, 1000, bonus_back=(back,)))
    assert [(one.flow, one.amount) for one in entry.transfers] == [("bonus_back", 100), ("refund", 1000)]
    assert book.balance(pot()) == 500
    assert book.balance(lot()) == 1000


def test_D11_what_was_spent_of_the_bonus_is_taken_off_the_refund():
    book, payment, back = with_bonus()
    book.post(pay(HANAKO, GREENGROCER, 70))
    entry = book.post(refund(payment, 1000, bonus_back=(back,)))
    assert [(one.flow, one.amount) for one in entry.transfers] == [("bonus_back", 30), ("refund", 930)]
    assert book.balance(lot()) == 930


def test_D11_a_refund_no_larger_than_the_spent_bonus_moves_nothing():
    book, payment, back = with_bonus()
    book.post(pay(HANAKO, GREENGROCER, 100))
    for amount in (100, 99):
        with pytest.raises(NothingToMove):
            book.post(refund(payment, amount, bonus_back=(back,)))


def test_D11_a_bonus_goes_back_once():
    book, payment, back = with_bonus()
    book.post(refund(payment, 500, bonus_back=(back,)))
    with pytest.raises(RefundExceedsPayment) as refused:
        book.post(refund(payment, 500, bonus_back=(back,)))
    assert refused.value.left == 0


def test_D11_only_a_bonus_can_be_taken_back_with_a_refund():
    book, payment, _ = with_bonus()
    with pytest.raises(InstructionInvalid):
        book.post(refund(payment, 500, bonus_back=(BonusBack(payment.id, 1, 1),)))
    for wrong in (BonusBack(person("nobody"), 1, 1), BonusBack(payment.id, 2, 1)):
        with pytest.raises(NotFound):
            book.post(refund(payment, 500, bonus_back=(wrong,)))


# --- Bad input --------------------------------------------------------------------------------------------------


def test_what_never_settled_cannot_be_refunded():
    book, _ = paid()
    refused = pay(TARO, BAKERY, 1)
    assert book.ask(refused).code == "insufficient_funds"
    for original in (refused, pay(TARO, BAKERY, 1)):
        with pytest.raises(NotFound):
            book.post(refund(original, 1))


def test_what_is_no_payment_cannot_be_refunded():
    charged = top_up(HANAKO, 100)
    book = book_with(charged)
    with pytest.raises(InstructionInvalid):
        book.post(refund(charged, 1))


def test_an_instruction_cannot_refund_itself():
    book = book_with(top_up(HANAKO, 100))
    ours = person("itself")
    draw = Draw("payment", HANAKO, 100, Destination(Kind.TAKINGS, BAKERY))
    itself = refund(pay(HANAKO, BAKERY, 100, id=ours), 100).moves[0]
    assert book.ask(instruction(draw, itself, id=ours)).code == "not_found"


def test_a_refund_of_a_payment_in_two_programmes_stays_in_each():
    payment = pay(HANAKO, BAKERY, 150)
    book = book_with(top_up(HANAKO, 100), fund(50), bonus(HANAKO, 50, expires_on=MONTH_END), payment)
    book.post(refund(payment, 120))
    assert book.balance(lot()) == 100
    assert book.balance(lot(programme="grant", expires_on=MONTH_END)) == 20
    assert book.balance(takings(programme="grant")) == 30


def test_the_resident_who_has_gone_on_spending_is_refunded_all_the_same():
    book, payment = paid(1000)
    book.post(top_up(HANAKO, 50))
    book.post(pay(HANAKO, GREENGROCER, 50))
    book.post(refund(payment, 1000, **TWO_PEOPLE))
    assert book.balance(lot()) == 1000


def test_the_merchants_held_or_foreign_takings_are_not_touched_by_a_refund():
    book, payment = paid(1000)
    book.post(top_up(TARO, 500))
    book.post(pay(TARO, GREENGROCER, 500))
    book.post(settle())
    with pytest.raises(MerchantFundsShort):
        book.post(refund(payment, 1))
    assert book.balance(takings(GREENGROCER)) == 500
