"""A PostgreSQL named from outside is looked at before money is written to it."""

import socket
import struct
import threading
from contextlib import contextmanager

import pytest

from database.external import check_external_server
from database.refusals import DatabaseUnreachable, DatabaseVersionUnsupported
from database.urls import DatabaseUrls


def test_a_server_that_may_lose_commits_is_warned_about_loudly(cluster):
    words = []
    check_external_server(cluster.urls(), report=words.append)
    assert [word.split()[1] for word in words] == ["fsync", "full_page_writes", "synchronous_commit"]
    assert all(word.startswith("WARNING") for word in words)


def test_a_server_that_is_not_there_is_named_without_its_password():
    url = "postgresql://meguri_app:geheim@127.0.0.1:1/meguri?connect_timeout=2"
    with pytest.raises(DatabaseUnreachable) as refused:
        check_external_server(DatabaseUrls(url, url), report=lambda _: None)
    assert "DATABASE_OWNER_URL" in refused.value.detail
    assert "geheim" not in refused.value.detail


@pytest.mark.parametrize("url", ["postgresql://user:geheim@[nonsense/x", "host='geheim", "http://example.org"])
def test_an_address_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(DatabaseUnreachable) as refused:
        check_external_server(DatabaseUrls(url, url), report=lambda _: None)
    assert ":geheim@" not in refused.value.detail


@contextmanager
def server_that_says_it_is(version):
    """A peer that greets like a PostgreSQL of this version: there is no old one to install here."""
    listener = socket.create_server(("127.0.0.1", 0))

    def greet():
        connection, _ = listener.accept()
        with connection:
            connection.recv(8192)
            status = b"server_version\0" + version.encode() + b"\0"
            connection.sendall(
                b"R" + struct.pack(">II", 8, 0)
                + b"S" + struct.pack(">I", 4 + len(status)) + status
                + b"Z" + struct.pack(">I", 5) + b"I"
            )  # fmt: skip
            connection.recv(8192)

    greeter = threading.Thread(target=greet)
    greeter.start()
    yield f"postgresql://meguri@127.0.0.1:{listener.getsockname()[1]}/meguri?sslmode=disable&gssencmode=disable"
    greeter.join()
    listener.close()


@pytest.mark.parametrize(("version", "major"), [("16.4", "16"), ("9.6.24", "9"), ("19.1", "19")])
def test_a_version_that_was_never_tried_is_refused(version, major):
    with server_that_says_it_is(version) as url:
        with pytest.raises(DatabaseVersionUnsupported) as refused:
            check_external_server(DatabaseUrls(url, url), report=lambda _: None)
        assert f"PostgreSQL {major};" in refused.value.detail
