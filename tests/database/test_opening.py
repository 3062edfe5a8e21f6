"""The one way to a database, whichever it is."""

import psycopg
import pytest

from database.embedded.folder import DataFolder
from database.embedded.locks import is_held
from database.embedded.sharing import supervisor_pid
from database.opening import check_answers, open_database
from database.settings import Settings
from database.urls import DatabaseUrls
from tests.database.embedded.members import kill, wait_until


def test_without_addresses_the_embedded_server_is_there_for_the_block(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    words = []
    with open_database(settings, report=words.append) as urls:
        assert words == ["making a new database (once)"]
        check_answers(urls)
        with psycopg.connect(urls.owner) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("meguri_owner",)
        folder = DataFolder(settings.data_dir)
        assert is_held(folder.users_lock) is False, "shared, not alone"
        server = int((folder.postgres / "postmaster.pid").read_text().split()[0])
    # Not waiting for the grace: this data is worth nothing.
    kill(supervisor_pid(folder))
    kill(server)
    wait_until(lambda: not is_held(folder.server_lock))


def test_with_addresses_that_server_is_used_and_nothing_is_made(cluster, tmp_path):
    urls = cluster.urls()
    settings = Settings(tmp_path / "data", database_url=urls.application, database_owner_url=urls.owner)
    words = []
    with open_database(settings, report=words.append) as opened:
        assert opened == DatabaseUrls(application=urls.application, owner=urls.owner)
    assert any("fsync" in word for word in words)
    assert not (tmp_path / "data").exists()


def test_a_database_that_does_not_answer_is_found_out(cluster):
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        check_answers(cluster.urls("no_such_database"))
