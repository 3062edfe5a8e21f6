"""How long a large book takes to prove, and in how much memory: `ledger verify` over millions of entries.

    PYTHONPATH=. .venv/bin/python -m benchmarks.large_book [--entries 5000000] [--json]

The book is filled by the bookkeeper itself in large batches, on a throw-away server without fsync (nothing is timed
while filling), then proven by `./meguri ledger verify` in a process of its own, whose peak memory is told.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from benchmarks.bookkeeper import payment, top_up_all
from database.connections import connect
from database.embedded.throwaway import UNSAFE_AND_FAST, open_throwaway
from ledger.bookkeeper import Bookkeeper, Capacity
from ledger.chart import Funding
from ledger.programme_commands import open_programme
from ledger.programmes import ProgrammeTerms, TwoPeople
from migrations.upgrading import create_region

BATCH: Final = 1000
WALLETS: Final = 50_000
MERCHANTS: Final = 500
REGION: Final = "large"


async def fill(url: str, entries: int) -> None:
    """Books top-ups for all wallets, then random payments up to the number of entries."""
    chance = random.Random(11)  # noqa: S311 - a load, not a secret
    wallets = [uuid4() for _ in range(WALLETS)]
    merchants = [uuid4() for _ in range(MERCHANTS)]
    async with await connect(url, REGION) as connection:
        people = TwoPeople(uuid4(), uuid4())
        await open_programme(connection, ProgrammeTerms(code="yen", funding=Funding.YEN), people=people, at=_now())
    capacity = Capacity(batch_max=BATCH, outcome_timeout_seconds=120.0)
    async with Bookkeeper(url, REGION, capacity=capacity) as bookkeeper:
        await top_up_all(bookkeeper, wallets)
        start = time.perf_counter()
        for booked in range(WALLETS, entries, BATCH):
            chunk = [payment(wallets, merchants, chance) for _ in range(min(BATCH, entries - booked))]
            await asyncio.gather(*(bookkeeper.post(one) for one in chunk))
            if booked % (100 * BATCH) == 0:
                print(f"{booked:,} entries, {time.perf_counter() - start:.0f} s", file=sys.stderr)


def prove(urls: Any) -> dict[str, Any]:
    """Runs `ledger verify` as a process of its own; its words, seconds and peak memory in MB."""
    environment = {
        **os.environ,
        "DATABASE_URL": urls.application,
        "DATABASE_OWNER_URL": urls.owner,
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "cli", "ledger", "verify", "--region", REGION],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    # In kilobytes on Linux; the largest child is the only one.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"says": done.stdout.strip(), "seconds": round(seconds, 1), "peak_mb": round(peak)}


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> int:
    """Fills, proves, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--entries", type=int, default=5_000_000, help="how many the book has in the end")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    chosen = parser.parse_args()
    with open_throwaway(settings={**UNSAFE_AND_FAST, "shared_buffers": "1GB", "max_wal_size": "4GB"}) as server:
        urls = server.urls()
        create_region(urls, code=REGION, name="large", now=_now())
        asyncio.run(fill(urls.application, chosen.entries))
        found = prove(urls)
    if chosen.json:
        print(json.dumps(found))
    else:
        print(f"{found['says']}\nproven in {found['seconds']} s with a peak of {found['peak_mb']} MB")
    return 0 if found["says"].startswith("✓") else 1


if __name__ == "__main__":
    sys.exit(main())
