"""The bookkeeper's promises while the database is well: the queue, the batch, its one instant, and poison in it."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from database.days import end_of_day
from ledger.batch_planning import REFUSALS_PER_MINUTE_MAX
from ledger.bookkeeper import LINKED_MAX, Capacity
from ledger.clearance import ClearAll
from ledger.instructions import AMOUNT_MAX, CounterKey, Limit
from ledger.programme_commands import open_or_close_book
from ledger.refusals import (
    InstructionInvalid,
    InsufficientFunds,
    Overloaded,
    RegionClosed,
    TooManyRequests,
)
from tests.ledger import ledger_factories as f
from tests.races.racing import FIRST, REPLAY, ask, balance_of, book_locked, post_all, tally, wait_for_waiters
from tests.region_under_test import TWO_PEOPLE, region_under_test

pytestmark = pytest.mark.anyio


@dataclass
class HandClock:
    """Shows what it was set to, and moves on by `step` whenever it is read."""

    at: datetime = f.NOON
    step: timedelta = timedelta()

    def now(self):
        self.at += self.step
        return self.at


# --- Batches ------------------------------------------------------------------------------------------------------


async def test_what_waits_becomes_one_batch_and_its_answers_carry_the_chain(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        posted = await asyncio.gather(*(bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 1)) for _ in range(100)))
        lone = await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 1))
    assert [one.entry.seq for one in posted] == list(range(2, 102))
    assert await ask(region, "SELECT count(*) FROM checkpoint") == (3,)
    assert await ask(region, "SELECT seq, hash FROM book") == (102, lone.hash)
    assert await ask(region, "SELECT hash FROM checkpoint WHERE seq = 101") == (posted[-1].hash,)
    assert len({one.hash for one in posted}) == 100


async def test_a_batch_is_no_larger_than_it_may_be(region):
    async with region.bookkeeper(capacity=Capacity(batch_max=10)) as bookkeeper:
        await asyncio.gather(*(bookkeeper.post(f.top_up(f.HANAKO, 1)) for _ in range(35)))
    async with region.connect() as connection:
        cursor = await connection.execute(
            "SELECT seq - lag(seq, 1, 0) OVER (ORDER BY seq) FROM checkpoint ORDER BY seq"
        )
        assert [row[0] for row in await cursor.fetchall()] == [10, 10, 10, 5]


@pytest.mark.parametrize("size", [1, 7, 60])
async def test_V11_a_batch_of_n_is_n_batches_of_one(region, cluster, region_template, size):
    story = a_story()
    with ExitStack() as stack:
        other = await asyncio.to_thread(stack.enter_context, region_under_test(cluster, region_template))
        together = await run_story(region, story, size)
        one_by_one = await run_story(other, story, 1)
        assert together == one_by_one
        ends = [await ask(one, "SELECT seq, at, hash, account_id, counter_id FROM book") for one in (region, other)]
        assert ends[0] == ends[1]
        batches = [(await ask(one, "SELECT count(*) FROM checkpoint"))[0] for one in (region, other)]
        assert batches[0] <= batches[1]
        assert size == 1 or batches[0] < batches[1]
        # Proving it runs a loop of its own.
        await asyncio.to_thread(stack.close)


def a_story():
    """Sixty instructions that build on each other, good and bad, of every kind that a day brings."""
    household = CounterKey("household", f.person("household"))
    story = []
    for number in range(6):
        pay = f.pay(f.HANAKO, f.BAKERY, 300, limits=(Limit(household, 300, day_max=1300),))
        gift = f.gift(f.HANAKO, f.TARO, 50)
        hold = f.hold(f.payment(f.TARO, f.GREENGROCER, 40), f.NOON + timedelta(days=2))
        story += [
            f.top_up(f.HANAKO, 500, expires_on=date(2027, 1 + number, 5)),
            f.fund(400, programme="premium"),
            f.bonus(f.HANAKO, 150, programme="premium", expires_on=date(2027, 3, 5)),
            pay,
            gift,
            f.pay(f.HANAKO, f.BAKERY, 90_000),
            hold,
            f.capture(hold, 25) if number % 2 else f.release(hold),
            f.refund(pay, 120),
            f.settle(fee=3) if number == 3 else f.pay(f.HANAKO, f.BAKERY, 1, single_use=f.single_use("one code")),
        ]
    return story


async def run_story(region, story, size):
    answers = []
    async with region.bookkeeper(clock=HandClock()) as bookkeeper:
        for start in range(0, len(story), size):
            answers += await post_all(bookkeeper, story[start : start + size])
    assert {FIRST, "insufficient_funds", "code_used"} <= set(answers)
    return answers


async def test_F05_a_batch_has_one_now_and_a_payment_at_the_instant_of_expiry_is_late(region):
    last_day = date(2026, 11, 30)
    midnight = end_of_day(last_day)
    assert midnight == datetime(2026, 11, 30, 15, tzinfo=UTC)
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000, expires_on=last_day))
        clock.at = midnight - timedelta(microseconds=1)
        assert tally(await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(50)])) == {FIRST: 50}
        clock.at = midnight
        late = await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(50)])
        assert tally(late) == {"insufficient_funds": 50}


async def test_F05_a_batch_on_the_boundary_is_judged_as_a_whole(region):
    last_day = date(2026, 11, 30)
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000, expires_on=last_day))
        # Read once more within the batch, it would be tomorrow.
        clock.at, clock.step = end_of_day(last_day) - timedelta(seconds=3), timedelta(seconds=2)
        assert tally(await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(100)])) == {FIRST: 100}
        assert tally(await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1)])) == {"insufficient_funds": 1}
    assert await ask(region, "SELECT count(DISTINCT at) FROM entry WHERE kind = 'payment'") == (1,)


async def test_V7_a_clock_that_goes_back_does_not_take_the_book_with_it(region):
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        first = await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        clock.at -= timedelta(hours=1)
        second = await bookkeeper.post(f.top_up(f.HANAKO, 1000))
    assert second.entry.at == first.entry.at == f.NOON


# --- The queue ----------------------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_at_the_door_and_the_id_stays_free(region):
    async with region.bookkeeper(capacity=Capacity(queue_max=3)) as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        payments = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(5)]
        async with book_locked(region):
            waiting = [asyncio.create_task(bookkeeper.post(one)) for one in payments[:3]]
            await wait_for_waiters(region)
            for one in payments[3:]:
                with pytest.raises(Overloaded):
                    await bookkeeper.post(one)
            with pytest.raises(Overloaded):
                await bookkeeper.give_up(f.give_up(payments[4]))
        await asyncio.gather(*waiting)
        assert await post_all(bookkeeper, payments) == [REPLAY] * 3 + ["overloaded"] * 2
        assert await post_all(bookkeeper, payments[3:]) == [FIRST] * 2


async def test_closing_finishes_the_queue_and_takes_nothing_more(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
    bookkeeper = await region.bookkeeper(capacity=Capacity(batch_max=10)).__aenter__()
    async with book_locked(region):
        waiting = [asyncio.create_task(bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 1))) for _ in range(50)]
        await wait_for_waiters(region)
        closing = asyncio.create_task(bookkeeper.__aexit__(None, None, None))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 1))
    posted = await asyncio.gather(*waiting)
    await closing
    assert len({one.entry.seq for one in posted}) == 50
    with pytest.raises(Overloaded):
        await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 1))


async def test_one_that_is_not_open_takes_nothing(region):
    with pytest.raises(Overloaded):
        await region.bookkeeper().post(f.top_up(f.HANAKO, 1))


async def test_a_caller_who_goes_away_does_not_disturb_the_others(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        payments = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(10)]
        async with book_locked(region):
            waiting = [asyncio.create_task(bookkeeper.post(one)) for one in payments]
            await wait_for_waiters(region)
            for task in waiting[::2]:
                task.cancel()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one).__name__ for one in outcomes] == ["CancelledError", "Posted"] * 5
        assert await post_all(bookkeeper, payments) == [REPLAY] * 10, "what was on its way arrived"


async def test_a_form_that_is_wrong_never_enters_the_queue(region):
    async with region.bookkeeper() as bookkeeper:
        for amount in (0, -1, AMOUNT_MAX + 1, 2**53, 2**63 - 1, 2**63, True, 1.0, "100", None):
            with pytest.raises(InstructionInvalid):
                await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, amount))
    assert await ask(region, "SELECT count(*) FROM refused_instruction") == (0,)


async def test_C06_sums_of_the_largest_amounts_do_not_overflow(region):
    async with region.bookkeeper() as bookkeeper:
        await asyncio.gather(*(bookkeeper.post(f.top_up(f.HANAKO, AMOUNT_MAX)) for _ in range(300)))
        with pytest.raises(InsufficientFunds) as refused:
            await bookkeeper.post(f.pay(f.TARO, f.BAKERY, AMOUNT_MAX))
    assert refused.value.available == 0
    assert await balance_of(region, f.lot(f.HANAKO)) == 300 * AMOUNT_MAX


async def test_a_closed_region_takes_nothing_and_says_first_answers_again(region):
    async with region.bookkeeper() as bookkeeper, region.connect() as connection:
        topped_up = f.top_up(f.HANAKO, 1000)
        await bookkeeper.post(topped_up)
        await open_or_close_book(connection, is_open=False, people=TWO_PEOPLE, at=datetime.now(UTC))
        with pytest.raises(RegionClosed):
            await bookkeeper.post(f.top_up(f.HANAKO, 1))
        assert (await bookkeeper.post(topped_up)).is_replay
        await open_or_close_book(connection, is_open=True, people=TWO_PEOPLE, at=datetime.now(UTC))
        await bookkeeper.post(f.top_up(f.HANAKO, 1))


# --- Refusals -----------------------------------------------------------------------------------------------------


async def test_above_600_refusals_a_minute_a_further_one_leaves_its_id_free(region):
    clock = HandClock()
    async with region.bookkeeper(clock=clock) as bookkeeper:
        refused = [f.pay(f.HANAKO, f.BAKERY, 5) for _ in range(REFUSALS_PER_MINUTE_MAX + 10)]
        outcomes = await post_all(bookkeeper, refused)
        assert tally(outcomes) == {"insufficient_funds": 600, "too_many_requests": 10}
        assert await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 5, caller="terminal:2")]) == [
            "insufficient_funds"
        ]
        assert await ask(region, "SELECT count(*) FROM refused_instruction") == (601,)
        # What would be accepted still is, also under an id that was too much a moment ago.
        await bookkeeper.post(f.top_up(f.HANAKO, 20))
        freed = [one for one, outcome in zip(refused, outcomes, strict=True) if outcome == "too_many_requests"]
        assert tally(await post_all(bookkeeper, freed)) == {FIRST: 4, "too_many_requests": 6}
        clock.at += timedelta(seconds=59)
        with pytest.raises(TooManyRequests):
            await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 5))
        # A till can always end a sale.
        assert await bookkeeper.give_up(f.give_up(f.pay(f.HANAKO, f.BAKERY, 5))) is None
        clock.at += timedelta(seconds=1)
        with pytest.raises(InsufficientFunds):
            await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 5))


async def test_V12_a_refused_instruction_leaves_every_row_as_it_was(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        before = await everything(region)
        limit = Limit(CounterKey("wallet", f.HANAKO), 1)
        assert (
            await post_all(
                bookkeeper,
                [
                    f.pay(f.HANAKO, f.person("new merchant"), 1001, limits=(limit,), single_use=f.single_use()),
                    f.instruction(
                        f.payment(f.HANAKO, f.BAKERY, 600), f.payment(f.HANAKO, f.GREENGROCER, 600), limits=(limit,)
                    ),
                    f.hold(f.payment(f.HANAKO, f.BAKERY, 1001), f.NOON + timedelta(days=9999)),
                ],
            )
            == ["insufficient_funds"] * 3
        )
    assert await everything(region) == before


async def everything(region):
    tables = "book account entry transfer undone hold hold_line hold_movement limit_counter limit_count checkpoint"
    async with region.connect() as connection:
        return {
            table: await (await connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")).fetchall()
            for table in tables.split()
        }


# --- Linked -------------------------------------------------------------------------------------------------------


async def test_linked_instructions_settle_all_or_none(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        bad = [f.pay(f.HANAKO, f.BAKERY, 600), f.pay(f.HANAKO, f.GREENGROCER, 600), f.top_up(f.TARO, 5)]
        with pytest.raises(InsufficientFunds):
            await bookkeeper.post_linked(bad)
        assert await ask(region, "SELECT seq FROM book") == (1,)
        # The culprit's id is used up, the others' are free.
        assert await post_all(bookkeeper, bad) == [FIRST, "insufficient_funds", FIRST]
        good = [f.pay(f.HANAKO, f.BAKERY, 100), f.gift(f.HANAKO, f.TARO, 300), f.pay(f.TARO, f.BAKERY, 305)]
        posted = await bookkeeper.post_linked(good)
        assert [one.entry.seq for one in posted] == [4, 5, 6]
        again = await bookkeeper.post_linked(good)
        assert all(one.is_replay for one in again)


async def test_linked_instructions_have_ids_of_their_own_and_are_not_too_many(region):
    async with region.bookkeeper() as bookkeeper:
        one = f.top_up(f.HANAKO, 1)
        for wrong in ([], [one, one], [f.top_up(f.HANAKO, 1) for _ in range(LINKED_MAX + 1)]):
            with pytest.raises(InstructionInvalid):
                await bookkeeper.post_linked(wrong)


# --- Poison -------------------------------------------------------------------------------------------------------


class Poisoned(Exception):  # noqa: N818 - reads as a sentence
    """What the domain's code fails with on one instruction."""


