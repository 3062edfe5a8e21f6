"""Runs alone, in a mount namespace of its own, on a small disk that it can fill; see test_ballast.py."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg

from database.embedded.ballast import has_ballast
from database.embedded.folder import DataFolder, read_pid_file
from database.embedded.locks import is_held
from database.embedded.sharing import find_ready, join, warn_without_ballast
from database.embedded.supervisor import StartOptions
from database.refusals import DiskFull
from tests.database.embedded.members import wait_until

DISK = Path(sys.argv[1])
DISK_SIZE = "300m"
QUICK = StartOptions(grace_seconds=0.2)


def fill(*, leave_bytes=0):
    with (DISK / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1024 * 1024))
    if leave_bytes:
        with (DISK / "filler").open("r+b") as file:
            file.truncate((DISK / "filler").stat().st_size - leave_bytes)


def write_until_the_server_dies(url):
    """Commits rows, each of which was acknowledged, and fills the journal between them; how many."""
    committed = 0
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE paid (id int PRIMARY KEY)")
            while True:
                connection.execute("INSERT INTO paid VALUES (%s)", (committed,))
                committed += 1
                if committed == 1:
                    fill()
                connection.execute("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))")
    except psycopg.OperationalError:
        return committed


def full_while_running():
    folder = DataFolder(DISK / "data")
    with join(folder.root, options=QUICK) as server:
        wait_until(lambda: has_ballast(folder))
        before = read_pid_file(folder.postgres).pid
        committed = write_until_the_server_dies(server.superuser_url())
        assert committed > 5
        wait_until(lambda: not has_ballast(folder), timeout_seconds=60)
        wait_until(lambda: find_ready(folder) is not None, timeout_seconds=60)
        assert read_pid_file(folder.postgres).pid != before
        # The row whose answer was cut off may be there too.
        assert count(server.superuser_url()) in {committed, committed + 1}, "every acknowledged row is there"
        warnings = []
        warn_without_ballast(server, warnings.append)
        assert "DISK IS NEARLY FULL" in warnings[0]
        assert "THE DISK IS FULL" in (folder.log / "supervisor.log").read_text()
        (DISK / "filler").unlink()
        wait_until(lambda: has_ballast(folder))
    wait_until(lambda: not is_held(folder.supervisor_lock))


def count(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM paid").fetchone()[0]


def full_before_the_first_start():
    fill(leave_bytes=5 * 1024 * 1024)
    folder = DataFolder(DISK / "data")
    try:
        with join(folder.root, options=QUICK):
            raise AssertionError("a database was made on a full disk")
    except DiskFull as refused:
        assert "--data-dir" in refused.next_step  # noqa: PT017 - no pytest here
    assert not list(folder.root.glob("postgres*")), "nothing half-made is left"


if __name__ == "__main__":
    scenarios = {scenario.__name__: scenario for scenario in (full_while_running, full_before_the_first_start)}
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(DISK)], check=True)
    scenarios[sys.argv[2]]()
    sys.stdout.write("THE SCENARIO HELD\n")
