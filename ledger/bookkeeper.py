"""The bookkeeper: takes instructions into a bounded queue, and books whatever waits in one database transaction.

It takes the book's lock, then all that waits (one when idle, hundreds under load), reads, plans in memory, writes
in bulk, commits, and answers each caller; never before the commit. `Overloaded` is said only before the queue.
Behind it there is an outcome, or `OutcomeUnknown`: then the same id may be asked again, always safely.

An error that is one instruction's own ends that one alone: the batch is rolled back and run in halves down to it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self, TypeGuard
from uuid import UUID

import psycopg
import structlog

from database.clock import Clock, SystemClock
from database.connections import Connection, connect, hang_up
from database.transactions import CommitUnknown, run_in_transaction
from ledger.batch_planning import BatchPlan, Outcome, Posted, Unit, plan_batch
from ledger.batch_reading import read_state
from ledger.batch_writing import write_entries, write_refusals
from ledger.book import Book, list_programmes, lock_book
from ledger.clearance import ClearAll, Clearance, Decider, Recorder, RecordNothing
from ledger.constraints import refusal_of_constraint
from ledger.form import check_form
from ledger.instructions import MOVES_MAX, GiveUp, Instruction
from ledger.programmes import Programme
from ledger.refusals import IdGivenUp, InstructionInvalid, OutcomeUnknown, Overloaded, Refusal

LINKED_MAX: Final = 100
# An error that outlives this many tries may be one instruction's own, however it looks.
ATTEMPTS_TOGETHER_MAX: Final = 5
# Longer than the server lets a statement run.
BATCH_SECONDS_MAX: Final = 35.0
RECONNECT_PAUSE_SECONDS: Final = 0.05
_MINUTE: Final = timedelta(minutes=1)
# A bookkeeper that froze with the lock in its hand must not stop the region: the server ends its session.
_SESSION: Final = (
    "SET idle_in_transaction_session_timeout = '5s'",
    "SET statement_timeout = '30s'",
    # Rows are always found by their key: a plan made while a table was small must never scan it when it is large.
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much a bookkeeper takes on.

    Attributes:
        queue_max: instructions that may wait; one more is refused as `Overloaded`.
        batch_max: instructions in one database transaction.
        outcome_timeout_seconds: how long a caller waits before he is told `OutcomeUnknown`.
    """

    queue_max: int = 4096
    batch_max: int = 256
    outcome_timeout_seconds: float = 10.0


@dataclass(slots=True, eq=False)
class _Waiting:
    unit: Unit
    answer: asyncio.Future[list[Outcome]]


