"""The two protocols that tie the ledger to its domain: when they are called, with what, in which transaction."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from ledger.clearance import ClearAll
from ledger.instructions import CounterKey, Limit
from ledger.refusals import LimitDay, Refusal
from tests.ledger import ledger_factories as f
from tests.races.racing import FIRST, REPLAY, ask, post_all

pytestmark = pytest.mark.anyio


class NotToday(Refusal):
    """The domain says no."""

    code = "not_today_in_tests"
    weekday: int


class ComeBackLater(Refusal):
    """A "no" that does not use the id up."""

    code = "come_back_later_in_tests"
    is_stored = False


@dataclass
class Watching(ClearAll):
    """Keeps what it was called with."""

    batches: list = field(default_factory=list)
    decided: list = field(default_factory=list)
    settled: list = field(default_factory=list)
    seen: list = field(default_factory=list)

    async def read_facts(self, connection, instructions, at):
        cursor = await connection.execute("SELECT seq FROM book")
        self.batches.append(([one.id for one in instructions], at, (await cursor.fetchone())[0]))
        return self

    def decide(self, instruction, state):
        self.decided.append(instruction.id)
        self.seen.append(state.seq)

    def note_settled(self, booked):
        self.settled.append(booked.entry.id)

    async def record(self, connection, booked):
        self.recorded = [(instruction.request, one.entry.id) for instruction, one in booked]
        await connection.execute("SELECT 1")


async def test_facts_are_read_once_a_batch_and_every_new_instruction_is_decided_in_order(region):
    watching = Watching()
    async with region.bookkeeper(clearance=watching, recorder=watching) as bookkeeper:
        asked = [f.top_up(f.HANAKO, 100, request=f"request {number}") for number in range(5)]
        await post_all(bookkeeper, asked)
        assert [batch[0] for batch in watching.batches] == [[one.id for one in asked]]
        assert watching.decided == watching.settled == [one.id for one in asked]
        assert watching.seen == [0, 1, 2, 3, 4]
        assert watching.recorded == [(f"request {number}", one.id) for number, one in enumerate(asked)]
        assert watching.batches[0][1] == (await ask(region, "SELECT at FROM book"))[0]


async def test_a_first_answer_is_not_decided_again(region):
    watching = Watching()
    asked = f.top_up(f.HANAKO, 100)
    async with region.bookkeeper(clearance=watching) as bookkeeper:
        assert await post_all(bookkeeper, [asked]) == [FIRST]
        assert await post_all(bookkeeper, [asked]) == [REPLAY]
    assert watching.decided == [asked.id]


async def test_the_limits_that_are_filled_in_count_and_are_kept(region):
    counter = CounterKey("wallet", f.HANAKO)

    class Limiting(Watching):
        def complete(self, instruction):
            return replace(instruction, limits=(Limit(counter, 60, day_max=100),), evidence=bytes(32))

    limiting = Limiting()
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
    async with region.bookkeeper(clearance=limiting, recorder=limiting) as bookkeeper:
        posted = await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 60, request="asked"))
        assert posted.entry.evidence == bytes(32)
        with pytest.raises(LimitDay):
            await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 60))
    assert limiting.recorded == [("asked", posted.entry.id)]


async def test_V12_a_domains_refusal_is_stored_with_its_facts_and_said_again(region):
    class Refusing(ClearAll):
        def decide(self, instruction, state):
            del instruction, state
            return NotToday(weekday=3)

    asked = f.top_up(f.HANAKO, 100)
    async with region.bookkeeper(clearance=Refusing()) as bookkeeper:
        for _ in range(2):
            with pytest.raises(NotToday) as refused:
                await bookkeeper.post(asked)
            assert refused.value.weekday == 3
    async with region.bookkeeper() as bookkeeper:
        with pytest.raises(NotToday) as refused:
            await bookkeeper.post(asked)
    assert refused.value.facts() == {"weekday": 3}


@pytest.mark.parametrize(("refusal", "stores"), [(ComeBackLater(), True), (NotToday(weekday=1), False)])
async def test_a_refusal_that_is_not_stored_leaves_the_id_free(region, refusal, stores):
    class Refusing(ClearAll):
        def decide(self, instruction, state):
            del instruction, state
            return refusal

    asked = f.top_up(f.HANAKO, 100, stores_refusal=stores)
    async with region.bookkeeper(clearance=Refusing()) as bookkeeper:
        assert await post_all(bookkeeper, [asked]) == [refusal.code]
    async with region.bookkeeper() as bookkeeper:
        assert await post_all(bookkeeper, [asked]) == [FIRST]


async def test_the_recorders_rows_and_the_money_are_committed_together(region):
    """Nobody ever sees one without the other."""
    async with region.connect(role="owner") as connection:
        await connection.execute("CREATE TABLE outbox (seq bigint PRIMARY KEY)")
        await connection.execute("GRANT SELECT, INSERT ON outbox TO meguri_app")

    class Outbox:
        async def record(self, connection, booked):
            for _, one in booked:
                await connection.execute("INSERT INTO outbox VALUES (%s)", [one.entry.seq])

    async with region.bookkeeper(recorder=Outbox()) as bookkeeper, region.connect() as reader:
        await reader.set_autocommit(True)
        stop = asyncio.Event()

        async def pay_on():
            while not stop.is_set():
                await post_all(bookkeeper, [f.top_up(f.HANAKO, 1) for _ in range(7)])

        till = asyncio.create_task(pay_on())
        for _ in range(100):
            cursor = await reader.execute(
                "SELECT (SELECT seq FROM book), (SELECT count(*) FROM entry), (SELECT count(*) FROM outbox)"
            )
            assert len(set(await cursor.fetchone())) == 1
        stop.set()
        await till


async def test_a_recorder_is_not_called_where_nothing_was_booked(region):
    watching = Watching()
    async with region.bookkeeper(recorder=watching) as bookkeeper:
        assert await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1)]) == ["insufficient_funds"]
        assert await bookkeeper.give_up(f.give_up(f.top_up(f.HANAKO, 1))) is None
    assert not hasattr(watching, "recorded")
