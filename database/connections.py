"""Connections to one region's schema, and a pool of them for reading.

Region tables carry no schema name anywhere: the connection's `search_path` says whose they are.
"""

import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import psycopg
import psycopg_pool
from psycopg.conninfo import make_conninfo

POOL_TIMEOUT_SECONDS: Final = 1.5
CONNECT_TIMEOUT_SECONDS: Final = 5
_REGION_CODE: Final = re.compile(r"[a-z0-9-]{2,32}")


# What every reader and writer of a region's schema is handed.
Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class DatabaseBusy(Exception):  # noqa: N818 - it is a state of the database, told to the caller
    """Every connection of the pool stayed in use for as long as one may wait; ask again after a pause."""

    code = "overloaded"
    retry_after_seconds = 1


def region_schema(region: str) -> str:
    """The PostgreSQL schema of a region.

    Raises:
        ValueError: not a region's code (2 to 32 of a-z, 0-9 and -).
    """
    if not _REGION_CODE.fullmatch(region):
        raise ValueError(f"not a region's code: {region!r}")
    return "region_" + region.replace("-", "_")


def region_conninfo(url: str, region: str) -> str:
    """The connection string for a region's schema, given the database's."""
    return make_conninfo(
        url,
        options=f"-csearch_path={region_schema(region)}",
        connect_timeout=str(CONNECT_TIMEOUT_SECONDS),
        # A line that went silent is found out in half a minute, not in the system's two hours.
        keepalives_idle="10",
        keepalives_interval="5",
        keepalives_count="4",
        tcp_user_timeout="30000",
        application_name="meguri",
    )


async def connect(url: str, region: str) -> Connection:
    """A connection to a region's schema, for whoever keeps one for himself."""
    return await psycopg.AsyncConnection.connect(region_conninfo(url, region))


def hang_up(connection: Connection) -> None:
    """Ends a connection's line at once, so that whoever waits on it fails instead of waiting on."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as line, suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def open_pool(
    url: str, region: str, *, size_max: int = 8, timeout_seconds: float = POOL_TIMEOUT_SECONDS
) -> AsyncIterator[psycopg_pool.AsyncConnectionPool]:
    """A pool of connections to a region's schema, closed at the end of the block."""
    pool = psycopg_pool.AsyncConnectionPool(
        region_conninfo(url, region), min_size=1, max_size=size_max, timeout=timeout_seconds, open=False
    )
    async with pool:
        yield pool


@asynccontextmanager
async def borrow(pool: psycopg_pool.AsyncConnectionPool) -> AsyncIterator[Connection]:
    """A connection of the pool for reading; what it did is rolled back at the end of the block.

    Raises:
        DatabaseBusy: none became free in time.
    """
    try:
        connection = await pool.getconn()
    except psycopg_pool.PoolTimeout as error:
        raise DatabaseBusy from error
    try:
        yield connection
    finally:
        if not connection.closed:
            await connection.rollback()
        await pool.putconn(connection)