@dataclass(slots=True)
class Bookkeeper:
    """Books instructions of one region. Use it as an asynchronous context manager.

    Attributes:
        url: libpq URL of the application's role.
        region: the region's code.
        clearance: lets the domain's rules decide, under the lock.
        recorder: writes the domain's rows, under the lock.
    """

    url: str
    region: str
    clearance: Clearance = field(default_factory=ClearAll)
    recorder: Recorder = field(default_factory=RecordNothing)
    clock: Clock = field(default_factory=SystemClock)
    capacity: Capacity = field(default_factory=Capacity)
    _queue: deque[_Waiting] = field(default_factory=deque)
    _waiting: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _connection: Connection | None = None
    _programmes: tuple[int, list[Programme]] = (-1, [])
    # What the last run wrote, and what a commit wrote whose answer was lost.
    _written: dict[UUID, Posted] = field(default_factory=dict)
    _lost: dict[UUID, Posted] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _is_closing: bool = False

    async def __aenter__(self) -> Self:
        """Connects and starts to work."""
        self._connection = await self._connect()
        self._task = asyncio.create_task(self._work(), name=f"bookkeeper of {self.region}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Books what waits, then stops."""
        self._is_closing = True
        self._arrived.set()
        if self._task:
            await self._task
        await self._disconnect()

    @property
    def backend_pid(self) -> int | None:
        """The server process of the bookkeeper's connection, for looking at it; None while there is none."""
        return self._connection.info.backend_pid if self._connection and not self._connection.closed else None

    async def post(self, instruction: Instruction) -> Posted:
        """Books an instruction, or gives the first answer of its id again.

        Raises:
            Refusal: every refusal of `ledger.refusals`, and those of the clearance.
            Exception: what failed on this instruction alone, in the clearance, the recorder or the database.
        """
        check_form(instruction)
        return _posted((await self._ask((instruction,)))[0])

    async def post_linked(self, instructions: Sequence[Instruction]) -> list[Posted]:
        """Books several instructions, an entry each, all of them or none.

        Raises:
            Refusal: the culprit's. The ids of the others stay free.
        """
        if not 1 <= len(instructions) <= LINKED_MAX:
            raise InstructionInvalid(detail=f"1 to {LINKED_MAX} instructions can be linked.")
        if len({one.id for one in instructions}) != len(instructions):
            raise InstructionInvalid(detail="Linked instructions have ids of their own.")
        for instruction in instructions:
            check_form(instruction)
        if sum(len(one.moves) for one in instructions) > MOVES_MAX:
            raise InstructionInvalid(detail=f"Linked instructions have at most {MOVES_MAX} moves in all.")
        outcomes = await self._ask(tuple(instructions))
        culprits = [one for one in outcomes if isinstance(one, Refusal) and one.code != "linked_refused"]
        if culprits:
            raise culprits[0]
        return [_posted(outcome) for outcome in outcomes]

    async def give_up(self, give_up: GiveUp) -> Posted | None:
        """Gives an id up. None: it never settles. Else it had settled, and this is its entry.

        Raises:
            IdReused: the id is another caller's.
        """
        check_form(give_up)
        outcome = (await self._ask((give_up,)))[0]
        return None if isinstance(outcome, IdGivenUp) else _posted(outcome)

    async def _ask(self, unit: Unit) -> list[Outcome]:
        is_at_work = self._task is not None and not self._task.done() and not self._is_closing
        if not is_at_work or self._waiting + len(unit) > self.capacity.queue_max:
            raise Overloaded
        waiting = _Waiting(unit, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._waiting += len(unit)
        self._arrived.set()
        try:
            async with asyncio.timeout(self.capacity.outcome_timeout_seconds):
                return await waiting.answer
        except TimeoutError:
            raise OutcomeUnknown from None

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            if self._queue:
                batch = [self._queue.popleft()]
                try:
                    await self._run(batch, may_grow=True)
                except BaseException as error:
                    # Whatever it is, nobody may wait for ever, and the next ones are served.
                    await self._abandon(batch)
                    task = asyncio.current_task()
                    if not isinstance(error, Exception | asyncio.CancelledError) or (task and task.cancelling()):
                        raise
            elif self._is_closing:
                return
            else:
                self._arrived.clear()

    async def _abandon(self, batch: list[_Waiting]) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(OutcomeUnknown())
        self._waiting = sum(len(waiting.unit) for waiting in self._queue)
        await self._disconnect()

    async def _run(
        self, batch: list[_Waiting], *, may_grow: bool = False, attempts_max: int = ATTEMPTS_TOGETHER_MAX
    ) -> None:
        """Runs a batch until everybody in it has an outcome, or none of them waits any more."""
        attempts = 0
        while batch:
            try:
                connection = await self._connected()
                # A server that is there and fails may mean one instruction, however sick it looks.
                attempts += 1
                plan = await self._book_within_time(connection, batch, may_grow=may_grow and attempts == 1)
            except Exception as error:  # noqa: BLE001 - one poison instruction must not end its neighbours
                if not self._is_interruption(error):
                    await self._isolate(batch, error)
                    return
                # Nobody knows, or nothing was written. The ids make it safe to run the same batch again.
                _log.warning("batch_interrupted", region=self.region, size=len(batch), reason=type(error).__name__)
                if isinstance(error, CommitUnknown):
                    self._lost.update(self._written)
                await self._disconnect()
                if attempts >= attempts_max:
                    await self._isolate(batch, OutcomeUnknown())
                    return
                await asyncio.sleep(RECONNECT_PAUSE_SECONDS)
                self._forget_the_gone(batch)
            else:
                self._answer(batch, plan)
                return

    async def _book_within_time(
        self, connection: Connection, batch: list[_Waiting], *, may_grow: bool
    ) -> BatchPlan:
        # On a line that went silent nothing would ever come back.
        alarm = asyncio.get_running_loop().call_later(BATCH_SECONDS_MAX, hang_up, connection)
        try:
            return await run_in_transaction(connection, lambda c: self._book(c, batch, may_grow=may_grow))
        finally:
            alarm.cancel()

    def _forget_the_gone(self, batch: list[_Waiting]) -> None:
        """Leaves out who was told that the outcome is unknown; whoever asks again finds it by his id."""
        gone = [waiting for waiting in batch if waiting.answer.done()]
        self._leave(gone)
        batch[:] = [waiting for waiting in batch if not waiting.answer.done()]

    def _is_interruption(self, error: Exception) -> bool:
        """Whether an error is the server's or the line's, not one of what was asked."""
        if isinstance(error, CommitUnknown | psycopg.OperationalError | psycopg.InterfaceError):
            return True
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            return True
        return isinstance(error, psycopg.Error) and self.backend_pid is None

    async def _isolate(self, batch: list[_Waiting], error: Exception) -> None:
        """Runs a failed batch in halves, down to the culprit, who alone gets the error."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._run(batch[:middle], attempts_max=1)
            await self._run(batch[middle:], attempts_max=1)
            return
        _log.error("instruction_failed", region=self.region, error=type(error).__name__)
        self._leave(batch)
        if not batch[0].answer.done():
            batch[0].answer.set_exception(refusal_of_constraint(error) or error)

    async def _book(self, connection: Connection, batch: list[_Waiting], *, may_grow: bool) -> BatchPlan:
        book = await lock_book(connection)
        if may_grow:
            self._take_all_that_waits(batch)
        at = max(self.clock.now(), book.at)
        asked = [one for waiting in batch for one in waiting.unit]
        decider = await self.clearance.read_facts(connection, [one for one in asked if _is_instruction(one)], at)
        units = [_complete(waiting.unit, decider) for waiting in batch]
        programmes = await self._read_programmes(connection, book)
        state = await read_state(connection, book, programmes, [one for unit in units for one in unit], at=at)
        refusals_of = await _count_refusals(connection, {one.caller for one in asked}, since=at - _MINUTE)
        plan = plan_batch(state, units, decider, last_hash=book.hash, refusals_of=refusals_of)
        booked = [one for _, one in plan.booked]
        if booked:
            await write_entries(
                connection,
                plan.state,
                booked,
                accounts_before=book.account_id,
                counters_before=book.counter_id,
            )
            await self.recorder.record(connection, plan.booked)
        if plan.refused:
            await write_refusals(connection, plan.refused, at=at)
        self._written = {one.entry.id: Posted(one.entry, hash=one.hash) for one in booked}
        return plan

    def _take_all_that_waits(self, batch: list[_Waiting]) -> None:
        size = sum(len(waiting.unit) for waiting in batch)
        while self._queue and size + len(self._queue[0].unit) <= self.capacity.batch_max:
            waiting = self._queue.popleft()
            batch.append(waiting)
            size += len(waiting.unit)

    async def _read_programmes(self, connection: Connection, book: Book) -> list[Programme]:
        if self._programmes[0] != book.programmes_version:
            self._programmes = (book.programmes_version, await list_programmes(connection))
        return self._programmes[1]

    def _answer(self, batch: list[_Waiting], plan: BatchPlan) -> None:
        self._leave(batch)
        for waiting, outcomes in zip(batch, plan.outcomes, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result([self._first_answer(outcome) for outcome in outcomes])

    def _first_answer(self, outcome: Outcome) -> Outcome:
        """What a lost commit booked looks like a replay to the run after it; to its caller it is none."""
        if isinstance(outcome, Posted) and outcome.is_replay:
            lost = self._lost.pop(outcome.entry.id, None)
            if lost is not None and lost.entry == outcome.entry:
                return lost
        return outcome

    def _leave(self, batch: list[_Waiting]) -> None:
        self._waiting -= sum(len(waiting.unit) for waiting in batch)

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await self._connect()
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection:
            await self._connection.close()

    async def _connect(self) -> Connection:
        connection = await connect(self.url, self.region)
        await connection.set_autocommit(True)
        for setting in _SESSION:
            await connection.execute(setting)
        await connection.set_autocommit(False)
        return connection


def _is_instruction(asked: Instruction | GiveUp) -> TypeGuard[Instruction]:
    return isinstance(asked, Instruction)


def _complete(unit: Unit, decider: Decider) -> Unit:
    completed = tuple(decider.complete(one) for one in unit if _is_instruction(one))
    # A unit is instructions, or one id given up.
    return completed or unit


def _posted(outcome: Outcome) -> Posted:
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


async def _count_refusals(connection: Connection, callers: set[str], *, since: datetime) -> dict[str, int]:
    cursor = await connection.execute(
        "SELECT caller, count(*) FROM refused_instruction WHERE caller = ANY(%s) AND at > %s GROUP BY caller",
        [list(callers), since],
    )
    return dict(await cursor.fetchall())
