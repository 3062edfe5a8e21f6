"""Runs alone, in a mount namespace of its own, on a small disk that it can fill; see test_disk_full.py."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg

from database.embedded.ballast import has_ballast
from database.embedded.sharing import join
from database.embedded.supervisor import StartOptions
from ledger.bookkeeper import Capacity
from ledger.refusals import OutcomeUnknown
from tests.database.embedded.members import wait_until
from tests.ledger import ledger_factories as f
from tests.region_under_test import RegionUnderTest, make_template

DISK = Path(sys.argv[1])
DISK_SIZE = "400m"


def fill():
    with (DISK / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1024 * 1024))
    with (DISK / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


async def fill_the_journal(region):
    """Uses up what PostgreSQL has set aside for its journal, until it dies of the full disk."""
    with suppress(psycopg.OperationalError):
        async with region.connect(role="superuser") as connection:
            await connection.set_autocommit(True)
            while True:
                await connection.execute("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))")


async def pay(bookkeeper, outcomes, payments):
    for one in payments:
        try:
            outcomes[one.id] = (await bookkeeper.post(one)).entry.seq
        except OutcomeUnknown:
            outcomes[one.id] = None


async def run(region, server):
    outcomes = {}
    payments = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(60)]
    async with region.bookkeeper(capacity=Capacity(outcome_timeout_seconds=2)) as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        await pay(bookkeeper, outcomes, payments[:20])
        assert None not in outcomes.values()
        await asyncio.to_thread(fill)
        dying = asyncio.create_task(fill_the_journal(region))
        await pay(bookkeeper, outcomes, payments[20:40])
        await dying
        await asyncio.to_thread(wait_until, lambda: not has_ballast(server.folder), timeout_seconds=60)
        (DISK / "filler").unlink()
        # Room again: the same bookkeeper goes on by itself, and the same ids give the truth.
        async with asyncio.timeout(60):
            while None in outcomes.values() or len(outcomes) < len(payments):
                await pay(bookkeeper, outcomes, [one for one in payments if outcomes.get(one.id) is None])
    async with region.connect() as connection:
        cursor = await connection.execute("SELECT id, seq FROM entry WHERE kind = 'payment'")
        assert dict(await cursor.fetchall()) == outcomes, "every answer is in the book, once"
    assert (await region.verify()).is_clean


def main():
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(DISK)], check=True)
    with join(DISK / "data", options=StartOptions(grace_seconds=0.2)) as server:
        wait_until(lambda: has_ballast(server.folder))
        make_template(server, "crowded")
        region = RegionUnderTest(server.urls("crowded"), server.superuser_url("crowded"))
        asyncio.run(run(region, server))
    sys.stdout.write("THE SCENARIO HELD\n")


if __name__ == "__main__":
    main()
