"""What a caller may ask of the ledger: an instruction with its id, its moves and what it counts against limits.

Plain frozen data. The planner decides what becomes of it; nothing here looks at a balance.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

import cbor2

from ledger.accounts import AccountKey
from ledger.chart import Kind

AMOUNT_MAX: Final = 999_999_999_999
MOVES_MAX: Final = 500
TEXT_LENGTH_MAX: Final = 200
FINGERPRINT_BYTES: Final = 24
CALLER_BYTES: Final = 8
GRACE_DAYS_DEFAULT: Final = 14


class Destination(NamedTuple):
    """Where drawn value goes. The programme, and for wallets the expiry day, is each lot's own."""

    kind: Kind
    holder: UUID


class CounterKey(NamedTuple):
    """A limit's counter: a family such as `wallet`, `card`, `household`, and whose it is."""

    family: str
    subject: UUID


@dataclass(frozen=True, slots=True)
class Limit:
    """An amount to count, and the ceilings that the count may not pass. None: no ceiling of that period."""

    counter: CounterKey
    amount: int
    day_max: int | None = None
    month_max: int | None = None
    total_max: int | None = None


@dataclass(frozen=True, slots=True)
class BalanceCeiling:
    """The most that a wallet may hold, over all programmes, after `incoming` yen have arrived."""

    wallet: UUID
    incoming: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class SingleUse:
    """The key of a code that may be spent once. `expires_at` comes first, so that the index grows to the right."""

    expires_at: datetime
    digest: bytes


@dataclass(frozen=True, slots=True)
class Move:
    """Moves an amount from one named account to another by a flow that draws no lots and undoes nothing."""

    flow: str
    debit: AccountKey
    credit: AccountKey
    amount: int


@dataclass(frozen=True, slots=True)
class Draw:
    """Takes an amount out of a wallet's eligible lots, earliest expiry first.

    Attributes:
        programmes: the programmes that may be drawn; None: every one whose flow is on.
    """

    flow: str
    wallet: UUID
    amount: int
    credit: Destination
    programmes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class BonusBack:
    """The part of a bonus that goes back to its pot with a refund; what was spent is taken off the refund."""

    original: UUID
    line: int
    amount: int


@dataclass(frozen=True, slots=True)
class Refund:
    """Gives back a payment, whole or in part, to the very lots it came from, in reverse.

    Attributes:
        original: id of the payment's instruction.
        grace_days: for how many days value is usable again whose lot has expired; 0: not at all.
        bonus_back: what the payment had earned and is now taken back.
    """

    original: UUID
    amount: int
    grace_days: int = GRACE_DAYS_DEFAULT
    bonus_back: tuple[BonusBack, ...] = ()


@dataclass(frozen=True, slots=True)
class Undo:
    """Mirrors one line of a named entry, whole or in part: by two people, save what the chart lets one do.

    Attributes:
        flow: the flow that undoes, such as `benefit_back`.
        original: id of the instruction that made the entry.
        line: the transfer's line in it, from 1.
        amount: yen; None: as much of it as is left where it went.
        grace_days: as for `Refund`; of use with `expire_back` only.
    """

    flow: str
    original: UUID
    line: int
    amount: int | None
    grace_days: int = GRACE_DAYS_DEFAULT


@dataclass(frozen=True, slots=True)
class PlaceHold:
    """Sets value of a wallet aside, for a later capture by the draw's flow to the draw's destination.

    The hold ends at `expires_at`, or with the last day of the first of its lots to expire, whichever is earlier.
    Its id is that of the instruction that places it, in which it stands alone.
    """

    draw: Draw
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CaptureHold:
    """Books held value, whole (None) or in part. The rest stays held unless `releases_rest`."""

    hold: UUID
    amount: int | None = None
    releases_rest: bool = True


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """Gives held value back to its owner, whole (None) or in part."""

    hold: UUID
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class ExpireHold:
    """Releases a hold whose last instant has passed."""

    hold: UUID


@dataclass(frozen=True, slots=True)
class Settle:
    """Moves a merchant's takings towards his bank: first what he owes, then the fee, then the payout.

    Attributes:
        amount: what leaves the takings for payout and fee; None: all that is left.
    """

    merchant: UUID
    programme: str
    payout: UUID
    amount: int | None = None
    fee: int = 0


@dataclass(frozen=True, slots=True)
class Expire:
    """Moves what is left in a lot whose last day has passed to the programme's expired value."""

    lot: AccountKey


@dataclass(frozen=True, slots=True)
class Succeed:
    """Moves all that one wallet, or one merchant's takings, has available to its successor, lot by lot."""

    kind: Kind
    holder: UUID
    successor: UUID


AnyMove = (
    Move | Draw | Refund | Undo | PlaceHold | CaptureHold | ReleaseHold | ExpireHold | Settle | Expire | Succeed
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One thing that a caller asks for; it becomes one entry, or is refused whole.

    Attributes:
        id: the caller's own id; the same again gets the first answer.
        kind: what it is called in the book, such as `payment`.
        caller: who asks, such as `merchant:<id>`; only he gets the first answer again.
        fingerprint: `fingerprint(key, caller, route, body)`.
        moves: 1 to 500 moves, carried out in order.
        single_use: the key of a code that this spends.
        limits: what it counts, and against which ceilings.
        balance_ceilings: the most that wallets may hold afterwards.
        ordered_by: the person who ordered it, where a flow needs two.
        approved_by: the other person.
        reason: 1 to 200 characters, part of the entry.
        evidence: 32 bytes: a digest of what the domain keeps beside the entry, so that the chain covers it.
        stores_refusal: whether a refusal uses the id up (signed requests: yes).
        request: what the domain knows of it; the ledger passes it to `Clearance` and `Recorder` unread.
    """

    id: UUID
    kind: str
    caller: str
    fingerprint: bytes
    moves: tuple[AnyMove, ...]
    single_use: SingleUse | None = None
    limits: tuple[Limit, ...] = ()
    balance_ceilings: tuple[BalanceCeiling, ...] = ()
    ordered_by: UUID | None = None
    approved_by: UUID | None = None
    reason: str | None = None
    evidence: bytes | None = None
    stores_refusal: bool = True
    request: object = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Gives the id of an instruction up: if it had not settled, it never will.

    Attributes:
        id: the instruction's id.
        fingerprint: of the caller; only its first 8 bytes are compared.
    """

    id: UUID
    caller: str
    fingerprint: bytes


def fingerprint(key: bytes, *, caller: str, route: str, body: object) -> bytes:
    """What makes two instructions the same: 8 bytes of the caller, 16 of caller, route and body together.

    HMAC-SHA-256 (RFC 2104) under a server key over deterministic CBOR, so that the database alone gives no body
    away. `body` is the validated body in canonical form, without a PIN.
    """
    of_caller = hmac.digest(key, caller.encode(), sha256)[:CALLER_BYTES]
    whole = hmac.digest(key, cbor2.dumps([caller, route, body], canonical=True), sha256)
    return of_caller + whole[: FINGERPRINT_BYTES - CALLER_BYTES]


def is_same_caller(one: bytes, other: bytes) -> bool:
    """Whether two fingerprints are of the same caller."""
    return hmac.compare_digest(one[:CALLER_BYTES], other[:CALLER_BYTES])


def named_originals(instruction: Instruction) -> Iterator[UUID]:
    """The ids of the earlier instructions that an instruction refers to."""
    for move in instruction.moves:
        if isinstance(move, Refund):
            yield move.original
            yield from (bonus.original for bonus in move.bonus_back)
        elif isinstance(move, Undo):
            yield move.original
