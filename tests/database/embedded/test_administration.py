"""Keeping the server, letting it go, looking at it."""

import os

import pytest

from database.embedded.administration import StopOutcome, find_server, keep_running, read_status, stop_when_unused
from database.embedded.folder import DataFolder
from database.embedded.locks import is_held
from database.embedded.sharing import join, supervisor_pid
from database.embedded.supervisor import StartOptions
from database.refusals import DatabaseNotRunning, DataFolderNotWritable
from tests.database.embedded.members import kill, wait_until

# Long: what ends the server here is the wish, not the grace.
PATIENT = StartOptions(grace_seconds=60)


def test_a_kept_server_is_stopped_at_once_when_nobody_uses_it(data_dir):
    with join(data_dir, options=PATIENT) as server:
        keep_running(server)
    assert read_status(data_dir).is_kept
    assert stop_when_unused(data_dir) is StopOutcome.STOPPED
    status = read_status(data_dir)
    assert (status.is_running, status.is_kept, status.pid, status.supervisor_pid) == (False, False, None, None)


def test_a_server_in_use_is_stopped_after_its_last_user(data_dir):
    with join(data_dir, options=PATIENT) as server:
        keep_running(server)
        assert stop_when_unused(data_dir) is StopOutcome.IN_USE
        assert read_status(data_dir).is_running
    wait_until(lambda: not is_held(DataFolder(data_dir).supervisor_lock))


def test_a_server_whose_supervisor_was_killed_is_stopped_all_the_same(data_dir):
    with join(data_dir, options=PATIENT) as server:
        keep_running(server)
    kill(supervisor_pid(DataFolder(data_dir)))
    wait_until(lambda: not is_held(DataFolder(data_dir).supervisor_lock))
    assert read_status(data_dir).is_running
    assert stop_when_unused(data_dir) is StopOutcome.STOPPED


def test_stopping_what_does_not_run_is_no_error(data_dir):
    assert stop_when_unused(data_dir) is StopOutcome.WAS_NOT_RUNNING


def test_looking_starts_nothing_and_makes_nothing(tmp_path):
    status = read_status(tmp_path / "never")
    assert (status.exists, status.is_running, status.is_in_use) == (False, False, False)
    assert not (tmp_path / "never").exists()


def test_the_status_tells_who_is_there(data_dir):
    with join(data_dir, options=PATIENT) as server:
        wait_until(lambda: read_status(data_dir).has_ballast)
        status = read_status(data_dir)
        assert (status.exists, status.is_running, status.is_in_use, status.is_kept) == (True, True, True, False)
        assert status.pid != status.supervisor_pid
        assert find_server(data_dir) == server


def test_a_server_that_does_not_run_has_no_address(data_dir):
    with pytest.raises(DatabaseNotRunning) as refused:
        find_server(data_dir)
    assert "db start" in refused.value.next_step


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else for a moment")
@pytest.mark.parametrize("act", [read_status, stop_when_unused])
def test_the_data_folder_of_another_account_is_refused_in_words(tmp_path, act):
    folder = tmp_path / "data"
    (folder / "postgres").mkdir(parents=True)
    folder.chmod(0o700)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(DataFolderNotWritable) as refused:
            act(folder)
    finally:
        os.seteuid(0)
    assert refused.value.next_step
