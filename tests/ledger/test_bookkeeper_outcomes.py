"""What a caller hears when the database goes: the truth, late if need be, never "failed" for what is booked."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from database.connections import DatabaseBusy, borrow, hang_up, open_pool
from database.transactions import CommitUnknown, SwallowedError, run_in_transaction
from ledger.book import read_book
from ledger.bookkeeper import Bookkeeper, Capacity
from ledger.clearance import ClearAll
from ledger.refusals import OutcomeUnknown, Refusal
from tests.ledger import ledger_factories as f
from tests.ledger.cutting_proxy import cutting_proxy
from tests.races.racing import FIRST, REPLAY, ask, balance_of, book_locked, post_all, tally, wait_for_waiters

pytestmark = pytest.mark.anyio
QUICK = Capacity(outcome_timeout_seconds=0.5)


@asynccontextmanager
async def cut_off(region, folder, **options):
    """A bookkeeper behind a proxy that can cut its connection."""
    async with (
        cutting_proxy(region.urls.application, folder) as (proxy, url),
        Bookkeeper(url, region.code, **options) as bookkeeper,
    ):
        yield proxy, bookkeeper


@pytest.fixture
def socket_folder(tmp_path_factory):
    # A socket's path is short.
    return tmp_path_factory.mktemp("p")


# --- The connection is cut around COMMIT --------------------------------------------------------------------------


async def test_B04_an_answer_lost_after_commit_is_read_back_and_executed_once(region, socket_folder):
    async with cut_off(region, socket_folder) as (proxy, bookkeeper):
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        proxy.cut_after = 1
        posted = await bookkeeper.post(paid := f.pay(f.HANAKO, f.BAKERY, 300))
        assert proxy.is_done.is_set()
        assert not posted.is_replay, "it is the first answer, only late"
        assert posted.hash == (await ask(region, "SELECT hash FROM book"))[0]
        assert (await bookkeeper.post(paid)).is_replay
    assert await balance_of(region, f.takings()) == 300


async def test_B05_a_commit_that_never_arrived_is_executed_once(region, socket_folder):
    async with cut_off(region, socket_folder) as (proxy, bookkeeper):
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        proxy.cut_before = 1
        posted = await bookkeeper.post(paid := f.pay(f.HANAKO, f.BAKERY, 300))
        assert proxy.is_done.is_set()
        assert not posted.is_replay
        assert (await bookkeeper.post(paid)).is_replay
    assert await balance_of(region, f.takings()) == 300


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
async def test_B06_a_batch_cut_during_commit_gets_the_right_answers(region, socket_folder, cut):
    earlier = f.pay(f.HANAKO, f.BAKERY, 5)
    async with cut_off(region, socket_folder) as (proxy, bookkeeper):
        await post_all(bookkeeper, [f.top_up(f.HANAKO, 1000), earlier])
        setattr(proxy, cut, 1)
        mixed = [
            *(f.pay(f.HANAKO, f.BAKERY, 10) for _ in range(30)),
            f.pay(f.HANAKO, f.BAKERY, 5000),
            earlier,
            f.pay(f.HANAKO, f.BAKERY, 10, id=earlier.id),
        ]
        outcomes = await post_all(bookkeeper, mixed)
        assert proxy.is_done.is_set()
        assert outcomes == [FIRST] * 30 + ["insufficient_funds", REPLAY, "id_reused"]
        assert await post_all(bookkeeper, mixed) == [REPLAY] * 30 + ["insufficient_funds", REPLAY, "id_reused"]
    assert await balance_of(region, f.takings()) == 305


async def test_B06_cut_again_and_again_it_still_comes_out_right(region, socket_folder):
    async with cut_off(region, socket_folder) as (proxy, bookkeeper):
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        proxy.cut_before = 2
        assert tally(await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(50)])) == {FIRST: 50}
        proxy.cut_after = 2
        assert tally(await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(50)])) == {FIRST: 50}
    assert await balance_of(region, f.takings()) == 100


async def test_B06_a_give_up_cut_during_commit_is_one_truth(region, socket_folder):
    asked = f.pay(f.HANAKO, f.BAKERY, 1)
    async with cut_off(region, socket_folder) as (proxy, bookkeeper):
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        proxy.cut_after = 1
        assert await bookkeeper.give_up(f.give_up(asked)) is None
        assert proxy.is_done.is_set()
        assert await post_all(bookkeeper, [asked]) == ["id_given_up"]


async def test_B06_linked_instructions_cut_during_commit_settle_once(region, socket_folder):
    async with cut_off(region, socket_folder) as (proxy, bookkeeper):
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        proxy.cut_after = 1
        posted = await bookkeeper.post_linked([f.pay(f.HANAKO, f.BAKERY, 1), f.gift(f.HANAKO, f.TARO, 2)])
    assert [one.is_replay for one in posted] == [False, False]
    assert await ask(region, "SELECT seq FROM book") == (3,)


async def test_B06_what_another_process_booked_meanwhile_is_a_replay_here(region, socket_folder):
    paid = f.pay(f.HANAKO, f.BAKERY, 300)
    async with region.bookkeeper() as other, cut_off(region, socket_folder) as (proxy, bookkeeper):
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        proxy.cut_before = 1
        waiting = asyncio.create_task(bookkeeper.post(paid))
        await proxy.is_done.wait()
        there = await other.post(paid)
        here = await waiting
    assert here.entry == there.entry
    assert [here.is_replay, there.is_replay].count(False) == 1


async def test_run_in_transaction_tells_unknown_from_failed(region, socket_folder):
    async def work(connection):
        await connection.execute("SELECT lock_book()")

    async with cutting_proxy(region.urls.application, socket_folder) as (proxy, url):
        for cut in ("cut_before", "cut_after"):
            setattr(proxy, cut, 1)
            async with await psycopg.AsyncConnection.connect(url, options="-csearch_path=region_komorebi") as one:
                with pytest.raises(CommitUnknown):
                    await run_in_transaction(one, work)
        async with await psycopg.AsyncConnection.connect(url, options="-csearch_path=region_komorebi") as one:

            async def fail(connection):
                await connection.execute("SELECT 1 / 0")

            with pytest.raises(psycopg.errors.DivisionByZero):
                await run_in_transaction(one, fail)
            await run_in_transaction(one, work)


# --- The database goes away ---------------------------------------------------------------------------------------


async def test_G01_a_session_ended_in_the_middle_of_a_batch_disturbs_nobody(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        async with book_locked(region):
            waiting = [asyncio.create_task(bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 1))) for _ in range(20)]
            await wait_for_waiters(region)
            assert await end_sessions(region) == 1
        posted = await asyncio.gather(*waiting)
    assert not any(one.is_replay for one in posted)
    assert await balance_of(region, f.takings()) == 20


async def test_G01_sessions_ended_while_payments_stream_in_lose_and_double_nothing(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 100_000))
        stop = asyncio.Event()

        async def pay_on():
            words = []
            while not stop.is_set():
                words += await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(5)])
            return words

        tills = [asyncio.create_task(pay_on()) for _ in range(8)]
        ended = 0
        async with asyncio.timeout(30):
            while ended < 10:
                ended += await end_sessions(region)
        stop.set()
        words = [word for till in await asyncio.gather(*tills) for word in till]
    assert set(words) == {FIRST}
    assert await balance_of(region, f.takings()) == len(words)


async def end_sessions(region):
    """Ends the bookkeeper's session, wherever it is; how many there were. Returns when they are gone."""
    async with region.connect(role="superuser") as connection:
        cursor = await connection.execute(
            """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
               WHERE datname = current_database() AND usename = 'meguri_app' AND query NOT LIKE 'SELECT lock_book()'
                 AND pid <> pg_backend_pid()"""
        )
        return len(await cursor.fetchall())


