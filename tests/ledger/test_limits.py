"""Limits: ceilings of a day, a month and ever, raised under the lock and lowered by what comes back."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from ledger.chart import Kind
from ledger.instructions import BalanceCeiling, BonusBack, CounterKey, Destination, Draw, Limit, Move, PlaceHold
from ledger.refusals import InstructionInvalid, LimitBalance, LimitDay, LimitMonth, LimitTotal
from tests.ledger.ledger_factories import (
    BAKERY,
    HANAKO,
    NOON,
    TARO,
    TODAY,
    MemoryBook,
    book_with,
    capture,
    expire_hold,
    fund,
    gift,
    hold,
    instruction,
    lot,
    pay,
    payment,
    pot,
    refund,
    release,
    top_up,
    undo,
)

WALLET = CounterKey("wallet", HANAKO)
HOUSEHOLD = CounterKey("household", HANAKO)


def limited(amount, counter=WALLET, **ceilings):
    """A payment of Hanako's that counts."""
    return pay(HANAKO, BAKERY, amount, limits=(Limit(counter, amount, **ceilings),))


def rich() -> MemoryBook:
    return book_with(top_up(HANAKO, 100_000), top_up(TARO, 100_000))


def used(book, counter=WALLET):
    return book.state.counters[counter].used_on(book.state.today)


@pytest.mark.parametrize(
    ("period", "refusal"), [("day_max", LimitDay), ("month_max", LimitMonth), ("total_max", LimitTotal)]
)
def test_a_ceiling_is_reached_exactly_and_never_passed(period, refusal):
    book = rich()
    book.post(limited(600, **{period: 1000}))
    with pytest.raises(refusal) as refused:
        book.post(limited(401, **{period: 1000}))
    assert (refused.value.family, refused.value.ceiling, refused.value.used) == ("wallet", 1000, 600)
    book.post(limited(400, **{period: 1000}))
    with pytest.raises(refusal):
        book.post(limited(1, **{period: 1000}))
    assert used(book) == (1000, 1000, 1000)


def test_the_day_is_told_before_the_month_and_the_month_before_the_total():
    book = rich()
    for ceilings, refusal in (
        ({"day_max": 1, "month_max": 1, "total_max": 1}, LimitDay),
        ({"month_max": 1, "total_max": 1}, LimitMonth),
        ({"total_max": 1}, LimitTotal),
    ):
        with pytest.raises(refusal):
            book.post(limited(2, **ceilings))


def test_a_ceiling_of_nothing_allows_nothing():
    with pytest.raises(LimitDay):
        rich().post(limited(1, day_max=0))


def test_F01_a_day_ends_at_midnight_in_japan_and_a_month_with_its_last_day():
    book = rich()
    book.post(limited(500))
    book.move_time(datetime(2026, 11, 23, 14, 59, tzinfo=UTC))
    assert used(book) == (500, 500, 500)
    book.move_time(datetime(2026, 11, 23, 15, tzinfo=UTC))
    assert used(book) == (0, 500, 500)
    book.post(limited(70, day_max=70, month_max=570))
    book.move_time(datetime(2026, 11, 30, 15, tzinfo=UTC))
    assert used(book) == (0, 0, 570)
    book.move_time(date(2027, 11, 23))
    assert used(book) == (0, 0, 570)


def test_a_refusal_counts_nothing():
    book = rich()
    for asked in (limited(600, day_max=500), limited(10**9)):
        assert book.ask(asked).code in {"limit_day", "insufficient_funds"}
    assert book.state.counters == {}


def test_C16_a_refused_large_payment_does_not_use_up_the_limit_of_a_small_one():
    book = rich()
    plan = book.ask_batch((limited(1001, day_max=1000),), (limited(1000, day_max=1000),))
    assert [getattr(outcomes[0], "code", "booked") for outcomes in plan.outcomes] == ["limit_day", "booked"]


def test_C04_two_wallets_of_one_household_share_one_counter():
    book = rich()
    book.post(limited(700, HOUSEHOLD, day_max=1000))
    theirs = pay(TARO, BAKERY, 400, limits=(Limit(HOUSEHOLD, 400, day_max=1000),))
    with pytest.raises(LimitDay):
        book.post(theirs)


def test_families_are_counted_apart():
    book = rich()
    asked = pay(HANAKO, BAKERY, 100, limits=(Limit(WALLET, 100), Limit(HOUSEHOLD, 40)))
    book.post(asked)
    assert used(book) == (100, 100, 100)
    assert used(book, HOUSEHOLD) == (40, 40, 40)


def test_one_counter_twice_in_one_instruction_counts_twice():
    book = rich()
    limit = Limit(WALLET, 300, day_max=500)
    assert book.ask(pay(HANAKO, BAKERY, 300, limits=(limit, limit))).code == "limit_day"
    book.post(pay(HANAKO, BAKERY, 300, limits=(limit, replace(limit, amount=200))))
    assert used(book) == (500, 500, 500)


def test_a_refund_lowers_the_limits_of_its_day():
    book = rich()
    asked = limited(1000, day_max=1000)
    book.post(asked)
    book.post(refund(asked, 400))
    assert used(book) == (600, 600, 600)
    book.post(limited(400, day_max=1000))


