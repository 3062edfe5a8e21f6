"""The end of a region's book, its lock, and its programmes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from database.connections import Connection
from ledger.chart import Funding
from ledger.programmes import ExpiryBucket, Programme


@dataclass(frozen=True, slots=True)
class Book:
    """The end of the book.

    Attributes:
        seq: the last entry's; 0 in an empty book.
        at: the last entry's instant.
        hash: the chain's hash after it.
        account_id: the last account's number.
        counter_id: the last limit counter's number.
        is_open: whether it takes entries.
        programmes_version: raised with every change of a programme or its flows.
    """

    region: str
    seq: int
    at: datetime
    hash: bytes
    account_id: int
    counter_id: int
    is_open: bool
    programmes_version: int


_COLUMNS = "region, seq, at, hash, account_id, counter_id, is_open, programmes_version"


async def lock_book(connection: Connection) -> Book:
    """Takes the lock that orders all entries, until the database transaction ends, and reads the book's end.

    A statement of its own: one that waited for a lock does not see what was committed meanwhile, the next one does.
    """
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM lock_book()")
    return await _read(cursor)


async def read_book(connection: Connection) -> Book:
    """The book's end as it is now, without the lock."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM book")
    return await _read(cursor)


async def _read(cursor: psycopg.AsyncCursor[tuple[Any, ...]]) -> Book:
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the region has no book: its schema was not made by the migrations")
    return Book(*row)


async def list_programmes(connection: Connection) -> list[Programme]:
    """All programmes by number, each with the flows that are switched on."""
    cursor = await connection.execute(
        """SELECT p.id, code, p.funding, rank, expiry_bucket, extension_days_max, receivable_max, risk_max,
                  array_remove(array_agg(flow) FILTER (WHERE is_on), NULL)
           FROM programme p LEFT JOIN programme_flow f ON f.programme = p.id
           GROUP BY p.id ORDER BY p.id"""
    )
    return [
        Programme(
            id=row[0],
            code=row[1],
            funding=Funding(row[2]),
            rank=row[3],
            expiry_bucket=ExpiryBucket(row[4]),
            extension_days_max=row[5],
            receivable_max=row[6],
            risk_max=row[7],
            flows=frozenset(row[8] or ()),
        )
        for row in await cursor.fetchall()
    ]
