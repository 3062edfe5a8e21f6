"""Joining and leaving: who starts the server, who shares it, and when it ends."""

import os
import stat
import tempfile
from pathlib import Path

import psycopg
import pytest

from database.embedded.administration import keep_running
from database.embedded.folder import DataFolder, read_pid_file
from database.embedded.locks import is_held
from database.embedded.sharing import find_ready, join, supervisor_pid
from database.embedded.supervisor import StartOptions
from database.refusals import DataFolderNotWritable
from tests.database.embedded.members import Member, wait_until

QUICK = StartOptions(grace_seconds=0.3)


def postmaster(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT pg_postmaster_start_time()").fetchone()[0]


def is_gone(data_dir):
    folder = DataFolder(data_dir)
    return not is_held(folder.supervisor_lock) and not is_held(folder.server_lock)


@pytest.mark.parametrize("starters", [2, 5])
def test_starts_at_the_same_instant_share_one_server(data_dir, starters):
    members = [Member(data_dir) for _ in range(starters)]
    urls = {member.joined() for member in members}
    assert len(urls) == 1
    assert len({postmaster(url) for url in urls}) == 1
    for member in members:
        member.leave()
    wait_until(lambda: is_gone(data_dir))


def test_two_first_starts_at_the_same_instant_make_one_database(tmp_path):
    root = tmp_path / "new"
    members = [Member(root), Member(root)]
    assert len({member.joined() for member in members}) == 1
    assert [path.name for path in root.glob("postgres*")] == ["postgres"]
    for member in members:
        member.leave()
    wait_until(lambda: is_gone(root))


def test_the_server_stays_for_whoever_is_left_and_stops_after_the_last(data_dir):
    first, second = Member(data_dir), Member(data_dir)
    url = first.joined()
    second.joined()
    first.leave()
    # Longer than the grace: the second one alone holds the server.
    with pytest.raises(AssertionError, match="in time"):
        wait_until(lambda: is_gone(data_dir), timeout_seconds=1.0)
    assert postmaster(url)
    second.leave()
    wait_until(lambda: is_gone(data_dir))
    assert read_pid_file(data_dir / "postgres") is None


def test_a_killed_user_has_left(data_dir):
    member = Member(data_dir)
    member.joined()
    member.kill()
    wait_until(lambda: is_gone(data_dir))


def test_a_newcomer_during_the_grace_finds_the_same_server(data_dir):
    options = StartOptions(grace_seconds=3.0)
    with join(data_dir, options=options) as server:
        first = postmaster(server.superuser_url())
    with join(data_dir, options=options) as server:
        assert postmaster(server.superuser_url()) == first


def test_a_newcomer_while_the_server_is_being_stopped_gets_a_new_one(data_dir):
    options = StartOptions(grace_seconds=0.0)
    for _ in range(4):
        with join(data_dir, options=options) as server, psycopg.connect(server.superuser_url()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_kept_server_outlives_its_last_user(data_dir):
    with join(data_dir, options=QUICK) as server:
        keep_running(server)
    with pytest.raises(AssertionError, match="in time"):
        wait_until(lambda: is_gone(data_dir), timeout_seconds=1.0)
    assert find_ready(DataFolder(data_dir)) is not None


@pytest.mark.parametrize(
    "name", ["巡り テスト", "a,b", "with \"quotes\" and 'more'", "percent %41 & = ? #", "x" * 120]
)
def test_any_name_of_a_folder_will_do(data_dir, name):
    odd = data_dir / name
    odd.mkdir()
    (data_dir / "postgres").rename(odd / "postgres")
    with join(odd, options=QUICK) as server:
        with psycopg.connect(server.urls().application) as connection:
            assert connection.execute("SELECT current_user, current_database()").fetchone() == (
                "meguri_app",
                "meguri",
            )
        socket_folder = server.socket_folder
        assert len(os.fsencode(socket_folder / ".s.PGSQL.5432")) <= 103
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    wait_until(lambda: is_gone(odd))
    assert socket_folder.parent == odd or not socket_folder.exists(), "a short folder outside is tidied away"


def test_a_short_socket_folder_that_somebody_else_opened_to_all_is_not_used(data_dir):
    deep = data_dir / ("x" * 120)
    expected = DataFolder(deep).socket_folder()
    assert expected.parent == Path(tempfile.gettempdir())
    expected.mkdir()
    expected.chmod(0o777)
    try:
        other = DataFolder(deep).socket_folder()
        assert other != expected
        other.rmdir()
    finally:
        expected.rmdir()


def test_the_folder_is_for_its_own_account_only(tmp_path):
    root = tmp_path / "new"
    with join(root, options=QUICK):
        for private in (root, root / "postgres", root / "log", root / "socket"):
            if private.exists():
                assert stat.S_IMODE(private.stat().st_mode) & 0o077 == 0, private
    wait_until(lambda: is_gone(root))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderNotWritable) as refused, join(tmp_path / "file" / "data"):
        pass
    assert str(tmp_path / "file") in refused.value.detail
    assert "--data-dir" in refused.value.next_step


def test_the_supervisor_names_itself(data_dir):
    assert supervisor_pid(DataFolder(data_dir)) is None
    with join(data_dir, options=QUICK):
        pid = supervisor_pid(DataFolder(data_dir))
        assert b"database.embedded.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()