@dataclass
class PoisonClearance(ClearAll):
    """Fails on the poisoned ids."""

    ids: set

    def decide(self, instruction, state):
        if instruction.id in self.ids:
            raise Poisoned
        return super().decide(instruction, state)


@dataclass
class PoisonFacts(ClearAll):
    """Fails for a whole batch in which a poisoned id is."""

    ids: set

    async def read_facts(self, connection, instructions, at):
        if any(one.id in self.ids for one in instructions):
            await connection.execute("SELECT 1 / 0")
        return await super().read_facts(connection, instructions, at)


@dataclass
class PoisonRecorder:
    """Writes a row for each entry; for the poisoned ids with the statement that fails."""

    ids: set
    statement: str | None = None

    async def record(self, connection, booked):
        for instruction, one in booked:
            if instruction.id in self.ids:
                if self.statement is None:
                    raise Poisoned
                await connection.execute(self.statement)
            await connection.execute("INSERT INTO seen VALUES (%s, %s)", [one.entry.id, one.entry.seq])


SEEN = """CREATE TABLE seen (id uuid PRIMARY KEY, seq bigint NOT NULL);
          CREATE TABLE seen_in_the_end (seq bigint REFERENCES entry DEFERRABLE INITIALLY DEFERRED);
          GRANT SELECT, INSERT ON seen, seen_in_the_end TO meguri_app"""


