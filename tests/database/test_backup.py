"""Backups: whole or not there, restored only into new folders and only after the books were checked."""

import io
import os
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from database.backup import back_up, make_backup, restore_backup
from database.embedded.folder import DataFolder
from database.embedded.locks import is_held
from database.embedded.sharing import join
from database.embedded.supervisor import StartOptions
from database.refusals import (
    BackupFailed,
    BackupFileExists,
    BackupFileInvalid,
    BackupOfExternalServer,
    DataFolderNotEmpty,
    DataFolderNotWritable,
)
from database.settings import Settings
from tests.database.embedded.members import wait_until

ROWS = 300


def quiet(_words):
    """What goes on does not matter here."""


@pytest.fixture(scope="module")
def backup_file(cluster, tmp_path_factory):
    """One backup of the tests' server with known rows in it, for all tests that only read it."""
    with psycopg.connect(cluster.superuser_url("meguri"), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS backed_up AS SELECT generate_series(1, 300) AS id")
        connection.execute("GRANT SELECT ON backed_up TO meguri_app")
    file = tmp_path_factory.mktemp("backup") / "meguri.tar"
    made = make_backup(cluster.superuser_url(), file)
    assert (made.file, made.bytes) == (file, file.stat().st_size)
    assert made.files > 500
    return file


def check_rows(urls):
    with psycopg.connect(urls.application) as connection:
        assert connection.execute("SELECT count(*) FROM backed_up").fetchone() == (ROWS,)


def test_a_backup_is_restored_whole_into_a_new_folder(backup_file, tmp_path):
    target = tmp_path / "restored"
    words = []
    restore_backup(backup_file, target, check_rows, report=words.append)
    assert "checking the restored books" in words
    assert not is_held(DataFolder(target).server_lock), "no server is left running"
    with join(target, options=StartOptions(grace_seconds=0.0)) as server:
        check_rows(server.urls())
        with psycopg.connect(server.superuser_url()) as connection:
            assert connection.execute("SELECT current_setting('fsync')").fetchone() == ("on",)
    wait_until(lambda: not is_held(DataFolder(target).supervisor_lock))
    assert [path.name for path in tmp_path.iterdir()] == ["restored"]


def test_a_backup_is_for_its_own_account_only(backup_file):
    assert backup_file.stat().st_mode & 0o077 == 0


def test_books_that_do_not_pass_their_check_are_not_offered(backup_file, tmp_path):
    class BooksWrongError(Exception):
        pass

    def find_fault(_urls):
        raise BooksWrongError

    with pytest.raises(BooksWrongError):
        restore_backup(backup_file, tmp_path / "restored", find_fault)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_not_restored_into(backup_file, tmp_path):
    (tmp_path / "precious").write_text("books")
    with pytest.raises(DataFolderNotEmpty) as refused:
        restore_backup(backup_file, tmp_path, quiet)
    assert "--to DIR" in refused.value.next_step
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_place_that_cannot_be_made_is_refused(backup_file, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderNotWritable):
        restore_backup(backup_file, tmp_path / "file" / "restored", quiet)


def test_a_backup_is_never_written_over(cluster, backup_file):
    before = backup_file.read_bytes()[:4096], backup_file.stat().st_mtime_ns
    with pytest.raises(BackupFileExists):
        make_backup(cluster.superuser_url(), backup_file)
    assert (backup_file.read_bytes()[:4096], backup_file.stat().st_mtime_ns) == before


def test_a_backup_that_fails_leaves_nothing_behind(cluster, tmp_path):
    with pytest.raises(BackupFailed, match="nobody_of_this_name"):
        make_backup(cluster.superuser_url().replace("postgres@", "nobody_of_this_name@"), tmp_path / "backup.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_into_a_folder_that_is_not_there_is_refused(cluster, tmp_path):
    with pytest.raises(BackupFailed):
        make_backup(cluster.superuser_url(), tmp_path / "nowhere" / "backup.tar")


def test_a_server_of_the_operators_own_is_not_backed_up_here(tmp_path):
    settings = Settings(data_dir=tmp_path, database_url="postgresql://a", database_owner_url="postgresql://b")
    with pytest.raises(BackupOfExternalServer) as refused:
        back_up(settings, tmp_path / "backup.tar", report=quiet)
    assert "own" in refused.value.next_step


def test_two_backups_at_the_same_time_do_not_take_each_others_journal_away(cluster, tmp_path):
    files = [tmp_path / f"{number}.tar" for number in range(4)]
    with ThreadPoolExecutor() as threads:
        made = list(threads.map(lambda file: make_backup(cluster.superuser_url(), file), files))
    assert [backup.file for backup in made] == files


def test_rows_committed_while_the_backup_runs_do_not_spoil_it(cluster, tmp_path):
    with psycopg.connect(cluster.superuser_url("meguri"), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS meanwhile (id int)")

        def write_on(_words):
            connection.execute("INSERT INTO meanwhile SELECT generate_series(1, 20000)")

        make_backup(cluster.superuser_url(), tmp_path / "backup.tar", report=write_on)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_cut_off_file_is_refused(backup_file, tmp_path, share):
    cut = tmp_path / "cut.tar"
    shutil.copy(backup_file, cut)
    os.truncate(cut, int(cut.stat().st_size * share))
    with pytest.raises(BackupFileInvalid):
        restore_backup(cut, tmp_path / "restored", quiet)
    assert not (tmp_path / "restored").exists()
    cut.unlink()


def test_a_file_with_one_changed_byte_is_refused(backup_file, tmp_path):
    changed = tmp_path / "changed.tar"
    shutil.copy(backup_file, changed)
    with tarfile.open(backup_file) as tar:
        place = next(m for m in tar if m.name.startswith("postgres/base/") and m.size >= 8192).offset_data + 5000
    with changed.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(BackupFileInvalid):
        restore_backup(changed, tmp_path / "restored", quiet)
    changed.unlink()


def test_a_file_that_is_not_there_or_is_something_else_is_refused(tmp_path):
    (tmp_path / "text").write_text("no backup " * 1000)
    for name in ("text", "missing"):
        with pytest.raises(BackupFileInvalid):
            restore_backup(tmp_path / name, tmp_path / "restored", quiet)


def entry(name, *, kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    "trick",
    [
        entry("postgres/../../outside"),
        entry("/outside-of-all"),
        entry("outside"),
        entry("postgres/link", kind=tarfile.SYMTYPE, link="/etc"),
        entry("postgres/link", kind=tarfile.LNKTYPE, link="postgres/PG_VERSION"),
        entry("postgres/device", kind=tarfile.CHRTYPE),
        entry("postgres/pipe", kind=tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name} {member.type.decode()}",
)
def test_a_file_that_reaches_outside_is_refused_before_it_writes(tmp_path, trick):
    file = tmp_path / "trick.tar"
    with tarfile.open(file, "w") as tar:
        tar.addfile(trick, io.BytesIO())
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(BackupFileInvalid, match="no backup of Meguri"):
        restore_backup(file, folder / "restored", quiet)
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "outside").exists()
    assert not Path("/outside-of-all").exists()


def test_a_name_that_comes_twice_is_refused(tmp_path):
    file = tmp_path / "twice.tar"
    with tarfile.open(file, "w") as tar:
        for _ in range(2):
            tar.addfile(entry("postgres/PG_VERSION"), io.BytesIO())
    with pytest.raises(BackupFileInvalid):
        restore_backup(file, tmp_path / "restored", quiet)
