"""What races need: many posts at once, bookkeepers in other processes, and the book's lock in a test's hand."""

import asyncio
import os
import pickle
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from ledger.batch_planning import Posted
from ledger.refusals import Refusal

CHECKOUT = Path(__file__).resolve().parents[2]
FIRST, REPLAY = "first", "replay"


async def post_all(bookkeeper, instructions):
    """Posts all of them at the same time; what became of each, as a word: `first`, `replay` or a refusal's code."""
    outcomes = await asyncio.gather(*(bookkeeper.post(one) for one in instructions), return_exceptions=True)
    return [word_of(outcome) for outcome in outcomes]


def word_of(outcome):
    if isinstance(outcome, Posted):
        return REPLAY if outcome.is_replay else FIRST
    if isinstance(outcome, Refusal):
        return outcome.code
    raise outcome


class BookkeeperProcess:
    """A bookkeeper in a process of its own; see bookkeeper_process.py."""

    def __init__(self, region, *words):
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "tests.races.bookkeeper_process",
                region.urls.application,
                region.code,
                *words,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )

    def __enter__(self):
        assert pickle.load(self.process.stdout) == "ready"  # noqa: S301 - our own child
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    async def post_all(self, instructions):
        """As `post_all`, over there."""
        return await asyncio.to_thread(self._post_all, instructions)

    def _post_all(self, instructions):
        pickle.dump(instructions, self.process.stdin)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)  # noqa: S301 - our own child


@asynccontextmanager
async def in_two_processes(region):
    """Two bookkeepers, each in a process of its own. Yields a function that shares instructions out among them."""
    with ExitStack() as stack:
        processes = [BookkeeperProcess(region) for _ in range(2)]
        for process in processes:
            await asyncio.to_thread(stack.enter_context, process)

        async def post(instructions):
            halves = [instructions[0::2], instructions[1::2]]
            answers = await asyncio.gather(
                *(process.post_all(half) for process, half in zip(processes, halves, strict=True))
            )
            outcomes = list(instructions)
            outcomes[0::2], outcomes[1::2] = answers
            return outcomes

        yield post


@asynccontextmanager
async def in_one_process(region):
    """One bookkeeper, here."""
    async with region.bookkeeper() as bookkeeper:

        async def post(instructions):
            return await post_all(bookkeeper, instructions)

        yield post


@asynccontextmanager
async def book_locked(region):
    """Holds the book's lock for the time of the block, as another process in the middle of a batch does."""
    async with region.connect() as connection:
        await connection.execute("SELECT lock_book()")
        yield
        await connection.rollback()


async def wait_for_waiters(region, number=1):
    """Returns once so many sessions wait for the book's lock."""
    async with region.connect(role="superuser") as connection:
        await connection.set_autocommit(True)
        async with asyncio.timeout(20):
            while await _waiters(connection) < number:  # noqa: ASYNC110 - the event is the server's
                await asyncio.sleep(0.01)


async def _waiters(connection):
    cursor = await connection.execute(
        """SELECT count(*) FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%lock_book%'"""
    )
    return (await cursor.fetchone())[0]


async def balance_of(region, key):
    """What an account holds; nothing where there is none."""
    async with region.connect() as connection:
        cursor = await connection.execute(
            """SELECT CASE WHEN kind IN ('reserve', 'grant', 'receivable', 'risk') THEN debits - credits
                      ELSE credits - debits END
               FROM account a JOIN programme p ON p.id = programme
               WHERE kind = %s AND holder = %s AND p.code = %s AND grace = %s
                 AND expires_on IS NOT DISTINCT FROM %s""",
            [key.kind.value, key.holder, key.programme, key.grace, key.expires_on],
        )
        row = await cursor.fetchone()
        return row[0] if row else 0


async def ask(region, query, *values):
    """One row."""
    async with region.connect() as connection:
        return await (await connection.execute(query, values)).fetchone()


def tally(outcomes):
    """How many outcomes of each kind there are."""
    return dict(Counter(outcomes))
