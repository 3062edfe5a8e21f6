"""Throw-away clusters: chosen settings, gone after the last user, and never anybody's real data."""

import psycopg
import pytest

from database.embedded.throwaway import open_throwaway
from database.refusals import DataFolderNotEmpty
from tests.database.embedded.members import wait_until


def setting(server, name):
    with psycopg.connect(server.superuser_url()) as connection:
        return connection.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]


def test_it_has_the_settings_asked_for_and_is_gone_afterwards(tmp_path):
    root = tmp_path / "throwaway"
    with open_throwaway(root, settings={"shared_buffers": "64MB", "max_wal_size": "1GB"}) as server:
        assert setting(server, "shared_buffers") == "64MB"
        assert setting(server, "fsync") == "on", "a benchmark measures what money rests on"
        with open_throwaway(root, settings={"shared_buffers": "64MB"}) as same:
            assert same.socket_folder == server.socket_folder
    wait_until(lambda: not root.exists())


def test_by_default_it_is_fast_and_unsafe(cluster):
    assert setting(cluster, "fsync") == "off"


def test_a_folder_that_holds_something_is_never_used(tmp_path):
    (tmp_path / "precious").write_text("books")
    with pytest.raises(DataFolderNotEmpty), open_throwaway(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "books"