async def run_poisoned(region, size, culprit, **options):
    """Posts payments of which one is poison; the outcomes, and those after the poison has gone."""
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 10_000))
    payments = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(size)]
    ids = {payments[culprit].id}
    made = {name: maker(ids) for name, maker in options.items()}
    async with region.bookkeeper(**made) as bookkeeper:
        outcomes = await asyncio.gather(*(bookkeeper.post(one) for one in payments), return_exceptions=True)
        ids.clear()
        later = await post_all(bookkeeper, payments)
    return outcomes, later


@pytest.mark.parametrize("culprit", [0, 100, 255])
@pytest.mark.parametrize("protocol", ["clearance", "facts"])
async def test_C17_one_poison_for_the_clearance_in_256_fails_alone(region, culprit, protocol):
    clearance = {"clearance": PoisonClearance, "facts": PoisonFacts}[protocol]
    outcomes, later = await run_poisoned(region, 256, culprit, clearance=clearance)
    failed = [number for number, one in enumerate(outcomes) if isinstance(one, Exception)]
    assert failed == [culprit]
    assert isinstance(outcomes[culprit], Poisoned | psycopg.errors.DivisionByZero)
    assert tally(later) == {REPLAY: 255, FIRST: 1}, "the culprit's id was not used up"


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (None, Poisoned),
        ("SELECT 1 / 0", psycopg.errors.DivisionByZero),
        ("INSERT INTO seen SELECT id, 1 FROM entry", psycopg.errors.UniqueViolation),
        # Fails at COMMIT only.
        ("INSERT INTO seen_in_the_end VALUES (-1)", psycopg.errors.ForeignKeyViolation),
    ],
    ids=["exception", "division", "unique", "at_commit"],
)
async def test_C17_one_poison_for_the_recorder_in_256_fails_alone(region, statement, error):
    async with region.connect(role="owner") as connection:
        await connection.execute(SEEN)
    outcomes, later = await run_poisoned(
        region, 256, 77, recorder=lambda ids: PoisonRecorder(ids, statement=statement)
    )
    failed = [number for number, one in enumerate(outcomes) if isinstance(one, Exception)]
    assert failed == [77]
    assert isinstance(outcomes[77], error)
    assert tally(later) == {REPLAY: 255, FIRST: 1}
    rows = await ask(
        region, "SELECT count(*), count(seen.id) FROM entry LEFT JOIN seen USING (id, seq) WHERE kind = 'payment'"
    )
    assert rows == (256, 256), "every entry has its domain row, once"


