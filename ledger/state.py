"""What the planner knows of the book: the rows that the waiting instructions touch, read under the book's lock.

A state is changed by nothing but `apply`, with an entry that the planner made from it; so the rest of a batch sees
what came before it, as if each instruction had been a batch of its own.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from uuid import UUID

from ledger.accounts import Account, AccountKey
from ledger.chart import CEILINGED, Kind
from ledger.entries import Entry, Hold, HoldMovement, LimitCount, Line, Movement, Transfer
from ledger.instructions import CounterKey, SingleUse
from ledger.programmes import Programme
from ledger.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Settled:
    """An instruction that became an entry."""

    entry: Entry

    @property
    def fingerprint(self) -> bytes:
        """Who asked, and for what."""
        return self.entry.fingerprint


@dataclass(frozen=True, slots=True)
class Refused:
    """An instruction whose refusal, or giving up, is stored."""

    fingerprint: bytes
    refusal: Refusal


@dataclass(slots=True)
class HoldLine:
    """What a hold set aside on one account, and what became of it; yen."""

    account: AccountKey
    placed: int
    captured: int = 0
    released: int = 0

    @property
    def left(self) -> int:
        """What is still set aside."""
        return self.placed - self.captured - self.released


@dataclass(slots=True)
class Counter:
    """A limit's counter: what counted on the last day that counted, in its month, and ever; yen."""

    id: int
    day: date
    day_used: int = 0
    month_used: int = 0
    total_used: int = 0

    def used_on(self, day: date) -> tuple[int, int, int]:
        """What has counted on this day, in its month, and ever."""
        in_month = (day.year, day.month) == (self.day.year, self.day.month)
        return (self.day_used if day == self.day else 0, self.month_used if in_month else 0, self.total_used)

    def count(self, today: date, counted: LimitCount) -> None:
        """Adds an amount that counts on `counted.day`, in an entry of `today`."""
        on_day, in_month, total = self.used_on(today)
        counts_today = counted.day == today
        counts_this_month = (counted.day.year, counted.day.month) == (today.year, today.month)
        self.day = today
        self.day_used = on_day + (counted.amount if counts_today else 0)
        self.month_used = in_month + (counted.amount if counts_this_month else 0)
        self.total_used = total + counted.amount


@dataclass(slots=True)
class State:
    """The book as one batch sees it.

    Attributes:
        region: the region's code.
        is_open: whether the book takes entries.
        at: the batch's one "now", UTC.
        today: the day in Japan of `at`.
        seq: the last entry's.
        account_id: the last account's number.
        counter_id: the last counter's number.
        programmes: by code.
        accounts: by key; what is not here and was asked for when loading does not exist yet.
        keys: the keys of each holder's accounts, by kind and holder.
        instructions: what became of the ids that were asked for.
        single_use: which instruction spent a code, by its key.
        holds: what a hold is for, and its lines.
        undone: how much of a transfer has been undone, yen.
        counters: by key.
    """

    region: str
    is_open: bool
    at: datetime
    today: date
    seq: int = 0
    account_id: int = 0
    counter_id: int = 0
    programmes: Mapping[str, Programme] = field(default_factory=dict)
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    keys: dict[tuple[Kind, UUID], list[AccountKey]] = field(default_factory=dict)
    instructions: dict[UUID, Settled | Refused] = field(default_factory=dict)
    single_use: dict[SingleUse, UUID] = field(default_factory=dict)
    holds: dict[UUID, tuple[Hold, list[HoldLine]]] = field(default_factory=dict)
    undone: dict[Line, int] = field(default_factory=dict)
    counters: dict[CounterKey, Counter] = field(default_factory=dict)

    def fork(self) -> "State":
        """A copy that may be changed without changing this one. What is frozen is shared."""
        return replace(
            self,
            accounts={key: copy.copy(account) for key, account in self.accounts.items()},
            keys={key: list(keys) for key, keys in self.keys.items()},
            instructions=dict(self.instructions),
            single_use=dict(self.single_use),
            holds={key: (hold, [copy.copy(line) for line in lines]) for key, (hold, lines) in self.holds.items()},
            undone=dict(self.undone),
            counters={key: copy.copy(counter) for key, counter in self.counters.items()},
        )

    def add_account(self, account: Account) -> None:
        """Makes an account known that exists."""
        self.accounts[account.key] = account
        self.keys.setdefault((account.key.kind, account.key.holder), []).append(account.key)

    def apply(self, entry: Entry) -> None:
        """Books an entry that was planned from this very state."""
        for transfer in entry.transfers:
            self._apply_transfer(transfer)
        for hold in entry.holds:
            self.holds[hold.id] = (hold, [])
        for movement in entry.hold_movements:
            self._apply_hold_movement(movement)
        for counted in entry.limit_counts:
            self._counter(counted.counter).count(self.today, counted)
        if entry.single_use:
            self.single_use[entry.single_use] = entry.id
        self.instructions[entry.id] = Settled(entry)
        self.seq = entry.seq

    def refuse(self, instruction_id: UUID, fingerprint: bytes, refusal: Refusal) -> None:
        """Uses an id up with a refusal."""
        self.instructions[instruction_id] = Refused(fingerprint, refusal)

    def _apply_transfer(self, transfer: Transfer) -> None:
        self._account(transfer.debit).debits += transfer.amount
        self._account(transfer.credit).credits += transfer.amount
        if transfer.undoes:
            self.undone[transfer.undoes] = self.undone.get(transfer.undoes, 0) + transfer.amount

    def _apply_hold_movement(self, movement: HoldMovement) -> None:
        account = self._account(movement.account)
        lines = self.holds[movement.hold][1]
        if movement.movement is Movement.PLACED:
            account.held += movement.amount
            lines.append(HoldLine(movement.account, movement.amount))
            return
        account.held -= movement.amount
        line = next(line for line in lines if line.account == movement.account)
        if movement.movement is Movement.CAPTURED:
            line.captured += movement.amount
        else:
            line.released += movement.amount

    def _account(self, key: AccountKey) -> Account:
        found = self.accounts.get(key)
        if found is None:
            self.account_id += 1
            found = Account(self.account_id, key, ceiling=default_ceiling(self.programmes[key.programme], key.kind))
            self.add_account(found)
        return found

    def _counter(self, key: CounterKey) -> Counter:
        found = self.counters.get(key)
        if found is None:
            self.counter_id += 1
            found = self.counters[key] = Counter(self.counter_id, self.today)
        return found


def default_ceiling(programme: Programme, kind: Kind) -> int | None:
    """The ceiling of a new account of this kind: the programme's; None for kinds that have none."""
    if kind not in CEILINGED:
        return None
    return programme.receivable_max if kind is Kind.RECEIVABLE else programme.risk_max


def lines_of(entry: Entry) -> Iterable[tuple[Line, Transfer]]:
    """An entry's transfers with the names by which they can be undone."""
    return ((Line(entry.seq, number), transfer) for number, transfer in enumerate(entry.transfers, start=1))
