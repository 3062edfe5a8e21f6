"""Entries: what the book consists of, and the bytes that its hash chain covers.

`h(seq) = SHA-256(h(seq-1) || deterministic CBOR of the entry)` (RFC 8949 §4.2.1), with accounts and counters by
their natural keys, so that a region rebuilt elsewhere has the same hashes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import cbor2

from ledger.accounts import AccountKey
from ledger.instructions import CounterKey, Destination, SingleUse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Line(NamedTuple):
    """One transfer of an entry, named from outside: the entry's `seq` and the line in it, from 1."""

    seq: int
    line: int


class Transfer(NamedTuple):
    """One line of an entry: an amount in yen from a debit to a credit account of one programme."""

    flow: str
    debit: AccountKey
    credit: AccountKey
    amount: int
    undoes: Line | None = None


class Movement(StrEnum):
    """What becomes of held value."""

    PLACED = "placed"
    CAPTURED = "captured"
    RELEASED = "released"


class HoldMovement(NamedTuple):
    """An amount in yen set aside on an account for a hold, or given free again."""

    hold: UUID
    account: AccountKey
    movement: Movement
    amount: int


class Hold(NamedTuple):
    """What a hold is for: whose value, by which flow to where, and until when."""

    id: UUID
    wallet: UUID
    flow: str
    credit: Destination
    expires_at: datetime


class LimitCount(NamedTuple):
    """An amount in yen that counts on a day in Japan; below zero where a refund takes it off again."""

    counter: CounterKey
    day: date
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the book, all or nothing.

    Attributes:
        seq: its place in the book, from 1 without a gap.
        at: its instant in UTC, never before that of the entry before it.
        id: the instruction that made it.
        fingerprint: the instruction's; not part of the hash, because it depends on a server's key.
    """

    seq: int
    at: datetime
    id: UUID
    kind: str
    fingerprint: bytes
    transfers: tuple[Transfer, ...] = ()
    holds: tuple[Hold, ...] = ()
    hold_movements: tuple[HoldMovement, ...] = ()
    limit_counts: tuple[LimitCount, ...] = ()
    single_use: SingleUse | None = None
    ordered_by: UUID | None = None
    approved_by: UUID | None = None
    reason: str | None = None
    evidence: bytes | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """An entry with its place in the hash chain; 32 bytes."""

    entry: Entry
    hash: bytes


def first_hash(region: str) -> bytes:
    """What the chain of a region's book starts from: the hash "before" entry 1."""
    return sha256(b"meguri book " + region.encode()).digest()


def next_hash(previous: bytes, entry: Entry) -> bytes:
    """The hash of an entry, given the hash of the one before it; 32 bytes."""
    return sha256(previous + entry_bytes(entry)).digest()


def hash_prefix(entry_hash: bytes) -> int:
    """The first four bytes of an entry's hash as a signed integer: enough to name the row that was altered."""
    return int.from_bytes(entry_hash[:4], "big", signed=True)


def instant_number(instant: datetime) -> int:
    """An instant as whole microseconds since 1970 (UTC), exactly."""
    return (instant - _EPOCH) // _MICROSECOND


def entry_bytes(entry: Entry) -> bytes:
    """The deterministic CBOR of an entry: one array, its parts in a fixed order."""
    return cbor2.dumps(
        [
            entry.seq,
            instant_number(entry.at),
            entry.id.bytes,
            entry.kind,
            [_transfer_parts(transfer) for transfer in entry.transfers],
            [_hold_parts(hold) for hold in entry.holds],
            [
                [movement.hold.bytes, _key_parts(movement.account), movement.movement.value, movement.amount]
                for movement in entry.hold_movements
            ],
            [
                [count.counter.family, count.counter.subject.bytes, count.day.isoformat(), count.amount]
                for count in entry.limit_counts
            ],
            _single_use_parts(entry.single_use),
            [person.bytes if person else None for person in (entry.ordered_by, entry.approved_by)],
            entry.reason,
            entry.evidence,
        ],
        canonical=True,
    )


def _key_parts(key: AccountKey) -> Sequence[object]:
    day = key.expires_on.isoformat() if key.expires_on else None
    return [key.kind.value, key.holder.bytes, key.programme, day, key.grace]


def _transfer_parts(transfer: Transfer) -> Sequence[object]:
    undoes = list(transfer.undoes) if transfer.undoes else None
    return [transfer.flow, _key_parts(transfer.debit), _key_parts(transfer.credit), transfer.amount, undoes]


def _hold_parts(hold: Hold) -> Sequence[object]:
    credit = [hold.credit.kind.value, hold.credit.holder.bytes]
    return [hold.id.bytes, hold.wallet.bytes, hold.flow, credit, instant_number(hold.expires_at)]


def _single_use_parts(single_use: SingleUse | None) -> Sequence[object] | None:
    if single_use is None:
        return None
    return [instant_number(single_use.expires_at), single_use.digest]
