"""As whom the server runs: the user himself, root under another name, or nobody."""

import os
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

from database.embedded.account import Account, namespaces_are_open, server_account
from database.embedded.folder import DataFolder
from database.embedded.sharing import join
from database.embedded.supervisor import StartOptions

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may not")
def test_an_ordinary_user_runs_the_server_himself(tmp_path):
    assert server_account(tmp_path / "postgres") == Account(owner_uid=os.geteuid())


@as_root
@pytest.mark.skipif(not namespaces_are_open(), reason="user namespaces are closed here")
def test_root_keeps_his_folder_and_is_called_nobody_by_the_server(tmp_path):
    account = server_account(tmp_path / "postgres")
    assert account.owner_uid == 0
    assert account.wrapper[0] == "unshare"
    assert account.switch_to is None


@as_root
def test_a_folder_that_was_given_to_nobody_is_run_by_nobody(data_dir):
    folder = DataFolder(data_dir)
    # What Meguri does where user namespaces are closed, here on purpose.
    nobody = Account(owner_uid=65534, switch_to=(65534, 65534))
    data_dir.chmod(0o711)
    nobody.give_tree(folder.postgres)
    assert server_account(folder.postgres) == nobody
    if not can_reach_programs(nobody):
        pytest.skip("nobody may not read this checkout's programs")
    with (
        join(data_dir, options=StartOptions(grace_seconds=0.2)) as server,
        psycopg.connect(server.urls().application) as connection,
    ):
        assert connection.execute("SELECT current_user").fetchone() == ("meguri_app",)
        socket = server.socket_folder / ".s.PGSQL.5432"
        assert socket.stat().st_uid == 65534


def can_reach_programs(account):
    from database.embedded.binaries import program, program_environment

    with tempfile.TemporaryFile() as output:
        try:
            process = account.start(
                [program("postgres"), "-V"], output=output.fileno(), environment=program_environment()
            )
        except PermissionError:
            return False
        process.communicate()
        return process.returncode == 0


@as_root
def test_giving_a_folder_away_changes_nothing_outside_it(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.write_text("mine")
    (inside / "link").symlink_to(outside)
    Account(owner_uid=65534, switch_to=(65534, 65534)).give_tree(inside)
    assert inside.stat().st_uid == 65534
    assert outside.stat().st_uid == 0
    shutil.rmtree(inside)
    assert Path(tmp_path).stat().st_uid == 0
