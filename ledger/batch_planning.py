"""Plans a whole batch, item by item, in memory (pure).

Each item sees what was booked before it and nothing of what was refused, so a batch of N gives what N batches of
one give.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from ledger.clearance import Decider
from ledger.entries import Booked, Entry, next_hash
from ledger.instructions import GiveUp, Instruction
from ledger.planner import find_first_answer, plan, plan_give_up
from ledger.refusals import IdGivenUp, LinkedRefused, Refusal, TooManyRequests
from ledger.state import Settled, State

REFUSALS_PER_MINUTE_MAX: Final = 600

Unit = tuple[Instruction, ...] | tuple[GiveUp]


@dataclass(frozen=True, slots=True)
class StoredRefusal:
    """A refusal that uses its instruction's id up."""

    id: UUID
    caller: str
    fingerprint: bytes
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Posted:
    """An instruction's entry in the book.

    Attributes:
        entry: what was booked.
        is_replay: whether it had settled before, and this is the first answer again.
        hash: the entry's place in the chain, 32 bytes; None on a replay.
    """

    entry: Entry
    is_replay: bool = False
    hash: bytes | None = None


Outcome = Posted | Refusal


@dataclass(slots=True)
class BatchPlan:
    """What a batch comes to: entries and refusals to write, and an outcome for every instruction of every unit."""

    state: State
    decider: Decider
    last_hash: bytes
    refusals_of: Mapping[str, int]
    booked: list[tuple[Instruction, Booked]] = field(default_factory=list)
    refused: list[StoredRefusal] = field(default_factory=list)
    outcomes: list[list[Outcome]] = field(default_factory=list)

    def refuse(self, asked: Instruction | GiveUp, refusal: Refusal, *, is_stored: bool) -> Refusal:
        """Stores a refusal that uses the id up, unless its caller has been refused too often in this minute."""
        if not is_stored:
            return refusal
        in_batch = sum(one.caller == asked.caller for one in self.refused)
        if self.refusals_of.get(asked.caller, 0) + in_batch >= REFUSALS_PER_MINUTE_MAX:
            return TooManyRequests()
        self.store(asked, refusal)
        return refusal

    def store(self, asked: Instruction | GiveUp, refusal: Refusal) -> None:
        """Uses an id up with a refusal, for the rest of the batch and for ever."""
        self.refused.append(StoredRefusal(asked.id, asked.caller, asked.fingerprint, refusal))
        self.state.refuse(asked.id, asked.fingerprint, refusal)


def plan_batch(
    state: State, units: Sequence[Unit], decider: Decider, *, last_hash: bytes, refusals_of: Mapping[str, int]
) -> BatchPlan:
    """Plans units in their order. A unit of several instructions is linked: all of them settle, or none.

    Args:
        state: the book as it stands; the plan's state goes on from it.
        units: completed instructions, linked instructions, and ids given up.
        decider: the domain's rules over the facts of this batch.
        last_hash: the chain's hash at the book's end.
        refusals_of: how many refusals of each caller were stored within the last minute.
    """
    batch = BatchPlan(state, decider, last_hash, refusals_of)
    for unit in units:
        batch.outcomes.append(_plan_unit(batch, unit))
    return batch


def _plan_unit(batch: BatchPlan, unit: Unit) -> list[Outcome]:
    first = unit[0]
    if isinstance(first, GiveUp):
        return [_give_up(batch, first)]
    if len(unit) == 1:
        return [_plan_one(batch, first)]
    return _plan_linked(batch, [one for one in unit if isinstance(one, Instruction)])


def _give_up(batch: BatchPlan, give_up: GiveUp) -> Outcome:
    is_new = give_up.id not in batch.state.instructions
    answer = plan_give_up(batch.state, give_up)
    if isinstance(answer, Settled):
        return Posted(answer.entry, is_replay=True)
    # Giving up is never too much: the till must always be able to end a sale.
    if is_new and isinstance(answer, IdGivenUp):
        batch.store(give_up, answer)
    return answer


def _plan_one(batch: BatchPlan, instruction: Instruction) -> Outcome:
    first_answer = find_first_answer(batch.state, instruction)
    if first_answer is not None:
        return Posted(first_answer.entry, is_replay=True) if isinstance(first_answer, Settled) else first_answer
    planned = batch.decider.decide(instruction, batch.state) or plan(batch.state, instruction)
    if isinstance(planned, Refusal):
        return batch.refuse(instruction, planned, is_stored=planned.is_stored and instruction.stores_refusal)
    return _book(batch, instruction, planned)


def _book(batch: BatchPlan, instruction: Instruction, entry: Entry) -> Posted:
    batch.last_hash = next_hash(batch.last_hash, entry)
    booked = Booked(entry, batch.last_hash)
    batch.state.apply(entry)
    batch.booked.append((instruction, booked))
    batch.decider.note_settled(booked)
    return Posted(entry, hash=booked.hash)


def _plan_linked(batch: BatchPlan, instructions: list[Instruction]) -> list[Outcome]:
    trial = BatchPlan(
        batch.state.fork(), batch.decider.fork(), batch.last_hash, batch.refusals_of, refused=list(batch.refused)
    )
    outcomes: list[Outcome] = []
    for instruction in instructions:
        outcome = _plan_one(trial, instruction)
        if isinstance(outcome, Refusal):
            return _refuse_linked(batch, instructions, instruction, outcome)
        outcomes.append(outcome)
    batch.state, batch.decider, batch.last_hash = trial.state, trial.decider, trial.last_hash
    batch.booked += trial.booked
    return outcomes


def _refuse_linked(
    batch: BatchPlan, instructions: list[Instruction], culprit: Instruction, refusal: Refusal
) -> list[Outcome]:
    is_new = culprit.id not in batch.state.instructions
    stored = is_new and refusal.is_stored and culprit.stores_refusal
    answer = batch.refuse(culprit, refusal, is_stored=stored)
    return [answer if one is culprit else LinkedRefused(instruction_id=culprit.id) for one in instructions]
