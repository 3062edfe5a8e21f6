"""How many payments a second the bookkeeper books, beside pgbench's TPC-B on the same server in the same minutes.

    PYTHONPATH=. .venv/bin/python -m benchmarks.bookkeeper [--seconds 8] [--rounds 3] [--json]

Runs alternate and medians are told, because the speed of disks and shared machines varies by the minute. The server
is a throw-away one with `fsync` on. A payment draws one lot, spends a single-use key and counts against the limits
of a day and a month, as in a shop. The book is proven at the end.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg

from database.connections import connect
from database.embedded.binaries import run_program
from database.embedded.throwaway import open_throwaway
from database.ids import new_id
from ledger.accounts import AccountKey, wallet_lot
from ledger.bookkeeper import Bookkeeper, Capacity
from ledger.chart import Funding, Kind
from ledger.instructions import (
    CounterKey,
    Destination,
    Draw,
    Instruction,
    Limit,
    Move,
    SingleUse,
    fingerprint,
)
from ledger.programme_commands import open_programme
from ledger.programmes import ProgrammeTerms, TwoPeople
from ledger.verify import verify_book
from migrations.upgrading import create_region

SETTINGS: Final = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
BATCH_SIZES: Final = (1, 64, 256)
WALLETS: Final = 10_000
MERCHANTS: Final = 60
PGBENCH_SCALE: Final = 50
PGBENCH_CLIENTS: Final = 8
KEY: Final = b"benchmark's own fingerprint key!"
LAST_DAY: Final = date(2099, 12, 31)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what it did a second, and what a payment cost.

    Attributes:
        client_us: CPU time of this process a payment, in microseconds, the caller's part included.
        server_us: CPU time of the database's connection a payment, in microseconds.
    """

    per_second: float
    client_us: float = 0.0
    server_us: float = 0.0


def instruction(kind: str, *moves: Any, **options: Any) -> Instruction:
    """An instruction with an id and a fingerprint of its own."""
    made = new_id()
    mark = fingerprint(KEY, caller="benchmark", route=kind, body=made.bytes)
    return Instruction(made, kind, "benchmark", mark, moves, **options)


def payment(wallets: list[UUID], merchants: list[UUID], chance: random.Random) -> Instruction:
    """A payment of a random wallet at a random merchant, as a terminal would ask for it."""
    wallet = chance.choice(wallets)
    amount = chance.randint(1, 50)
    return instruction(
        "payment",
        Draw("payment", wallet, amount, Destination(Kind.TAKINGS, chance.choice(merchants))),
        single_use=SingleUse(datetime.now(UTC) + timedelta(seconds=60), uuid4().bytes),
        limits=(Limit(CounterKey("wallet", wallet), amount, day_max=10**9, month_max=10**9),),
    )


async def top_up_all(bookkeeper: Bookkeeper, wallets: list[UUID]) -> None:
    """Gives every wallet more than it will spend."""
    desk = AccountKey(Kind.RESERVE, uuid4(), "yen")
    for start in range(0, len(wallets), 1000):
        await asyncio.gather(
            *(
                bookkeeper.post(
                    instruction("top_up", Move("top_up", desk, wallet_lot(wallet, "yen", LAST_DAY), 10_000_000))
                )
                for wallet in wallets[start : start + 1000]
            )
        )


