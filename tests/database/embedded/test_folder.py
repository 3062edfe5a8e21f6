"""Data folders that must not be started are refused with a reason, and left exactly as they were."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from database.embedded.folder import DataFolder, read_pid_file
from database.embedded.sharing import join
from database.refusals import (
    DataFolderDamaged,
    DataFolderOfAnotherOwner,
    DataFolderOfAnotherVersion,
    ServerDidNotStart,
)


def fingerprint(folder):
    """Names and contents of everything below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def refusal_of(data_dir, kind):
    before = fingerprint(data_dir / "postgres")
    with pytest.raises(kind) as refused, join(data_dir):
        pass
    assert fingerprint(data_dir / "postgres") == before, "nothing was changed"
    assert refused.value.next_step
    return refused.value


def test_a_folder_of_another_major_version_is_refused(data_dir):
    (data_dir / "postgres" / "PG_VERSION").write_text("17\n")
    refused = refusal_of(data_dir, DataFolderOfAnotherVersion)
    assert "PostgreSQL 17" in refused.detail
    assert refused.code == "data_folder_of_another_version"


@pytest.mark.parametrize("part", ["PG_VERSION", "global/pg_control", "base", "pg_wal"])
def test_a_folder_without_one_of_its_parts_is_damaged(data_dir, part):
    place = data_dir / "postgres" / part
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    refused = refusal_of(data_dir, DataFolderDamaged)
    assert part in refused.detail
    assert "db restore" in refused.next_step


def test_a_control_file_of_garbage_is_damaged(data_dir):
    control = data_dir / "postgres" / "global" / "pg_control"
    control.write_bytes(os.urandom(control.stat().st_size))
    assert "pg_control" in refusal_of(data_dir, DataFolderDamaged).detail


def test_an_emptied_control_file_is_damaged(data_dir):
    (data_dir / "postgres" / "global" / "pg_control").write_bytes(b"")
    refusal_of(data_dir, DataFolderDamaged)


def test_a_version_file_of_garbage_is_damaged(data_dir):
    (data_dir / "postgres" / "PG_VERSION").write_bytes(b"\xff\xfe")
    refusal_of(data_dir, DataFolderDamaged)


def test_a_journal_that_was_emptied_is_damaged(data_dir):
    for segment in (data_dir / "postgres" / "pg_wal").glob("0*"):
        segment.unlink()
    with pytest.raises(DataFolderDamaged) as refused, join(data_dir):
        pass
    assert "checkpoint" in refused.value.detail


def test_what_postgresql_says_in_words_unknown_here_is_passed_on(data_dir):
    with (data_dir / "postgres" / "postgresql.conf").open("a") as file:
        file.write("max_connections = none_of_your_business\n")
    with pytest.raises(ServerDidNotStart) as refused, join(data_dir):
        pass
    assert "configuration file" in refused.value.detail
    assert str(data_dir / "log") in refused.value.next_step


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_owner_is_refused(data_dir):
    for path in ((data_dir / "postgres"), *(data_dir / "postgres").rglob("*")):
        os.chown(path, 4321, 4321)
    assert "4321" in refusal_of(data_dir, DataFolderOfAnotherOwner).detail


@pytest.mark.parametrize("content", ["", "12", "x\n" * 8, "-5\n/d\n1\n5432\n/s\n\n1 1\nready\n"])
def test_a_pid_file_that_is_not_whole_says_nothing(tmp_path, content):
    (tmp_path / "postmaster.pid").write_text(content)
    assert read_pid_file(tmp_path) is None


def test_a_socket_goes_inside_the_folder_while_its_path_is_short_enough():
    assert DataFolder(Path("/var/lib/meguri")).socket_folder() == Path("/var/lib/meguri/socket")