async def test_B06_a_database_gone_for_longer_than_a_caller_waits_leaves_the_outcome_unknown(region, socket_folder):
    async with cut_off(region, socket_folder, capacity=QUICK) as (proxy, bookkeeper):
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        booked, never = f.pay(f.HANAKO, f.BAKERY, 300), f.pay(f.HANAKO, f.BAKERY, 400)
        # The first is committed, and then nobody is there to say so.
        proxy.cut_after, waiting = 1, asyncio.create_task(bookkeeper.post(booked))
        await proxy.is_done.wait()
        proxy.cut_all()
        with pytest.raises(OutcomeUnknown):
            await waiting
        with pytest.raises(OutcomeUnknown):
            await bookkeeper.post(never)
        assert await ask(region, "SELECT seq FROM book") == (2,)
        proxy.is_closed = False
        first, second = await bookkeeper.post(booked), await bookkeeper.post(never)
        assert (first.entry.seq, second.entry.seq) == (2, 3)
        assert not second.is_replay
    assert await balance_of(region, f.takings()) == 700


async def test_after_an_unknown_outcome_the_queue_has_room_again(region, socket_folder):
    capacity = Capacity(outcome_timeout_seconds=0.3, queue_max=5)
    async with cut_off(region, socket_folder, capacity=capacity) as (proxy, bookkeeper):
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        proxy.cut_all()
        for _ in range(3):
            payments = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(5)]
            assert tally(await post_all(bookkeeper, payments)) == {"outcome_unknown": 5}
            # The places are free when the bookkeeper has noticed that nobody waits.
            async with asyncio.timeout(5):
                while bookkeeper._waiting:  # noqa: ASYNC110 - an event of its own
                    await asyncio.sleep(0.01)
        proxy.is_closed = False
        assert tally(await post_all(bookkeeper, payments)) == {FIRST: 5}


