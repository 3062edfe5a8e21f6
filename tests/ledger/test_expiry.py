"""The expiry job: value ends with its day in Japan, once, however often and however late the job runs."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from database.days import end_of_day
from ledger.bookkeeper import Capacity
from ledger.expiry import expire_all
from ledger.programme_commands import switch_flow
from ledger.refusals import InsufficientFunds, Overloaded
from tests.ledger import ledger_factories as f
from tests.races.racing import ask, balance_of, book_locked, post_all, wait_for_waiters
from tests.region_under_test import TWO_PEOPLE

pytestmark = pytest.mark.anyio
LAST_DAY = date(2026, 11, 30)
MIDNIGHT = end_of_day(LAST_DAY)
SECOND = timedelta(seconds=1)


@dataclass
class HandClock:
    at: datetime = f.NOON

    def now(self):
        return self.at


async def run_job(region, bookkeeper, clock):
    async with region.connect() as connection:
        return await expire_all(connection, bookkeeper, key=f.KEY, clock=clock)


def top_up(wallet, amount=100, expires_on=LAST_DAY):
    return f.top_up(wallet, amount, expires_on=expires_on)


async def test_F01_value_expires_at_the_end_of_the_day_in_japan_whatever_the_servers_zone(region):
    assert datetime(2026, 11, 30, 15, tzinfo=UTC) == MIDNIGHT
    clock = HandClock()
    lot = f.lot(f.HANAKO, "yen", LAST_DAY)
    async with region.bookkeeper(clock=clock) as bookkeeper:
        await post_all(bookkeeper, [top_up(f.HANAKO), f.top_up(f.HANAKO, 7)])
        clock.at = MIDNIGHT - timedelta(microseconds=1)
        assert await run_job(region, bookkeeper, clock) == 0
        assert await balance_of(region, lot) == 100
        clock.at = MIDNIGHT
        with pytest.raises(InsufficientFunds) as refused:
            await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 100))
        assert refused.value.available == 7, "it is unusable before any job has run"
        assert await run_job(region, bookkeeper, clock) == 1
    assert await balance_of(region, lot) == 0
    assert await balance_of(region, f.expired()) == 100
    assert await balance_of(region, f.lot(f.HANAKO)) == 7


async def test_F04_it_runs_twice_and_late_and_each_lot_expires_once(region):
    clock = HandClock()
    wallets = [uuid4() for _ in range(30)]
    async with region.bookkeeper(clock=clock) as bookkeeper:
        await post_all(bookkeeper, [top_up(wallet) for wallet in wallets])
        clock.at = MIDNIGHT + timedelta(days=40)
        assert await run_job(region, bookkeeper, clock) == 30
        assert await run_job(region, bookkeeper, clock) == 0
        clock.at += timedelta(days=1)
        assert await run_job(region, bookkeeper, clock) == 0
    assert await balance_of(region, f.expired()) == 3000
    assert await ask(region, "SELECT count(*) FROM entry WHERE kind = 'expire'") == (30,)


async def test_F04_two_jobs_at_once_in_two_processes_expire_each_lot_once(region):
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as one, region.bookkeeper(clock=clock) as other:
        await post_all(one, [top_up(uuid4()) for _ in range(100)])
        clock.at = MIDNIGHT
        booked = await asyncio.gather(*(run_job(region, bookkeeper, clock) for bookkeeper in (one, other)))
    assert sum(booked) == 100
    assert await balance_of(region, f.expired()) == 10_000


async def test_F04_it_crashes_half_way_and_the_next_run_does_the_rest(region):
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        await post_all(bookkeeper, [top_up(uuid4()) for _ in range(100)])
    clock.at = MIDNIGHT
    # Room for 40 only: the job ends with a refusal in the middle of its chunk.
    async with region.bookkeeper(clock=clock, capacity=Capacity(queue_max=40)) as bookkeeper:
        with pytest.raises(Overloaded):
            await run_job(region, bookkeeper, clock)
    assert await balance_of(region, f.expired()) == 4000
    async with region.bookkeeper(clock=clock) as bookkeeper:
        assert await run_job(region, bookkeeper, clock) == 60
        assert await run_job(region, bookkeeper, clock) == 0
    assert await balance_of(region, f.expired()) == 10_000


async def test_F04_it_is_cancelled_while_its_chunk_waits_and_nothing_expires_twice(region):
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        await post_all(bookkeeper, [top_up(uuid4()) for _ in range(50)])
        clock.at = MIDNIGHT
        async with book_locked(region):
            job = asyncio.create_task(run_job(region, bookkeeper, clock))
            await wait_for_waiters(region)
            job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        again = await run_job(region, bookkeeper, clock)
    assert again <= 50
    assert await ask(region, "SELECT count(*) FROM entry WHERE kind = 'expire'") == (50,)
    assert await balance_of(region, f.expired()) == 5000


async def test_more_than_one_chunk_is_done(region):
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        await post_all(bookkeeper, [top_up(uuid4(), 1) for _ in range(1201)])
        clock.at = MIDNIGHT
        assert await run_job(region, bookkeeper, clock) == 1201


async def test_value_that_comes_back_into_an_ended_lot_expires_again_and_once(region):
    """A refund restores into a grace lot; the job ends that one when its days are over."""
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        paid = f.pay(f.HANAKO, f.BAKERY, 60)
        await post_all(bookkeeper, [top_up(f.HANAKO), paid])
        clock.at = MIDNIGHT
        assert await run_job(region, bookkeeper, clock) == 1
        assert await balance_of(region, f.expired()) == 40
        await bookkeeper.post(f.refund(paid, 60, grace_days=14))
        grace = f.lot(f.HANAKO, "yen", date(2026, 12, 15), grace=True)
        assert await balance_of(region, grace) == 60
        clock.at = end_of_day(date(2026, 12, 15)) - SECOND
        assert await run_job(region, bookkeeper, clock) == 0
        clock.at += SECOND
        assert await run_job(region, bookkeeper, clock) == 1
        assert await run_job(region, bookkeeper, clock) == 0
    assert await balance_of(region, f.expired()) == 100


async def test_the_same_sum_in_the_same_lot_may_expire_a_second_time(region):
    """An undone expiry brings the lot back to a balance that it had before: its next end is another one."""
    clock = HandClock(MIDNIGHT)
    async with region.bookkeeper(clock=HandClock()) as bookkeeper:
        await bookkeeper.post(top_up(f.HANAKO))
    async with region.bookkeeper(clock=clock) as bookkeeper:
        assert await run_job(region, bookkeeper, clock) == 1
        (ended,) = await ask(region, "SELECT id FROM entry WHERE kind = 'expire'")
        # Back for three days, in a grace lot.
        await bookkeeper.post(f.undo("expire_back", f.instruction(id=ended), grace_days=3))
        clock.at += timedelta(days=4)
        assert await run_job(region, bookkeeper, clock) == 1
    assert await balance_of(region, f.expired()) == 100


async def test_a_hold_ends_at_its_instant_and_its_value_is_free_again(region):
    clock = HandClock()
    until = f.NOON + timedelta(hours=2)
    async with region.bookkeeper(clock=clock) as bookkeeper:
        held = [f.hold(f.payment(f.HANAKO, f.BAKERY, 30), until) for _ in range(3)]
        await post_all(bookkeeper, [f.top_up(f.HANAKO, 100), *held, f.capture(held[0], 10, releases_rest=False)])
        clock.at = until - timedelta(microseconds=1)
        assert await run_job(region, bookkeeper, clock) == 0
        clock.at = until
        assert await run_job(region, bookkeeper, clock) == 3
        assert await run_job(region, bookkeeper, clock) == 0
        assert (await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 90))).entry
    assert await ask(region, "SELECT sum(held)::int FROM account") == (0,)


async def test_value_that_was_held_on_its_last_day_expires_in_the_same_run(region):
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        hold = f.hold(f.payment(f.HANAKO, f.BAKERY, 30), f.NOON + timedelta(days=99))
        await post_all(bookkeeper, [top_up(f.HANAKO), hold])
        clock.at = MIDNIGHT
        await run_job(region, bookkeeper, clock)
    assert await balance_of(region, f.expired()) == 100


async def test_a_programme_that_expires_nothing_does_not_keep_the_others_value_alive(region):
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper, region.connect() as connection:
        hold = f.hold(f.payment(f.TARO, f.BAKERY, 30), f.NOON + SECOND)
        await post_all(
            bookkeeper,
            [
                top_up(f.HANAKO),
                f.top_up(f.TARO, 30),
                hold,
                f.fund(100, programme="premium"),
                f.bonus(f.HANAKO, 40, programme="premium", expires_on=LAST_DAY),
            ],
        )
        await switch_flow(connection, "premium", "expire", is_on=False, people=TWO_PEOPLE, at=clock.now())
        clock.at = MIDNIGHT
        await run_job(region, bookkeeper, clock)
    assert await balance_of(region, f.expired()) == 100
    assert await balance_of(region, f.expired("premium")) == 0
    assert await ask(region, "SELECT sum(held)::int FROM account") == (0,)
