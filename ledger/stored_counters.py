"""Every counter that the database keeps beside the journal, in a compact form: as stored, or as rebuilt.

Accounts are numbered without a gap, so their counters lie in plain arrays: 32 bytes an account.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from database.connections import Connection
from ledger.book import Book
from ledger.chart import LIABILITIES, Kind
from ledger.entries import LimitCount, Movement
from ledger.instructions import CounterKey
from ledger.state import Counter

_NO_KEY = CounterKey("", UUID(int=0))


@dataclass(slots=True)
class StoredCounters:
    """Counters by number; yen, but `transfers`.

    Attributes:
        overdrawn: numbers of credit-side accounts that have less than nothing.
        missing: numbers that the book has given to an account that is not there.
        strangers: numbers of accounts that the book has not opened.
        hold_lines: placed, captured and released by hold and account.
        limits: by the counter's number.
        undone: by seq and line of what was undone.
    """

    debits: "array[int]"
    credits: "array[int]"
    held: "array[int]"
    transfers: "array[int]"
    overdrawn: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    strangers: list[int] = field(default_factory=list)
    hold_lines: dict[tuple[UUID, int], tuple[int, int, int]] = field(default_factory=dict)
    limits: dict[int, Counter] = field(default_factory=dict)
    undone: dict[tuple[int, int], int] = field(default_factory=dict)

    @classmethod
    def empty(cls, size: int) -> "StoredCounters":
        """All at nothing, with room for account numbers below `size`."""
        zeros = [0] * size
        return cls(array("q", zeros), array("q", zeros), array("q", zeros), array("q", zeros))

    def knows(self, account: int) -> bool:
        """Whether the book has given this number to an account."""
        return 0 < account < len(self.debits)

    def add_transfer(self, debit: int, credit: int, amount: int) -> None:
        """Counts one transfer on both its accounts."""
        self.debits[debit] += amount
        self.credits[credit] += amount
        self.transfers[debit] += 1
        self.transfers[credit] += 1

    def add_hold_movement(self, hold: UUID, account: int, movement: Movement, amount: int) -> None:
        """Counts one movement on its hold and its account."""
        placed, captured, released = self.hold_lines.get((hold, account), (0, 0, 0))
        match movement:
            case Movement.PLACED:
                placed += amount
            case Movement.CAPTURED:
                captured += amount
            case Movement.RELEASED:
                released += amount
        self.hold_lines[hold, account] = (placed, captured, released)
        self.held[account] += amount if movement is Movement.PLACED else -amount

    def add_limit_count(self, counter: int, today: date, day: date, amount: int) -> None:
        """Counts an amount of `day` in an entry of `today`."""
        found = self.limits.setdefault(counter, Counter(counter, today))
        found.count(today, LimitCount(_NO_KEY, day, amount))

    def differences(self, rebuilt: "StoredCounters") -> Iterator[tuple[str, str]]:
        """Where these stored counters differ from the rebuilt ones: the row, and what is wrong."""
        yield from self._account_differences(rebuilt)
        for row in sorted(self.hold_lines.keys() | rebuilt.hold_lines.keys(), key=str):
            if self.hold_lines.get(row) != rebuilt.hold_lines.get(row):
                yield f"hold {row[0]} on account {row[1]}", "differs from its movements in the journal"
        for counter in sorted(self.limits.keys() | rebuilt.limits.keys()):
            if self.limits.get(counter) != rebuilt.limits.get(counter):
                yield f"limit counter {counter}", "differs from the counts in the journal"
        for line in sorted(self.undone.keys() | rebuilt.undone.keys()):
            if self.undone.get(line) != rebuilt.undone.get(line):
                yield f"undone of entry {line[0]}, line {line[1]}", "differs from what undid it in the journal"

    def _account_differences(self, rebuilt: "StoredCounters") -> Iterator[tuple[str, str]]:
        for name in ("debits", "credits", "held", "transfers"):
            stored: array[int] = getattr(self, name)
            counted: array[int] = getattr(rebuilt, name)
            if stored == counted:
                continue
            for account, (one, other) in enumerate(zip(stored, counted, strict=True)):
                if one != other:
                    yield f"account {account}", f"{name} say {one:,}, the journal says {other:,}"
        for account in self.overdrawn:
            yield f"account {account}", "has less than nothing"
        for account in self.missing:
            yield f"account {account}", "is missing"
        for account in self.strangers:
            yield f"account {account}", "was opened outside the book"


async def read_stored_counters(connection: Connection, book: Book) -> StoredCounters:
    """All counters as they are stored, in the caller's snapshot."""
    stored = StoredCounters.empty(book.account_id + 1)
    seen = bytearray(book.account_id + 1)
    async with connection.cursor(name="stored_counters") as cursor:
        cursor.itersize = 5000
        await cursor.execute("SELECT id, debits, credits, held, transfers, kind FROM account")
        async for account, debits, credits_, held, transfers, kind in cursor:
            if not stored.knows(account):
                stored.strangers.append(account)
                continue
            seen[account] = 1
            stored.debits[account] = debits
            stored.credits[account] = credits_
            stored.held[account] = held
            stored.transfers[account] = transfers
            if Kind(kind) in LIABILITIES and credits_ - debits - held < 0:
                stored.overdrawn.append(account)
    stored.missing = [account for account in range(1, book.account_id + 1) if not seen[account]]
    await _read_beside_accounts(connection, stored)
    return stored


async def _read_beside_accounts(connection: Connection, stored: StoredCounters) -> None:
    cursor = connection.cursor(binary=True)
    await cursor.execute("SELECT hold, account, placed, captured, released FROM hold_line")
    async for hold, account, *amounts in cursor:
        stored.hold_lines[hold, account] = (amounts[0], amounts[1], amounts[2])
    await cursor.execute("SELECT id, day, day_used, month_used, total_used FROM limit_counter")
    async for counter, *used in cursor:
        stored.limits[counter] = Counter(counter, *used)
    await cursor.execute("SELECT seq, line, undone FROM undone")
    async for seq, line, undone in cursor:
        stored.undone[seq, line] = undone
