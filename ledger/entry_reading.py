"""Reads entries back from the journal, as they were booked: for first answers, undoing, receipts and `verify`."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from database.connections import Connection
from ledger.accounts import AccountKey
from ledger.chart import Kind
from ledger.entries import Entry, Hold, HoldMovement, LimitCount, Line, Movement, Transfer
from ledger.instructions import CounterKey, Destination, SingleUse

Item = TypeVar("Item")

_ENTRY = """SELECT seq, at, id, kind, fingerprint, single_use_expires_at, single_use_digest, ordered_by,
                   approved_by, reason, evidence FROM entry"""
_KEYS = """d.kind, d.holder, dp.code, d.expires_on, d.grace, c.kind, c.holder, cp.code, c.expires_on, c.grace"""


async def entries_by_instruction(connection: Connection, ids: list[UUID]) -> list[Entry]:
    """The entries of those instructions that have settled, in the book's order."""
    cursor = await connection.execute(f"{_ENTRY} WHERE id = ANY(%s) ORDER BY seq", [ids])
    return await _complete(connection, await cursor.fetchall())


async def entries_between(connection: Connection, first: int, last: int) -> list[Entry]:
    """The entries from `seq` first to last, both included, in the book's order."""
    cursor = await connection.execute(f"{_ENTRY} WHERE seq BETWEEN %s AND %s ORDER BY seq", [first, last])
    return await _complete(connection, await cursor.fetchall())


async def _complete(connection: Connection, rows: list[tuple[Any, ...]]) -> list[Entry]:
    if not rows:
        return []
    seqs = [row[0] for row in rows]
    transfers = await _transfers(connection, seqs)
    movements = await _hold_movements(connection, seqs)
    holds = await _holds(connection, seqs)
    counts = await _limit_counts(connection, seqs)
    return [
        Entry(
            seq=row[0],
            at=row[1],
            id=row[2],
            kind=row[3],
            fingerprint=row[4],
            transfers=tuple(transfers.get(row[0], ())),
            holds=tuple(holds.get(row[0], ())),
            hold_movements=tuple(movements.get(row[0], ())),
            limit_counts=tuple(counts.get(row[0], ())),
            single_use=SingleUse(row[5], row[6]) if row[5] else None,
            ordered_by=row[7],
            approved_by=row[8],
            reason=row[9],
            evidence=row[10],
        )
        for row in rows
    ]


async def _transfers(connection: Connection, seqs: list[int]) -> dict[int, list[Transfer]]:
    cursor = await connection.execute(
        f"""SELECT t.seq, flow, amount, undoes_seq, undoes_line, {_KEYS}
            FROM transfer t
            JOIN account d ON d.id = debit_account
            JOIN account c ON c.id = credit_account
            JOIN programme dp ON dp.id = d.programme
            JOIN programme cp ON cp.id = c.programme
            WHERE t.seq = ANY(%s) ORDER BY t.seq, line""",
        [seqs],
    )
    return _group(
        (
            row[0],
            Transfer(
                row[1],
                AccountKey(Kind(row[5]), *row[6:10]),
                AccountKey(Kind(row[10]), *row[11:15]),
                row[2],
                Line(row[3], row[4]) if row[3] else None,
            ),
        )
        for row in await cursor.fetchall()
    )


async def _hold_movements(connection: Connection, seqs: list[int]) -> dict[int, list[HoldMovement]]:
    cursor = await connection.execute(
        """SELECT m.seq, hold, movement, amount, a.kind, a.holder, p.code, a.expires_on, a.grace
           FROM hold_movement m JOIN account a ON a.id = account JOIN programme p ON p.id = a.programme
           WHERE m.seq = ANY(%s) ORDER BY m.seq, line""",
        [seqs],
    )
    return _group(
        (row[0], HoldMovement(row[1], AccountKey(Kind(row[4]), *row[5:9]), Movement(row[2]), row[3]))
        for row in await cursor.fetchall()
    )


async def _holds(connection: Connection, seqs: list[int]) -> dict[int, list[Hold]]:
    cursor = await connection.execute(
        "SELECT seq, id, wallet, flow, credit_kind, credit_holder, expires_at FROM hold WHERE seq = ANY(%s)", [seqs]
    )
    return _group(
        (row[0], Hold(row[1], row[2], row[3], Destination(Kind(row[4]), row[5]), row[6]))
        for row in await cursor.fetchall()
    )


async def _limit_counts(connection: Connection, seqs: list[int]) -> dict[int, list[LimitCount]]:
    cursor = await connection.execute(
        """SELECT l.seq, family, subject, l.day, amount
           FROM limit_count l JOIN limit_counter c ON c.id = counter
           WHERE l.seq = ANY(%s) ORDER BY l.seq, line""",
        [seqs],
    )
    return _group(
        (row[0], LimitCount(CounterKey(row[1], row[2]), row[3], row[4])) for row in await cursor.fetchall()
    )


def _group(pairs: Iterable[tuple[int, Item]]) -> dict[int, list[Item]]:
    grouped: dict[int, list[Item]] = defaultdict(list)
    for seq, item in pairs:
        grouped[seq].append(item)
    return grouped
