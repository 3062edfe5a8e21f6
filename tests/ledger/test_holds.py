"""Holds: value set aside, captured whole or in part, released, or ended."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.chart import Kind
from ledger.instructions import CaptureHold, Destination, Draw, PlaceHold, ReleaseHold
from ledger.refusals import (
    FlowOff,
    HoldExceeded,
    HoldExpired,
    InstructionInvalid,
    InsufficientFunds,
    NotExpired,
    NotFound,
    NothingToMove,
)
from tests.ledger.ledger_factories import (
    BAKERY,
    BANK,
    HANAKO,
    MONTH_END,
    NOON,
    TARO,
    TODAY,
    TWO_PEOPLE,
    book_with,
    capture,
    expire,
    expire_hold,
    gift,
    hold,
    instruction,
    lot,
    pay,
    payment,
    person,
    release,
    succeed,
    takings,
    top_up,
    yen,
)

HOUR = timedelta(hours=1)
LATER = NOON + HOUR


def holding(amount: int = 600):
    """A book where 600 of 1,000 yen are held: 100 that end this month, then 500 of 900."""
    placed = hold(payment(HANAKO, BAKERY, amount), LATER)
    return book_with(top_up(HANAKO, 100, expires_on=MONTH_END), top_up(HANAKO, 900), placed), placed


def test_held_value_is_there_but_not_available():
    book, _ = holding()
    assert book.balance(lot()) == 900
    assert book.available(lot()) == 400
    assert book.available(lot(expires_on=MONTH_END)) == 0
    assert book.balance(takings()) == 0


def test_V3_held_value_cannot_be_spent_given_moved_on_or_held_twice():
    book, _ = holding()
    for asked in (pay(HANAKO, BAKERY, 401), gift(HANAKO, TARO, 401), hold(payment(HANAKO, BAKERY, 401), LATER)):
        with pytest.raises(InsufficientFunds) as refused:
            book.post(asked)
        assert refused.value.available == 400
    assert [one.amount for one in book.post(succeed(HANAKO, TARO)).transfers] == [400]


def test_a_capture_of_all_books_the_lots_that_were_held():
    book, placed = holding()
    entry = book.post(capture(placed))
    assert [(one.debit, one.amount) for one in entry.transfers] == [(lot(expires_on=MONTH_END), 100), (lot(), 500)]
    assert book.balance(takings()) == 600
    assert book.available(lot()) == 400


def test_a_capture_of_a_part_releases_the_rest_unless_it_is_kept():
    book, placed = holding()
    book.post(capture(placed, 150))
    assert book.balance(takings()) == 150
    assert book.available(lot()) == 850
    with pytest.raises(NothingToMove):
        book.post(capture(placed, 1))


def test_a_capture_in_parts_never_exceeds_what_was_held():
    book, placed = holding()
    book.post(capture(placed, 50, releases_rest=False))
    book.post(capture(placed, 350, releases_rest=False))
    assert book.available(lot()) == 400
    with pytest.raises(HoldExceeded) as refused:
        book.post(capture(placed, 201))
    assert refused.value.left == 200
    book.post(capture(placed, 200, releases_rest=False))
    assert book.balance(takings()) == 600
    with pytest.raises(NothingToMove):
        book.post(release(placed))


def test_a_capture_of_less_than_the_first_lot_frees_the_other_lots():
    book, placed = holding()
    book.post(capture(placed, 40))
    assert book.available(lot(expires_on=MONTH_END)) == 60
    assert book.available(lot()) == 900


def test_a_release_gives_free_whole_or_in_part():
    book, placed = holding()
    book.post(release(placed, 150))
    assert book.available(lot(expires_on=MONTH_END)) == 100
    assert book.available(lot()) == 450
    with pytest.raises(HoldExceeded):
        book.post(release(placed, 451))
    book.post(release(placed))
    assert book.available(lot()) == 900
    with pytest.raises(NothingToMove):
        book.post(release(placed))


@pytest.mark.parametrize(
    ("at", "lives"), [(LATER - timedelta(microseconds=1), True), (LATER, False), (LATER + HOUR, False)]
)
def test_F05_a_hold_ends_with_its_last_instant(at, lives):
    book, placed = holding()
    book.move_time(at)
    if lives:
        with pytest.raises(NotExpired):
            book.post(expire_hold(placed))
        book.post(capture(placed))
    else:
        with pytest.raises(HoldExpired) as refused:
            book.post(capture(placed))
        assert refused.value.expired_at == LATER
        book.post(expire_hold(placed))
        assert book.available(lot()) == 900


def test_F08_a_hold_never_carries_value_past_its_last_day():
    placed = hold(payment(HANAKO, BAKERY, 100), NOON + timedelta(days=30))
    book = book_with(top_up(HANAKO, 100, expires_on=TODAY), placed)
    midnight = datetime(2026, 11, 23, 15, tzinfo=UTC)
    assert book.state.holds[placed.id][0].expires_at == midnight
    book.move_time(midnight)
    with pytest.raises(HoldExpired):
        book.post(capture(placed))


def test_F04_an_ended_lot_expires_but_for_what_is_held_and_that_later():
    placed = hold(payment(HANAKO, BAKERY, 30), LATER)
    book = book_with(top_up(HANAKO, 100, expires_on=TODAY), placed)
    book.move_time(TODAY + timedelta(days=1))
    assert [one.amount for one in book.post(expire(lot(expires_on=TODAY))).transfers] == [70]
    with pytest.raises(NothingToMove):
        book.post(expire(lot(expires_on=TODAY)))
    book.post(expire_hold(placed))
    assert [one.amount for one in book.post(expire(lot(expires_on=TODAY))).transfers] == [30]


@pytest.mark.parametrize("ends", [NOON, NOON - HOUR])
def test_a_hold_that_would_have_ended_is_refused(ends):
    with pytest.raises(InstructionInvalid):
        book_with(top_up(HANAKO, 100)).post(hold(payment(HANAKO, BAKERY, 100), ends))


def test_a_hold_that_nobody_placed_is_not_found():
    book = book_with(top_up(HANAKO, 100))
    for asked in (capture(person("x")), release(person("x")), expire_hold(person("x"))):
        with pytest.raises(NotFound):
            book.post(asked)


def test_V5_an_instruction_places_one_hold_and_moves_a_hold_once():
    book, placed = holding()
    place = PlaceHold(payment(HANAKO, BAKERY, 10), LATER)
    for moves in (
        (place, place),
        (CaptureHold(placed.id, 10, releases_rest=False), ReleaseHold(placed.id, 10)),
        (ReleaseHold(placed.id, 10), ReleaseHold(placed.id, 10)),
    ):
        assert book.ask(instruction(*moves)).code == "request_invalid"


def test_a_flow_switched_off_meanwhile_stops_the_capture_but_not_the_release():
    book, placed = holding()
    book.switch("yen", off="payment")
    with pytest.raises(FlowOff):
        book.post(capture(placed))
    book.post(release(placed))


def test_J01_nothing_is_held_for_a_way_out_of_the_wallet_that_asks_for_its_reasons():
    draw = Draw("lawful_return", HANAKO, 100, Destination(Kind.RESERVE, BANK))
    book = book_with(top_up(HANAKO, 100), programmes=(yen(also=("lawful_return",)),))
    placed = hold(draw, LATER, reason="small", **TWO_PEOPLE)
    assert book.ask(placed).code == "request_invalid"
    assert book.ask(capture(placed, **TWO_PEOPLE)).code == "not_found"
    assert book.balance(lot()) == 100


def test_a_value_without_a_day_can_be_held_beside_one_that_ends_in_a_thousand_years():
    far = datetime(2999, 12, 31, tzinfo=UTC).date()
    book = book_with(top_up(HANAKO, 100, expires_on=far))
    placed = hold(payment(HANAKO, BAKERY, 100), LATER)
    book.post(placed)
    assert book.state.holds[placed.id][0].expires_at == LATER