def test_a_later_refund_lowers_only_the_periods_it_belongs_to():
    book = rich()
    asked = limited(1000)
    book.post(asked)
    book.move_time(TODAY + timedelta(days=1))
    book.post(limited(50))
    book.post(refund(asked, 400))
    assert used(book) == (50, 650, 650)
    book.move_time(date(2026, 12, 5))
    book.post(limited(70))
    book.post(refund(asked, 600))
    assert used(book) == (70, 70, 120)


@pytest.mark.parametrize("counted", [1, 300, 1000, 1500])
def test_a_payment_refunded_in_parts_leaves_nothing_counted(counted):
    book = rich()
    asked = pay(HANAKO, BAKERY, 1000, limits=(Limit(WALLET, counted),))
    book.post(asked)
    left = [counted]
    for amount in (1, 332, 333, 334):
        book.post(refund(asked, amount))
        left.append(used(book)[2])
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


def test_D11_a_bonus_in_the_payments_own_entry_does_not_change_what_a_refund_lowers():
    book = rich()
    book.post(fund(100))
    given = Move("bonus", pot(), lot(programme="grant"), 100)
    asked = instruction(payment(HANAKO, BAKERY, 1000), given, limits=(Limit(WALLET, 1000),))
    book.post(asked)
    book.post(refund(asked, 1000, bonus_back=(BonusBack(asked.id, 2, 100),)))
    assert used(book) == (0, 0, 0)


def test_a_limit_is_never_lowered_by_more_than_was_counted():
    book = rich()
    sent = Draw("gift", HANAKO, 1000, Destination(Kind.WALLET, TARO))
    asked = instruction(payment(HANAKO, BAKERY, 1000), sent, limits=(Limit(WALLET, 2000),))
    book.post(asked)
    book.post(refund(asked, 1000))
    book.post(undo("gift_back", asked, 1000, line=2))
    assert min(used(book)) >= 0


def test_a_bonus_undone_after_its_refund_lowers_no_limit_below_nothing():
    book = rich()
    book.post(fund(1000))
    given = Move("bonus", pot(), lot(programme="grant"), 1000)
    asked = instruction(payment(HANAKO, BAKERY, 1000), given, limits=(Limit(WALLET, 1000),))
    book.post(asked)
    book.post(refund(asked, 1000))
    book.post(undo("bonus_back", asked, 1000, line=len(book.entries[-2].transfers)))
    assert min(used(book)) >= 0


def held(amount, counted, **rest):
    """A hold of Hanako's that counts."""
    ends = NOON + timedelta(hours=1)
    return hold(payment(HANAKO, BAKERY, amount), ends, limits=(Limit(WALLET, counted),), **rest)


def test_a_released_or_ended_hold_leaves_nothing_counted():
    book = rich()
    placed, ending = held(600, 600), held(100, 33)
    book.post(placed)
    book.post(ending)
    book.post(release(placed, 200))
    assert used(book) == (433, 433, 433)
    book.post(release(placed))
    book.move_time(NOON + timedelta(hours=2))
    book.post(expire_hold(ending))
    assert used(book) == (0, 0, 0)


def test_a_captured_hold_stays_counted_until_its_payment_is_refunded():
    book = rich()
    placed = held(600, 600)
    captured = capture(placed, 400)
    book.post(placed)
    book.post(captured)
    assert used(book) == (400, 400, 400)
    book.post(refund(captured, 150))
    assert used(book) == (250, 250, 250)
    book.post(refund(captured, 250))
    assert used(book) == (0, 0, 0)


def test_placing_a_hold_stands_alone_so_that_what_it_counts_is_never_taken_off_twice():
    book = rich()
    both = (PlaceHold(payment(HANAKO, BAKERY, 100), NOON + timedelta(hours=1)), payment(HANAKO, BAKERY, 100))
    for moves in (both, both[::-1]):
        with pytest.raises(InstructionInvalid):
            book.post(instruction(*moves, limits=(Limit(WALLET, 200),)))


# --- Balance ceilings -------------------------------------------------------------------------------------------


def test_a_wallet_may_come_to_hold_exactly_its_ceiling_over_all_programmes():
    book = book_with(top_up(HANAKO, 700), fund(200))
    book.post(instruction(Move("benefit", pot(), lot(programme="grant"), 200)))
    with pytest.raises(LimitBalance) as refused:
        book.post(top_up(HANAKO, 101, balance_ceilings=(BalanceCeiling(HANAKO, 101, 1000),)))
    assert (refused.value.ceiling, refused.value.balance) == (1000, 900)
    book.post(top_up(HANAKO, 100, balance_ceilings=(BalanceCeiling(HANAKO, 100, 1000),)))


def test_a_takers_ceiling_refuses_the_gift():
    book = book_with(top_up(HANAKO, 700), top_up(TARO, 700))
    with pytest.raises(LimitBalance):
        book.post(gift(HANAKO, TARO, 400, balance_ceilings=(BalanceCeiling(TARO, 400, 1000),)))


def test_V11_ended_value_counts_towards_no_ceiling_whether_it_has_been_swept_or_not():
    book = book_with(top_up(HANAKO, 900, expires_on=TODAY))
    book.move_time(TODAY + timedelta(days=1))
    book.post(top_up(HANAKO, 1000, balance_ceilings=(BalanceCeiling(HANAKO, 1000, 1000),)))
    assert book.balance(lot()) == 1000
