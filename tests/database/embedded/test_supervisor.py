"""Killed servers, killed supervisors, strangers with old numbers: no committed row lost, no server doubled."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from database.embedded.account import server_account
from database.embedded.binaries import program, program_environment
from database.embedded.folder import DataFolder, read_pid_file
from database.embedded.locks import is_held
from database.embedded.processes import is_alive
from database.embedded.sharing import find_ready, join, supervisor_pid
from database.embedded.supervisor import StartOptions
from database.refusals import DataFolderInUse
from tests.database.embedded.members import Member, kill, wait_until

QUICK = StartOptions(grace_seconds=0.3)


@pytest.fixture
def folder(data_dir):
    return DataFolder(data_dir)


def write_rows(url, count):
    """Commits one row after the other, so that each was acknowledged."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS paid (id int PRIMARY KEY)")
        for number in range(count):
            connection.execute("INSERT INTO paid VALUES (%s)", (number,))


def count_rows(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM paid").fetchone()[0]


def processes_of(folder):
    """Every PostgreSQL process that works in the data folder."""
    found = subprocess.run(["pgrep", "-x", "postgres"], capture_output=True, text=True, check=False).stdout.split()
    own = []
    for pid in map(int, found):
        with suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink() == folder.postgres:
                own.append(pid)
    return own


def test_a_killed_server_comes_back_under_its_users_with_every_committed_row(folder):
    with join(folder.root, options=QUICK) as server:
        write_rows(server.superuser_url(), 200)
        before = read_pid_file(folder.postgres).pid
        kill(before)
        wait_until(lambda: find_ready(folder) is not None and read_pid_file(folder.postgres).pid != before)
        assert count_rows(server.superuser_url()) == 200


def test_a_newcomer_adopts_the_server_of_a_killed_supervisor(folder):
    member = Member(folder.root)
    write_rows(member.joined(), 50)
    supervisor, server_pid = supervisor_pid(folder), read_pid_file(folder.postgres).pid
    kill(supervisor)
    wait_until(lambda: not is_held(folder.supervisor_lock))
    with join(folder.root, options=QUICK) as server:
        assert read_pid_file(folder.postgres).pid == server_pid, "the living server was not started again"
        assert supervisor_pid(folder) not in {None, supervisor}
        assert count_rows(server.superuser_url()) == 50
    member.leave()
    # Adopted or not, it ends with its last user.
    wait_until(lambda: not is_held(folder.server_lock))


def test_supervisor_and_server_killed_together_lose_no_committed_row(folder):
    member = Member(folder.root)
    write_rows(member.joined(), 200)
    kill(supervisor_pid(folder))
    kill(read_pid_file(folder.postgres).pid)
    member.kill()
    with join(folder.root, options=QUICK) as server:
        assert count_rows(server.superuser_url()) == 200


def test_everything_killed_at_once_loses_no_committed_row(folder):
    member = Member(folder.root)
    write_rows(member.joined(), 200)
    kill(supervisor_pid(folder))
    for pid in processes_of(folder):
        with suppress(ProcessLookupError):
            kill(pid)
    member.kill()
    with join(folder.root, options=QUICK) as server:
        assert count_rows(server.superuser_url()) == 200


def test_an_adopted_server_that_dies_is_started_again(folder):
    member = Member(folder.root)
    member.joined()
    kill(supervisor_pid(folder))
    wait_until(lambda: not is_held(folder.supervisor_lock))
    with join(folder.root, options=QUICK) as server:
        before = read_pid_file(folder.postgres).pid
        kill(before)
        wait_until(lambda: find_ready(folder) is not None and read_pid_file(folder.postgres).pid != before)
        assert psycopg.connect(server.superuser_url()).close() is None
    member.leave()


def test_a_stranger_with_a_dead_servers_number_is_left_alone_and_not_believed(folder, tmp_path):
    program_called_postgres = tmp_path / "postgres"
    shutil.copy(shutil.which("sleep"), program_called_postgres)
    for stranger in ([sys.executable, "-c", "input()"], [str(program_called_postgres), "60"]):
        process = subprocess.Popen(stranger, stdin=subprocess.PIPE)
        write_pid_file(folder, process.pid)
        with join(folder.root, options=QUICK) as server:
            assert read_pid_file(folder.postgres).pid != process.pid
            with psycopg.connect(server.superuser_url()) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        wait_until(lambda: not is_held(folder.server_lock))
        assert process.poll() is None, "the stranger still lives"
        process.kill()
        process.communicate()


def write_pid_file(folder, pid):
    socket_folder = folder.root / "socket"
    lines = [pid, folder.postgres, 1700000000, 5432, socket_folder, "", "  5432001   1", "ready   "]
    (folder.postgres / "postmaster.pid").write_text("".join(f"{line}\n" for line in lines))


def test_a_server_started_by_hand_is_refused_and_goes_on(folder, tmp_path):
    account = server_account(folder.postgres)
    command = [program("postgres"), "-D", str(folder.postgres), "-c", "listen_addresses=", "-k", str(folder.root)]
    with (tmp_path / "log").open("wb") as log:
        process = account.start(command, output=log.fileno(), environment=program_environment())
        wait_until(lambda: (said := read_pid_file(folder.postgres)) is not None and said.is_ready)
        with pytest.raises(DataFolderInUse) as refused, join(folder.root, options=QUICK):
            pass
        assert str(process.pid) in refused.value.next_step
        assert is_alive(process.pid)
        process.terminate()
        process.communicate()


def test_the_supervisor_ends_the_server_cleanly_when_it_is_told_to_end(folder):
    with join(folder.root, options=QUICK):
        os.kill(supervisor_pid(folder), 15)
        wait_until(lambda: not is_held(folder.supervisor_lock))
        assert not is_held(folder.server_lock)
        assert read_pid_file(folder.postgres) is None


def test_settings_that_money_rests_on_cannot_be_taken_away_by_the_configuration_file(folder):
    with (folder.postgres / "postgresql.conf").open("a") as file:
        file.write("fsync = off\nfull_page_writes = off\nsynchronous_commit = off\nlisten_addresses = '*'\n")
    with join(folder.root, options=QUICK) as server, psycopg.connect(server.urls().application) as connection:
        for name, value in {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "wal_level": "replica",
            "data_checksums": "on",
            "listen_addresses": "",
        }.items():
            assert connection.execute("SELECT current_setting(%s)", (name,)).fetchone() == (value,), name
