"""Settling: what a merchant owes first, then the fee, then his payout."""

import pytest

from ledger.chart import Kind
from ledger.instructions import AMOUNT_MAX, Destination, Draw
from ledger.refusals import FlowOff, FundsShort, InstructionInvalid, MerchantFundsShort, NotFound, NothingToMove
from tests.ledger.ledger_factories import (
    BAKERY,
    GREENGROCER,
    HANAKO,
    TARO,
    TWO_PEOPLE,
    bonus,
    book_with,
    committed,
    fees,
    fund,
    instruction,
    move,
    pay,
    payout,
    receivable,
    refund,
    reserve,
    settle,
    supply,
    takings,
    top_up,
    yen,
)


def earned(amount: int = 1000, **terms):
    """A book in which the bakery has takings."""
    return book_with(
        top_up(HANAKO, amount), pay(HANAKO, BAKERY, amount), programmes=(yen(**terms),) if terms else ()
    )


def owing(owed: int = 300, takings_now: int = 1000):
    """A book in which the bakery owes, and has takings again."""
    first = pay(HANAKO, BAKERY, owed)
    book = book_with(top_up(HANAKO, owed), first, settle(), programmes=(yen(receivable_max=10_000),))
    book.post(refund(first, owed))
    book.post(top_up(TARO, takings_now))
    book.post(pay(TARO, BAKERY, takings_now))
    return book


def moved(entry):
    return [(one.flow, one.amount) for one in entry.transfers]


def test_all_takings_go_out_when_no_amount_is_named():
    book = earned()
    assert book.moved(book.post(settle())) == [("settle", takings(), payout(), 1000)]
    assert book.balance(takings()) == 0


def test_a_named_amount_holds_fee_and_payout():
    book = earned()
    assert moved(book.post(settle(amount=600, fee=50))) == [("fee", 50), ("settle", 550)]
    assert book.balance(fees()) == 50
    assert book.balance(takings()) == 400


def test_D02_what_is_owed_comes_first_then_the_fee_then_the_payout():
    assert moved(owing().post(settle(fee=50))) == [("recover", 300), ("fee", 50), ("settle", 650)]


def test_D02_takings_that_do_not_cover_what_is_owed_recover_what_they_can():
    book = owing(owed=300, takings_now=120)
    assert moved(book.post(settle(fee=50))) == [("recover", 120)]
    assert book.balance(receivable()) == 180
    assert book.balance(payout()) == 300


@pytest.mark.parametrize(
    ("fee", "expected"), [(699, [("recover", 300), ("fee", 699), ("settle", 1)]), (700, [("recover", 300)])]
)
def test_a_fee_is_never_more_than_what_goes_out(fee, expected):
    assert moved(owing().post(settle(fee=fee))) == expected


def test_a_fee_that_eats_all_moves_nothing_where_nothing_is_owed():
    with pytest.raises(NothingToMove):
        earned().post(settle(fee=1000))


@pytest.mark.parametrize(("amount", "fee"), [(1001, 0), (1, 1), (50, 60), (AMOUNT_MAX, 0)])
def test_an_amount_that_is_not_there_or_not_above_the_fee_is_refused(amount, fee):
    book = earned()
    with pytest.raises(MerchantFundsShort) as refused:
        book.post(settle(amount=amount, fee=fee))
    assert refused.value.available == 1000
    assert book.balance(takings()) == 1000


def test_D02_a_named_amount_is_measured_after_what_is_owed():
    with pytest.raises(MerchantFundsShort) as refused:
        owing().post(settle(amount=701))
    assert refused.value.available == 700


def test_no_takings_no_settlement():
    book = earned()
    for merchant in (GREENGROCER, HANAKO):
        with pytest.raises(NothingToMove):
            book.post(settle(merchant))
    book.post(settle())
    with pytest.raises(NothingToMove):
        book.post(settle())


def test_an_unknown_programme_is_not_found():
    with pytest.raises(NotFound):
        earned().post(settle(programme="unknown"))


@pytest.mark.parametrize("flow", ["settle", "fee"])
def test_a_settlement_needs_its_flows_switched_on(flow):
    book = earned(without=(flow,))
    with pytest.raises(FlowOff):
        book.post(settle(fee=10))
    assert book.balance(takings()) == 1000


@pytest.mark.parametrize("flow", ["supply", "donate"])
def test_D02_what_is_owed_comes_first_when_takings_go_to_another_merchant(flow):
    book = owing()
    there = book.balance(takings())
    with pytest.raises(MerchantFundsShort):
        book.post(move(flow, takings(), takings(GREENGROCER), there))
    assert moved(book.post(move(flow, takings(), takings(GREENGROCER), there - 300))) == [
        ("recover", 300),
        (flow, there - 300),
    ]


def test_takings_pay_nobody_elses_debt():
    with pytest.raises(InstructionInvalid):
        owing().post(move("recover", takings(GREENGROCER), receivable(), 1))


def test_D02_a_debt_cannot_be_passed_by_switching_its_recovery_off():
    book = owing()
    book.switch("yen", off="recover")
    with pytest.raises(FlowOff):
        book.post(settle())


def test_programmes_are_settled_apart():
    book = book_with(top_up(HANAKO, 100), fund(100), bonus(HANAKO, 100), pay(HANAKO, BAKERY, 200))
    book.post(settle(programme="grant"))
    assert book.balance(takings()) == 100
    assert book.balance(takings(programme="grant")) == 0
    book.post(move("paid_out", payout(programme="grant"), committed(), 100))
    assert book.balance(committed()) == 0


def test_a_payout_leaves_no_further_than_it_was_settled():
    book = earned()
    book.post(settle(amount=600))
    with pytest.raises(FundsShort) as refused:
        book.post(move("paid_out", payout(), reserve(), 601))
    assert (refused.value.kind, refused.value.available) == ("payout", 600)
    book.post(move("paid_out", payout(), reserve(), 600))
    assert book.balance(reserve()) == 400


def test_a_merchant_spends_takings_with_suppliers_no_further_than_he_has_them():
    book = earned()
    with pytest.raises(MerchantFundsShort):
        book.post(supply(BAKERY, GREENGROCER, 1001))
    book.post(supply(BAKERY, GREENGROCER, 1000))
    with pytest.raises(NothingToMove):
        book.post(settle())


def test_J01_a_settlement_pays_takings_out_and_never_a_wallet():
    draw = Draw("settle", HANAKO, 1, Destination(Kind.PAYOUT, HANAKO))
    book = book_with(top_up(HANAKO, 100))
    assert book.ask(instruction(draw)).code == "request_invalid"
    assert book.ask(move("settle", takings(), payout(), 1, **TWO_PEOPLE)).code == "request_invalid"


def test_C06_takings_beyond_the_largest_amount_leave_in_amounts_that_can_be_booked():
    book = book_with(top_up(HANAKO, AMOUNT_MAX), pay(HANAKO, BAKERY, AMOUNT_MAX))
    book.post(top_up(HANAKO, AMOUNT_MAX))
    book.post(pay(HANAKO, BAKERY, AMOUNT_MAX))
    for _ in range(2):
        assert all(1 <= one.amount <= AMOUNT_MAX for one in book.post(settle()).transfers)
    assert book.balance(payout()) == 2 * AMOUNT_MAX
