"""Undoing: the mirror of a named line, by two people, never more than it moved nor than is left."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.chart import Kind
from ledger.refusals import (
    FundsShort,
    InstructionInvalid,
    InsufficientFunds,
    MerchantFundsShort,
    NotFound,
    NothingToMove,
    PastLegalLimit,
    PotExhausted,
    RefundExceedsPayment,
    SecondPersonNeeded,
)
from tests.ledger.ledger_factories import (
    AGENT,
    BAKERY,
    CLERK,
    GREENGROCER,
    HANAKO,
    TARO,
    TODAY,
    benefit,
    bonus,
    book_with,
    expire,
    expired,
    fees,
    fund,
    gift,
    grant,
    lot,
    move,
    pay,
    payout,
    person,
    pot,
    reserve,
    settle,
    stock,
    supply,
    takings,
    top_up,
    undo,
    yen,
)
from tests.properties.naive_model import TWO_PEOPLE as BY_TWO
from tests.properties.naive_model import UNDOES

DAY = timedelta(days=1)
ONE = {"ordered_by": CLERK, "approved_by": None}
BOUGHT = move("float_buy", reserve(AGENT), stock(), 1000)


def case(flow):
    """A book with something to undo by this flow: the book, what is undone, its line."""
    charged, given, supplied = top_up(HANAKO, 1000), bonus(HANAKO, 1000), supply(BAKERY, GREENGROCER, 1000)
    benefited, sent, paid = benefit(HANAKO, 1000), gift(HANAKO, TARO, 1000), pay(HANAKO, BAKERY, 1000)
    settled, ending = settle(), expire(lot(expires_on=TODAY))
    out = move("paid_out", payout(), reserve(), 1000)
    fee = settle(fee=1000, amount=1001)
    books = {
        "bonus_back": ((fund(1000), given), given),
        "benefit_back": ((fund(1000), benefited), benefited),
        "gift_back": ((charged, sent), sent),
        "supply_back": ((charged, paid, supplied), supplied),
        "payout_failed": ((charged, paid, settled), settled),
        "paid_back": ((charged, paid, settled, out), out),
        "fee_back": ((charged, top_up(HANAKO, 1), pay(HANAKO, BAKERY, 1001), fee), fee),
        "top_up_cancel": ((charged,), charged),
        "expire_back": ((top_up(HANAKO, 1000, expires_on=TODAY),), ending),
    }
    before, done = books[flow]
    book = book_with(*before)
    if flow == "expire_back":
        book.move_time(TODAY + DAY)
        book.post(ending)
    return book, done, 1


FLOWS = sorted(set(UNDOES) - {"refund", "refund_advance"})
EVERY = pytest.mark.parametrize("flow", FLOWS)


@EVERY
def test_an_undoing_goes_back_the_way_the_value_came(flow):
    book, done, line = case(flow)
    entry = book.post(undo(flow, done, 1000, line=line))
    original = next(one for one in book.entries if one.id == done.id).transfers[line - 1]
    [undoing] = entry.transfers
    assert undoing.debit == original.credit
    assert undoing.amount == 1000
    assert undoing.undoes == (next(one.seq for one in book.entries if one.id == done.id), line)
    assert undoing.credit[:3] == original.debit[:3]
    assert flow == "expire_back" or undoing.credit == original.debit


@EVERY
def test_D01_parts_never_undo_more_than_was_moved(flow):
    book, done, line = case(flow)
    book.post(undo(flow, done, 400, line=line))
    with pytest.raises(RefundExceedsPayment) as refused:
        book.post(undo(flow, done, 601, line=line))
    assert refused.value.left == 600
    book.post(undo(flow, done, 600, line=line))
    with pytest.raises(RefundExceedsPayment):
        book.post(undo(flow, done, 1, line=line))
    with pytest.raises(NothingToMove):
        book.post(undo(flow, done, None, line=line))


@EVERY
def test_without_an_amount_all_that_is_left_is_undone(flow):
    book, done, line = case(flow)
    book.post(undo(flow, done, 1, line=line))
    assert book.post(undo(flow, done, None, line=line)).transfers[0].amount == 999


@EVERY
def test_it_takes_two_people_as_the_chart_says(flow):
    book, done, line = case(flow)
    for people in (ONE, {"ordered_by": None, "approved_by": CLERK}, {"ordered_by": None, "approved_by": None}):
        outcome = book.ask(undo(flow, done, 1, line=line, **people))
        by_one = flow in {"payout_failed", "paid_back", "top_up_cancel"}
        assert getattr(outcome, "code", "booked") == ("booked" if by_one else "second_person_needed")
    assert flow in BY_TWO or flow in {"bonus_back", "payout_failed", "paid_back", "top_up_cancel"}


@EVERY
def test_the_same_person_twice_is_not_two_people(flow):
    book, done, line = case(flow)
    outcome = book.ask(undo(flow, done, 1, line=line, ordered_by=CLERK, approved_by=CLERK))
    assert outcome.code in {"second_person_needed", "request_invalid"}


@EVERY
def test_a_flow_undoes_only_what_it_mirrors(flow):
    book, done, line = case(flow)
    for other in [*UNDOES, "payment", "unheard_of"]:
        if other != flow:
            with pytest.raises(InstructionInvalid):
                book.post(undo(other, done, 1, line=line))


@EVERY
def test_a_line_or_an_entry_that_is_not_there_is_not_found(flow):
    book, done, _ = case(flow)
    last = len(next(one for one in book.entries if one.id == done.id).transfers)
    with pytest.raises(NotFound):
        book.post(undo(flow, done, 1, line=last + 1))
    with pytest.raises(NotFound):
        book.post(undo(flow, top_up(HANAKO, 1, id=person("never asked")), 1))


def test_a_wrong_top_up_is_taken_back_by_one_clerk_until_the_day_in_japan_is_over():
    charged = top_up(HANAKO, 1000)
    book = book_with(charged)
    book.move_time(datetime(2026, 11, 23, 14, 59, 59, tzinfo=UTC))
    book.post(undo("top_up_cancel", charged, 100, **ONE))
    book.move_time(datetime(2026, 11, 23, 15, tzinfo=UTC))
    with pytest.raises(SecondPersonNeeded):
        book.post(undo("top_up_cancel", charged, 100, **ONE))
    book.post(undo("top_up_cancel", charged, 100))
    assert book.balance(lot()) == 800
    assert book.balance(reserve()) == 800


def test_what_was_spent_of_a_top_up_is_not_taken_back():
    charged = top_up(HANAKO, 1000)
    book = book_with(charged, pay(HANAKO, BAKERY, 700))
    with pytest.raises(InsufficientFunds):
        book.post(undo("top_up_cancel", charged, 301))
    assert book.post(undo("top_up_cancel", charged)).transfers[0].amount == 300


def test_F08_an_ended_top_up_is_not_paid_back_in_cash_whenever_the_expiry_job_ran():
    charged = top_up(HANAKO, 1000, expires_on=TODAY)
    book = book_with(charged)
    book.move_time(TODAY + DAY)
    before = book.ask(undo("top_up_cancel", charged, 1000)).code
    book.post(expire(lot(expires_on=TODAY)))
    after = book.ask(undo("top_up_cancel", charged, 1000)).code
    assert before == after == "insufficient_funds"


def test_a_wrong_sale_of_an_agent_is_his_stock_again_in_one_entry():
    sold = move("float_sell", stock(), lot(), 600)
    book = book_with(BOUGHT, sold)
    entry = book.post(undo("top_up_cancel", sold, 250))
    assert book.moved(entry) == [
        ("top_up_cancel", lot(), reserve(AGENT), 250),
        ("float_buy", reserve(AGENT), stock(), 250),
    ]
    assert book.balance(stock()) == 650
    assert book.balance(reserve(AGENT)) == 1000


def test_a_payout_that_came_back_is_takings_again_and_what_the_bank_reports_needs_one_person():
    paid, settled = pay(HANAKO, BAKERY, 1000), settle()
    out = move("paid_out", payout(), reserve(), 1000)
    book = book_with(top_up(HANAKO, 1000), paid, settled, out)
    assert book.balance(reserve()) == 0
    book.post(undo("paid_back", out, **ONE))
    book.post(undo("payout_failed", settled, **ONE))
    assert book.balance(takings()) == 1000
    assert book.balance(reserve()) == 1000


def test_what_is_no_longer_where_it_went_is_refused_by_whose_it_is():
    supplied, given, sent = supply(BAKERY, GREENGROCER, 100), benefit(HANAKO, 100), gift(HANAKO, TARO, 100)
    book = book_with(top_up(HANAKO, 200), pay(HANAKO, BAKERY, 100), supplied, sent, fund(100), given)
    book.post(settle(GREENGROCER))
    book.post(pay(TARO, BAKERY, 100))
    book.post(pay(HANAKO, BAKERY, 100))
    with pytest.raises(MerchantFundsShort):
        book.post(undo("supply_back", supplied, 1))
    with pytest.raises(InsufficientFunds):
        book.post(undo("gift_back", sent, 1))
    with pytest.raises(InsufficientFunds):
        book.post(undo("benefit_back", given, 1))
    for flow, done in (("supply_back", supplied), ("gift_back", sent), ("benefit_back", given)):
        with pytest.raises(NothingToMove):
            book.post(undo(flow, done))


def test_expired_value_that_was_released_cannot_come_back():
    book, ending, _ = case("expire_back")
    book.post(move("release", expired(), reserve(), 1000))
    with pytest.raises(FundsShort):
        book.post(undo("expire_back", ending, 1))


def test_D03_expired_value_comes_back_into_a_grace_lot_of_the_same_wallet():
    book, ending, _ = case("expire_back")
    book.post(undo("expire_back", ending, 300, grace_days=7))
    assert book.balance(lot(expires_on=TODAY + 8 * DAY, grace=True)) == 300
    assert book.balance(expired()) == 700


@pytest.mark.parametrize(("extension", "grace_days"), [(0, 14), (None, 0)])
def test_F08_expired_value_never_comes_back_past_its_legal_limit(extension, grace_days):
    ending = expire(lot(expires_on=TODAY))
    book = book_with(top_up(HANAKO, 100, expires_on=TODAY), programmes=(yen(extension_days_max=extension),))
    book.move_time(TODAY + DAY)
    book.post(ending)
    with pytest.raises(PastLegalLimit):
        book.post(undo("expire_back", ending, 100, grace_days=grace_days))


def test_D03_what_came_back_once_and_ended_again_stays_ended():
    book, ending, _ = case("expire_back")
    book.post(undo("expire_back", ending, grace_days=7))
    book.move_time(TODAY + 9 * DAY)
    again = expire(lot(expires_on=TODAY + 8 * DAY, grace=True))
    book.post(again)
    with pytest.raises(PastLegalLimit):
        book.post(undo("expire_back", again))


def test_a_refund_is_not_asked_for_as_an_undoing():
    paid = pay(HANAKO, BAKERY, 100)
    book = book_with(top_up(HANAKO, 100), paid)
    for flow in ("refund", "refund_advance"):
        with pytest.raises(InstructionInvalid):
            book.post(undo(flow, paid, 100))


def test_a_benefit_taken_back_is_in_its_pot_again_and_no_more_than_the_pot_gives_out_later():
    given = benefit(HANAKO, 1000)
    book = book_with(fund(1000), given, programmes=(grant(), yen()))
    book.post(undo("benefit_back", given, 400))
    assert book.balance(pot()) == 400
    with pytest.raises(PotExhausted):
        book.post(benefit(TARO, 401))


def test_a_fee_that_is_taken_back_is_takings_again():
    book, done, line = case("fee_back")
    book.post(undo("fee_back", done, 300, line=line))
    assert book.balance(fees()) == 700
    assert book.balance(takings()) == 300


def test_J01_no_undoing_reaches_a_bank_but_the_named_exit():
    to_assets = {flow for flow in UNDOES if flow not in {"refund", "refund_advance"}}
    reached = set()
    for flow in to_assets:
        book, done, line = case(flow)
        entry = book.post(undo(flow, done, 1, line=line))
        if any(one.debit.kind is Kind.WALLET and one.credit.kind is Kind.RESERVE for one in entry.transfers):
            reached.add(flow)
    assert reached == {"top_up_cancel"}
