"""Kills at random instants under load: PostgreSQL itself, or the process with the bookkeeper in it.

A durable server (all settings as shipped), acknowledged answers compared with the book after every kill.
"""

import asyncio
import os
import queue
import random
import signal
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from database.embedded.folder import read_pid_file
from database.embedded.sharing import find_ready
from database.embedded.throwaway import open_throwaway
from tests.database.embedded.members import wait_until
from tests.ledger import ledger_factories as f
from tests.races.racing import CHECKOUT
from tests.races.tills import payment
from tests.region_under_test import RegionUnderTest, make_template

KILLS = int(os.environ.get("MEGURI_KILLS", "20"))
TILLS = 4
# After a crash PostgreSQL syncs its whole folder, one file after the other; the kernel does the same in one call.
SETTINGS = {"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}
ALIVE_TIMEOUT_SECONDS = 30


class Tills:
    """The paying process, replaced when it is killed, and all that it ever acknowledged."""

    def __init__(self, region):
        self.region = region
        self.posted = {}
        self.refused = set()
        self.next = [1] * TILLS
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "tests.races.tills", self.region.urls.application, self.region.code),
                *map(str, self.next),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )
        self.heard = queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.heard.put(line.split())
        self.heard.put(None)

    def note_one(self):
        """Waits for one acknowledgement; False when the process has ended and the pipe is empty."""
        words = self.heard.get(timeout=ALIVE_TIMEOUT_SECONDS)
        if words is None:
            return False
        outcome, till, number, seq = words[0], *map(int, words[1:])
        assert number == self.next[till], "each till goes on where it was"
        self.next[till] += 1
        if outcome == b"posted":
            self.posted[payment(till, number).id] = seq
        else:
            self.refused.add(payment(till, number).id)
        return True

    def note_what_was_said(self):
        for _ in range(self.heard.qsize()):
            assert self.note_one()

    def kill(self):
        self.process.kill()
        self.reader.join()
        while self.note_one():
            pass
        self.process.stdout.close()
        self.process.wait()

    def close(self):
        self.process.kill()
        self.reader.join()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(scope="module")
def durable(tmp_path_factory):
    """A region on a server of its own, which keeps what it has acknowledged."""
    with open_throwaway(tmp_path_factory.mktemp("d") / "data", settings=SETTINGS) as server:
        make_template(server, "killed")
        yield server, RegionUnderTest(server.urls("killed"), server.superuser_url("killed"))


@pytest.mark.slow
def test_G01_G02_kills_at_random_instants_under_load_lose_nothing_and_double_nothing(durable):
    server, region = durable
    with region.connect_sync() as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
    asyncio.run(top_up(region))
    chance = random.Random(20261123)
    with closing(Tills(region)) as tills:
        for number in range(KILLS):
            # The instant is counted in payments, so that every kill finds work under way.
            for _ in range(chance.randrange(5, 60)):
                assert tills.note_one()
            if number % 2:
                tills.kill()
                tills.start()
            else:
                kill_postgresql(server)
                tills.note_what_was_said()
            assert tills.note_one(), "it goes on"
            compare(region, tills)
        tills.kill()
        compare(region, tills)
        assert len(tills.posted) > 10 * KILLS
        assert tills.refused


def kill_postgresql(server):
    """Kills the postmaster; returns when its supervisor has another one running."""
    killed = pid_of(server)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: find_ready(server.folder) is not None and pid_of(server) != killed, timeout_seconds=30)


def pid_of(server):
    said = read_pid_file(server.folder.postgres)
    return said.pid if said else None


async def top_up(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1_000_000))


def compare(region, tills):
    """Every acknowledged payment is in the book at its place, every refused one is not, and the book holds."""
    with region.connect_sync() as connection:
        booked = dict(connection.execute("SELECT id, seq FROM entry WHERE kind = 'payment'").fetchall())
        refused = {row[0] for row in connection.execute("SELECT id FROM refused_instruction").fetchall()}
        taken = connection.execute(
            "SELECT coalesce(sum(credits), 0) FROM account WHERE kind = 'takings'"
        ).fetchone()
    assert {one: booked.get(one) for one in tills.posted} == tills.posted
    assert tills.refused <= refused
    assert not refused & booked.keys()
    # One yen each: none was executed twice.
    if tills.process.poll() is not None:
        assert taken == (len(booked),)
        # At most one payment of each till was under way.
        assert len(booked.keys() - tills.posted.keys()) <= TILLS
    verification = asyncio.run(region.verify())
    assert verification.is_clean, verification.findings
