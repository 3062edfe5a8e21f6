"""`meguri db` from start to restore, as an operator does it."""

import psycopg
import pytest

from database.embedded.folder import DataFolder
from database.embedded.sharing import supervisor_pid
from tests.cli.command_line import meguri
from tests.database.embedded.members import wait_until


@pytest.fixture
def root(tmp_path):
    """A data folder whose server is stopped at the end."""
    yield tmp_path / "data"
    meguri("db", "stop", "--data-dir", tmp_path / "data")


def test_an_operators_day(root, tmp_path):
    started = meguri("db", "start", "--data-dir", root, "--json")
    assert started.exit_code == 0, started.errors
    assert started.document["is_kept"] is True
    assert "making a new database (once)" in started.errors

    url = meguri("db", "url", "--data-dir", root).output.strip()
    owner = meguri("db", "url", "--owner", "--data-dir", root).output.strip()
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7); GRANT SELECT ON kept TO PUBLIC"
        )
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id FROM kept").fetchone() == (7,)

    status = meguri("db", "status", "--data-dir", root).output
    assert "yes, until `meguri db stop`" in status

    file = tmp_path / "backup.tar"
    made = meguri("db", "backup", file, "--data-dir", root)
    assert made.exit_code == 0, made.errors
    assert str(file) in made.output
    again = meguri("db", "backup", file, "--data-dir", root, "--json")
    assert (again.exit_code, again.document["code"]) == (1, "backup_file_exists")

    into_the_same = meguri("db", "restore", file, "--data-dir", root, "--json")
    assert (into_the_same.exit_code, into_the_same.document["code"]) == (1, "data_folder_not_empty")

    restored = meguri("db", "restore", file, "--to", tmp_path / "restored", "--json")
    assert restored.exit_code == 0, restored.errors
    assert restored.document == {"data_dir": str(tmp_path / "restored")}
    assert meguri("db", "start", "--data-dir", tmp_path / "restored").exit_code == 0
    with psycopg.connect(meguri("db", "url", "--data-dir", tmp_path / "restored").output.strip()) as connection:
        assert connection.execute("SELECT id FROM kept").fetchone() == (7,)
    assert meguri("db", "stop", "--data-dir", tmp_path / "restored").exit_code == 0

    assert meguri("db", "stop", "--data-dir", root, "--json").document["outcome"] == "stopped"
    wait_until(lambda: supervisor_pid(DataFolder(root)) is None)
    assert meguri("db", "stop", "--data-dir", root, "--json").document["outcome"] == "was_not_running"


@pytest.mark.parametrize("command", [["start"], ["stop"], ["status"], ["backup", "file.tar"]])
def test_a_server_of_the_operators_own_is_not_handled_here(command):
    answer = meguri(
        "db", *command, "--json", DATABASE_URL="postgresql://a/b", DATABASE_OWNER_URL="postgresql://a/b"
    )
    assert answer.exit_code == 1
    assert answer.document["code"] in {"not_the_embedded_server", "backup_of_external_server"}


def test_the_address_of_a_server_of_the_operators_own_is_shown():
    answer = meguri("db", "url", "--owner", DATABASE_URL="postgresql://a/b", DATABASE_OWNER_URL="postgresql://o/b")
    assert answer.output == "postgresql://o/b\n"


def test_an_unusable_folder_is_refused_in_words(tmp_path):
    (tmp_path / "file").touch()
    answer = meguri("db", "start", "--data-dir", tmp_path / "file")
    assert answer.exit_code == 1
    assert "data_folder_not_writable" in answer.errors
    assert "Traceback" not in answer.errors
