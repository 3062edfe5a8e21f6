"""The two protocols that tie the ledger to what it serves. Both work under the book's lock, in the money's own
database transaction, so a revocation, a freeze or a new rule counts from the next batch in every process.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, Self

from database.connections import Connection
from ledger.entries import Booked
from ledger.instructions import Instruction
from ledger.refusals import Refusal
from ledger.state import State


class Decider(Protocol):
    """The facts of one batch, and the pure rules that judge by them."""

    def complete(self, instruction: Instruction) -> Instruction:
        """Fills in what the rules know: limits with their ceilings, programmes that may be drawn, evidence.

        It comes before the state is read, so that what it names is read too. Id and fingerprint stay.
        """
        ...

    def decide(self, instruction: Instruction, state: State) -> Refusal | None:
        """Lets a completed instruction through (None), or refuses it.

        `state` may be read, for instance to tell a spent code before a rule; it must not be changed.
        """
        ...

    def note_settled(self, booked: Booked) -> None:
        """Takes note of an entry, so that the rest of the batch is judged as if it came later."""
        ...

    def fork(self) -> Self:
        """A decider that goes on from here by itself: it is kept if a linked group stands, else dropped."""
        ...


class Clearance(Protocol):
    """Reads the facts of all waiting instructions in bulk."""

    async def read_facts(
        self, connection: Connection, instructions: Sequence[Instruction], at: datetime
    ) -> Decider:
        """The decider for these instructions, at the batch's one "now"."""
        ...


class Recorder(Protocol):
    """Writes the domain's rows of accepted entries."""

    async def record(self, connection: Connection, booked: Sequence[tuple[Instruction, Booked]]) -> None:
        """Writes what belongs to these entries. It may not commit, call out or notify."""
        ...


class ClearAll:
    """Clears every instruction as it is, for books without a domain: tests, tools, imports."""

    async def read_facts(
        self, connection: Connection, instructions: Sequence[Instruction], at: datetime
    ) -> Decider:
        """Itself: there are no facts."""
        del connection, instructions, at
        return self

    def complete(self, instruction: Instruction) -> Instruction:
        """The instruction as it is."""
        return instruction

    def decide(self, instruction: Instruction, state: State) -> Refusal | None:
        """Lets everything through."""
        del instruction, state
        return None

    def note_settled(self, booked: Booked) -> None:
        """Nothing to note."""

    def fork(self) -> Self:
        """Itself: it notes nothing."""
        return self


class RecordNothing:
    """Writes no domain rows."""

    async def record(self, connection: Connection, booked: Sequence[tuple[Instruction, Booked]]) -> None:
        """Nothing to write."""