async def test_C17_poison_that_looks_like_a_sick_database_does_not_take_its_neighbours_along(region):
    """53, 54 and 57 are classes of errors that a server in trouble gives, and that one row may give, too."""
    async with region.connect(role="owner") as connection:
        await connection.execute(SEEN)
    too_large = "DO $$ BEGIN RAISE EXCEPTION 'index row size exceeds maximum' USING ERRCODE = '54000'; END $$"

    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 10_000))
    payments = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(8)]
    recorder = PoisonRecorder({payments[2].id}, statement=too_large)
    capacity = Capacity(outcome_timeout_seconds=4)
    async with region.bookkeeper(recorder=recorder, capacity=capacity) as bookkeeper:
        outcomes = await asyncio.gather(*(bookkeeper.post(one) for one in payments), return_exceptions=True)
    assert [number for number, one in enumerate(outcomes) if isinstance(one, Exception)] == [2]


async def test_C17_poison_in_linked_instructions_fails_them_together(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
    linked = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(3)]
    others = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(20)]
    async with region.bookkeeper(clearance=PoisonClearance({linked[1].id})) as bookkeeper:
        outcomes = await asyncio.gather(
            bookkeeper.post_linked(linked), *(bookkeeper.post(one) for one in others), return_exceptions=True
        )
    assert isinstance(outcomes[0], Poisoned)
    assert not any(isinstance(one, Exception) for one in outcomes[1:])
    assert await balance_of(region, f.takings()) == 20