async def test_a_bookkeeper_can_be_closed_while_the_database_is_away(region, socket_folder):
    async with asyncio.timeout(10):
        async with cut_off(region, socket_folder, capacity=QUICK) as (proxy, bookkeeper):
            proxy.cut_all()
            waiting = asyncio.create_task(bookkeeper.post(f.top_up(f.HANAKO, 1000)))
            await asyncio.sleep(0)
        with pytest.raises(OutcomeUnknown):
            await waiting
    assert await ask(region, "SELECT seq FROM book") == (0,)


async def test_a_bookkeeper_that_froze_with_the_lock_in_its_hand_does_not_stop_the_region(region):
    """The server ends its session after five seconds; then the next in line goes on."""

    class Frozen:
        async def record(self, connection, booked):
            del connection, booked
            started.set()
            await thaw.wait()

    started, thaw = asyncio.Event(), asyncio.Event()
    async with region.bookkeeper(recorder=Frozen()) as frozen, region.bookkeeper() as other:
        stuck = asyncio.create_task(frozen.post(f.top_up(f.HANAKO, 1000)))
        await started.wait()
        began = time.monotonic()
        await other.post(f.top_up(f.TARO, 1000))
        assert 4 < time.monotonic() - began < 9
        thaw.set()
        assert (await stuck).entry.seq == 2


async def test_G05_an_exhausted_pool_is_told_in_under_two_seconds(region):
    async with open_pool(region.urls.application, region.code, size_max=2) as pool:
        async with borrow(pool), borrow(pool):
            began = time.monotonic()
            with pytest.raises(DatabaseBusy) as busy:
                async with borrow(pool):
                    pass
            assert time.monotonic() - began < 2
            assert busy.value.retry_after_seconds >= 1
        async with borrow(pool) as connection:
            assert (await (await connection.execute("SELECT seq FROM book")).fetchone()) == (0,)


async def test_G05_an_exhausted_pool_for_reading_does_not_stop_payments(region):
    async with (
        open_pool(region.urls.application, region.code, size_max=1) as pool,
        borrow(pool),
        region.bookkeeper() as bookkeeper,
    ):
        assert (await bookkeeper.post(f.top_up(f.HANAKO, 1000))).entry.seq == 1


