"""The one place that commits.

Work is rolled back unless it returns. A lost connection during COMMIT is told apart from a failure: nobody knows
yet what became of it, so it must be read back.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from database.connections import Connection

ATTEMPTS_MAX: Final = 3

Result = TypeVar("Result")


class CommitUnknown(Exception):  # noqa: N818 - a state, not an error
    """The connection was lost while COMMIT was under way: it may have happened or not."""


class SwallowedError(Exception):
    """The work caught an error of the database and went on; its transaction can only be rolled back."""


async def run_in_transaction(connection: Connection, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Runs `work` in a database transaction and commits it; again, a few times, if the database asks for it.

    Raises:
        CommitUnknown: the connection broke during COMMIT.
        SwallowedError: the work hid an error of the database; everything is rolled back.
        psycopg.Error: what the work, or a deferred constraint, failed with; everything is rolled back.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            result = await work(connection)
            await _commit(connection)
        except (errors.SerializationFailure, errors.DeadlockDetected):
            await _roll_back(connection)
            if attempt == ATTEMPTS_MAX:
                raise
        except BaseException:
            await _roll_back(connection)
            raise
        else:
            return result
    raise AssertionError("the loop ends by returning or raising")


async def _commit(connection: Connection) -> None:
    if connection.info.transaction_status is TransactionStatus.INERROR:
        # PostgreSQL answers such a COMMIT with ROLLBACK and no error: the work must not look done.
        raise SwallowedError
    try:
        await connection.commit()
    except psycopg.Error as error:
        # A session that lives on has said a definite "no"; of one that went dead nobody knows.
        if connection.closed:
            raise CommitUnknown from error
        raise


async def _roll_back(connection: Connection) -> None:
    if not connection.closed:
        try:
            await connection.rollback()
        except psycopg.Error:
            # The server rolls back by itself when it notices that the connection is gone.
            await connection.close()
