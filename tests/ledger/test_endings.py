"""Endings: lots whose last day has passed, and wallets and merchants that another succeeds."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from ledger.chart import Kind
from ledger.instructions import AMOUNT_MAX, Move, Succeed
from ledger.planner import plan
from ledger.refusals import FlowOff, InstructionInvalid, NotExpired, NotFound, NothingToMove, SecondPersonNeeded
from tests.ledger.ledger_factories import (
    BAKERY,
    CLERK,
    GREENGROCER,
    HANAKO,
    MONTH_END,
    TARO,
    TODAY,
    TWO_PEOPLE,
    MemoryBook,
    book_with,
    expire,
    expired,
    instruction,
    lot,
    move,
    new_state,
    pay,
    payment,
    reserve,
    succeed,
    takings,
    top_up,
    yen,
)

ENDING = lot(expires_on=TODAY)


def ended() -> MemoryBook:
    book = book_with(
        top_up(HANAKO, 100, expires_on=TODAY), top_up(HANAKO, 50, expires_on=MONTH_END), top_up(HANAKO, 30)
    )
    book.move_time(TODAY + timedelta(days=1))
    return book


def test_F01_a_lot_expires_when_its_day_in_japan_is_over_and_not_before():
    book = book_with(top_up(HANAKO, 100, expires_on=TODAY))
    book.move_time(datetime(2026, 11, 23, 14, 59, 59, 999_999, tzinfo=UTC))
    with pytest.raises(NotExpired):
        book.post(expire(ENDING))
    book.move_time(datetime(2026, 11, 23, 15, tzinfo=UTC))
    assert book.moved(book.post(expire(ENDING))) == [("expire", ENDING, expired(), 100)]


def test_F04_a_lot_expires_once_however_often_it_is_asked_for():
    book = ended()
    book.post(expire(ENDING))
    with pytest.raises(NothingToMove):
        book.post(expire(ENDING))
    assert book.balance(expired()) == 100


def test_F04_running_late_changes_nothing():
    book = ended()
    book.move_time(date(2028, 2, 29))
    book.post(expire(ENDING))
    assert book.balance(expired()) == 100


@pytest.mark.parametrize("of", [lot(), lot(expires_on=MONTH_END)])
def test_what_lives_or_never_ends_does_not_expire(of):
    with pytest.raises(NotExpired):
        ended().post(expire(of))


def test_only_a_wallets_lot_that_exists_expires():
    book = ended()
    book.post(pay(HANAKO, BAKERY, 10))
    with pytest.raises(InstructionInvalid):
        book.post(expire(takings()))
    for of in (lot(TARO, expires_on=TODAY), lot(expires_on=TODAY, grace=True), lot(programme="unknown")):
        with pytest.raises(NotFound):
            book.post(expire(of))


def test_expired_value_is_released_to_what_is_behind_the_programme():
    book = ended()
    book.post(expire(ENDING))
    assert book.ask(move("release", expired(), reserve(), 101)).code == "funds_short"
    book.post(move("release", expired(), reserve(), 100))
    assert book.balance(reserve()) == 80


def test_a_programme_that_has_expiry_off_expires_nothing():
    book = book_with(top_up(HANAKO, 100, expires_on=TODAY), programmes=(yen(without=("expire",)),))
    book.move_time(TODAY + timedelta(days=1))
    with pytest.raises(FlowOff):
        book.post(expire(ENDING))


# --- Succession -------------------------------------------------------------------------------------------------


def test_a_successor_gets_every_living_lot_with_its_day():
    book = ended()
    book.post(succeed(HANAKO, TARO))
    assert book.balance(lot(TARO, expires_on=MONTH_END)) == 50
    assert book.balance(lot(TARO)) == 30
    assert book.balance(lot(TARO, expires_on=TODAY)) == 0
    assert book.balance(ENDING) == 100


def test_a_merchants_takings_go_to_his_successor():
    book = book_with(top_up(HANAKO, 100), pay(HANAKO, BAKERY, 100))
    book.post(succeed(BAKERY, GREENGROCER, Kind.TAKINGS))
    assert book.balance(takings(GREENGROCER)) == 100


@pytest.mark.parametrize(
    "people",
    [
        {"ordered_by": None, "approved_by": None},
        {"ordered_by": CLERK, "approved_by": None},
        {"ordered_by": None, "approved_by": CLERK},
    ],
)
def test_a_succession_takes_two_people(people):
    with pytest.raises(SecondPersonNeeded):
        ended().post(succeed(HANAKO, TARO, **people))


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in {Kind.WALLET, Kind.TAKINGS}])
def test_J01_nothing_else_has_a_successor(kind):
    with pytest.raises(InstructionInvalid):
        ended().post(succeed(HANAKO, TARO, kind))


def test_nobody_succeeds_himself_and_nothing_goes_from_nothing():
    with pytest.raises(InstructionInvalid):
        ended().post(succeed(HANAKO, HANAKO))
    with pytest.raises(NothingToMove):
        ended().post(succeed(TARO, HANAKO))


def test_a_succession_writes_the_same_lines_however_the_accounts_were_read():
    book = ended()
    forward, backward = new_state(), new_state()
    for state, accounts in (
        (forward, list(book.state.accounts.values())),
        (backward, list(book.state.accounts.values())[::-1]),
    ):
        state.at, state.today = book.state.at, book.state.today
        for account in accounts:
            state.add_account(replace(account))
    asked = succeed(HANAKO, TARO)
    assert plan(forward, asked) == plan(backward, asked)


def test_moves_of_one_instruction_see_those_before_them():
    book = book_with(top_up(HANAKO, 100))
    asked = instruction(payment(HANAKO, BAKERY, 100), Succeed(Kind.TAKINGS, BAKERY, GREENGROCER), **TWO_PEOPLE)
    book.post(asked)
    assert book.balance(takings(GREENGROCER)) == 100


def test_C06_more_than_the_largest_amount_moves_in_amounts_that_can_be_booked():
    book = book_with(top_up(HANAKO, AMOUNT_MAX, expires_on=TODAY), top_up(HANAKO, AMOUNT_MAX, expires_on=TODAY))
    assert all(one.amount <= AMOUNT_MAX for one in book.post(succeed(HANAKO, TARO)).transfers)
    book.move_time(TODAY + timedelta(days=1))
    for ending in (ENDING, lot(TARO, expires_on=TODAY)):
        while book.balance(ending):
            assert all(one.amount <= AMOUNT_MAX for one in book.post(expire(ending)).transfers)
    assert book.balance(expired()) == 2 * AMOUNT_MAX


def test_value_that_ends_today_can_still_arrive_today_but_not_tomorrow():
    book = book_with(top_up(HANAKO, 100, expires_on=TODAY))
    book.move_time(TODAY + timedelta(days=1))
    for expires_on in (TODAY, date(2026, 1, 31)):
        late = instruction(Move("top_up", reserve(), lot(expires_on=expires_on), 1))
        assert book.ask(late).code == "request_invalid"