async def test_what_was_read_through_the_pool_is_never_written(region):
    async with open_pool(region.urls.application, region.code, size_max=1) as pool:
        with suppress(Refusal):
            async with borrow(pool) as connection:
                await connection.execute("SELECT lock_book()")
                raise OutcomeUnknown
        async with borrow(pool) as connection:
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


class Swallowing:
    """A recorder that hides an error of the database, as a careless one would."""

    async def record(self, connection, booked):
        del booked
        with suppress(psycopg.Error):
            await connection.execute("SELECT 1 / 0")


async def test_work_that_hides_an_error_of_the_database_is_never_answered_as_booked(region):
    async with region.bookkeeper(recorder=Swallowing()) as bookkeeper:
        with pytest.raises(SwallowedError):
            await bookkeeper.post(f.top_up(f.HANAKO, 100))
    async with region.connect() as connection:
        assert (await read_book(connection)).seq == 0


class Ahead:
    """A clock that runs 400 days ahead."""

    def now(self):
        return datetime.now(UTC) + timedelta(days=400)


async def test_a_wrong_clock_does_not_end_every_lot_for_good(region):
    async with region.connect(role="owner") as connection:
        await connection.execute("UPDATE book SET clock_ahead_max = '1 minute'")
        await connection.commit()
    async with region.bookkeeper(clock=Ahead()) as bookkeeper:
        with pytest.raises(OutcomeUnknown):
            await bookkeeper.post(f.top_up(f.HANAKO, 100))
    async with region.bookkeeper() as bookkeeper:
        assert (await bookkeeper.post(f.top_up(f.HANAKO, 100))).entry.seq == 1


class EndsItsSession(ClearAll):
    """Has the server end the session whenever one instruction is in the batch."""

    def __init__(self, poison):
        self.poison = poison

    async def read_facts(self, connection, instructions, at):
        del at
        if self.poison in {one.id for one in instructions}:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return self


async def test_C17_an_instruction_that_ends_the_session_each_time_fails_alone(region):
    asked = [f.top_up(f.HANAKO, 1) for _ in range(20)]
    async with region.bookkeeper(clearance=EndsItsSession(asked[7].id)) as bookkeeper:
        outcomes = await asyncio.gather(*(bookkeeper.post(one) for one in asked), return_exceptions=True)
    assert [number for number, one in enumerate(outcomes) if isinstance(one, Exception)] == [7]
    assert isinstance(outcomes[7], OutcomeUnknown)


class Cancelled(ClearAll):
    """Awaits something that was cancelled, for one instruction."""

    def __init__(self, poison):
        self.poison = poison

    async def read_facts(self, connection, instructions, at):
        del connection, at
        if self.poison in {one.id for one in instructions}:
            raise asyncio.CancelledError
        return self


async def test_whatever_is_raised_the_bookkeeper_goes_on(region):
    bad, good = f.top_up(f.HANAKO, 1), f.top_up(f.HANAKO, 2)
    async with region.bookkeeper(clearance=Cancelled(bad.id)) as bookkeeper:
        with pytest.raises(OutcomeUnknown):
            await bookkeeper.post(bad)
        assert (await bookkeeper.post(good)).entry.seq == 1


async def test_a_database_that_was_read_only_for_a_while_takes_entries_again(region):
    database = region.urls.application.rsplit("/", 1)[1].split("?")[0]
    async with region.connect(role="owner") as connection:
        await connection.set_autocommit(True)
        await connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        async with region.bookkeeper() as bookkeeper:
            with pytest.raises(OutcomeUnknown):
                await bookkeeper.post(f.top_up(f.HANAKO, 1))
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
            assert (await bookkeeper.post(f.top_up(f.HANAKO, 1))).entry.seq == 1


async def test_a_line_that_is_hung_up_wakes_who_waits_on_it(region):
    async with region.connect() as connection:
        asyncio.get_running_loop().call_later(0.2, hang_up, connection)
        with pytest.raises(psycopg.OperationalError):
            await asyncio.wait_for(connection.execute("SELECT pg_sleep(60)"), timeout=5)
        hang_up(connection)  # twice is no harm