async def run_payments(
    bookkeeper: Bookkeeper, wallets: list[UUID], merchants: list[UUID], *, at_once: int, seconds: float
) -> Run:
    """Keeps `at_once` payments waiting; as soon as one is booked its payer asks for the next."""
    chance = random.Random(7)  # noqa: S311 - a load, not a secret
    booked = 0
    start = time.perf_counter()
    client, server = _cpu_seconds(), _backend_cpu_seconds(bookkeeper)

    async def pay_on() -> None:
        nonlocal booked
        while time.perf_counter() - start < seconds:
            await bookkeeper.post(payment(wallets, merchants, chance))
            booked += 1

    await asyncio.gather(*(pay_on() for _ in range(at_once)))
    elapsed = time.perf_counter() - start
    client, server = _cpu_seconds() - client, _backend_cpu_seconds(bookkeeper) - server
    return Run(booked / elapsed, client / booked * 1e6, server / booked * 1e6)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _backend_cpu_seconds(bookkeeper: Bookkeeper) -> float:
    fields = Path(f"/proc/{bookkeeper.backend_pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_tpcb(url: str, seconds: float) -> Run:
    """The TPC-B-like script of pgbench, with prepared statements."""
    options = ("--no-vacuum", "--protocol=prepared", f"--client={PGBENCH_CLIENTS}", "--jobs=2")
    done = run_program("pgbench", *options, f"--time={max(1, round(seconds))}", url)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    line = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
    return Run(float(line.split()[2]))


@contextmanager
def prepared_server() -> Iterator[tuple[Any, str]]:
    """A server with an empty region and a database for pgbench."""
    with open_throwaway(settings=SETTINGS) as server:
        with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE tpcb")
        tpcb = server.superuser_url("tpcb")
        made = run_program("pgbench", "--initialize", f"--scale={PGBENCH_SCALE}", "--quiet", tpcb)
        if made.returncode != 0:
            raise RuntimeError(made.stderr)
        urls = server.urls()
        create_region(urls, code="benchmark", name="benchmark", now=datetime.now(UTC))
        yield urls, tpcb


async def measure(urls: Any, tpcb: str, *, seconds: float, rounds: int) -> dict[str, Any]:
    """Alternates TPC-B and every batch size; the medians, with all runs beside them."""
    wallets = [uuid4() for _ in range(WALLETS)]
    merchants = [uuid4() for _ in range(MERCHANTS)]
    runs: dict[str, list[Run]] = {"tpcb": [], **{str(size): [] for size in BATCH_SIZES}}
    people = TwoPeople(uuid4(), uuid4())
    async with await connect(urls.application, "benchmark") as connection:
        terms = ProgrammeTerms(code="yen", funding=Funding.YEN)
        await open_programme(connection, terms, people=people, at=datetime.now(UTC))
        async with Bookkeeper(urls.application, "benchmark") as bookkeeper:
            await top_up_all(bookkeeper, wallets)
        for _ in range(rounds):
            runs["tpcb"].append(await asyncio.to_thread(run_tpcb, tpcb, seconds))
            for size in BATCH_SIZES:
                capacity = Capacity(batch_max=size)
                async with Bookkeeper(urls.application, "benchmark", capacity=capacity) as bookkeeper:
                    # Twice as many wait, so that the next batch is full when one is done, as it is under load.
                    run = await run_payments(bookkeeper, wallets, merchants, at_once=2 * size, seconds=seconds)
                runs[str(size)].append(run)
            print(f"round done: {[round(found[-1].per_second) for found in runs.values()]}", file=sys.stderr)
        verification = await verify_book(connection)
    return summarize(runs, is_clean=verification.is_clean, entries=verification.entries)


def summarize(runs: dict[str, list[Run]], *, is_clean: bool, entries: int) -> dict[str, Any]:
    """The medians of all runs, and the ratio to TPC-B."""
    tpcb = statistics.median(run.per_second for run in runs["tpcb"])

    def of_size(size: int) -> dict[str, Any]:
        found = runs[str(size)]
        rate = statistics.median(run.per_second for run in found)
        return {
            "size": size,
            "payments_per_second": round(rate),
            "ratio": round(rate / tpcb, 2),
            "client_us": round(statistics.median(run.client_us for run in found)),
            "server_us": round(statistics.median(run.server_us for run in found)),
        }

    return {
        "tpcb": round(tpcb),
        "batches": [of_size(size) for size in BATCH_SIZES],
        "entries": entries,
        "is_clean": is_clean,
        "runs": {name: [asdict(run) for run in found] for name, found in runs.items()},
    }


def main() -> int:
    """Runs the benchmark and prints its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each run takes")
    parser.add_argument("--rounds", type=int, default=3, help="how often the runs alternate")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    chosen = parser.parse_args()
    with prepared_server() as (urls, tpcb):
        found = asyncio.run(measure(urls, tpcb, seconds=chosen.seconds, rounds=chosen.rounds))
    if chosen.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"pgbench TPC-B ({PGBENCH_CLIENTS} clients): {found['tpcb']:,} transactions/s")
    for batch in found["batches"]:
        rate = f"{batch['payments_per_second']:>6,} payments/s = {batch['ratio']} x TPC-B"
        cpu = f"CPU a payment: here {batch['client_us']} µs, PostgreSQL {batch['server_us']} µs"
        print(f"batches of {batch['size']:>3}: {rate}; {cpu}")
    print(f"{found['entries']:,} entries, verified: {'clean' if found['is_clean'] else 'NOT CLEAN'}")
    return 0 if found["is_clean"] else 1


if __name__ == "__main__":
    sys.exit(main())
