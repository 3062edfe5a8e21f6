"""Addresses: whatever a folder is called, libpq understands it."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from database.urls import socket_url


@pytest.mark.parametrize("folder", ["/run/meguri", "/srv/巡り テスト/socket", "/a&b=c?d#e%41/s", '/it\'s "quoted"'])
def test_the_folder_comes_through_as_it_is(folder):
    parts = conninfo_to_dict(socket_url(Path(folder), role="meguri_app", database="meguri"))
    assert parts == {"user": "meguri_app", "dbname": "meguri", "host": folder, "port": "5432"}
