"""The proof that a written file is whole: every file of the manifest, each as it was, and none besides."""

import hashlib
import json
import tarfile

import pytest

from database.archive import check_archive, extract_archive, write_archive
from database.refusals import BackupFileInvalid


@pytest.fixture
def copy(tmp_path):
    """A small folder of the shape that pg_basebackup makes."""
    root = tmp_path / "copy"
    (root / "base" / "1").mkdir(parents=True)
    (root / "pg_wal").mkdir()
    (root / "pg_notify").mkdir()
    (root / "base" / "1" / "100").write_bytes(b"rows" * 5000)
    (root / "PG_VERSION").write_text("18\n")
    (root / "pg_wal" / "000000010000000000000001").write_bytes(b"journal")
    write_manifest(root, ["base/1/100", "PG_VERSION"])
    return root


def write_manifest(root, names):
    files = [{"Path": name, "Checksum": hashlib.sha256((root / name).read_bytes()).hexdigest()} for name in names]
    (root / "backup_manifest").write_text(json.dumps({"Files": files}))


def archive_of(copy):
    archive = copy.with_name("archive")
    write_archive(copy, archive)
    return archive


def test_what_is_written_comes_back_the_same(copy, tmp_path):
    archive = archive_of(copy)
    assert check_archive(archive) == 3
    extract_archive(archive, tmp_path / "back")
    names = sorted(str(path.relative_to(copy)) for path in copy.rglob("*"))
    assert sorted(str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*")) == names
    assert (tmp_path / "back" / "base" / "1" / "100").read_bytes() == b"rows" * 5000
    assert (tmp_path / "back").stat().st_mode & 0o077 == 0


def test_it_names_no_account_of_this_machine(copy):
    with tarfile.open(archive_of(copy)) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname) for m in tar} == {(0, 0, "", "")}


def test_a_changed_file_is_found(copy):
    (copy / "base" / "1" / "100").write_bytes(b"rowz" * 5000)
    with pytest.raises(BackupFileInvalid, match="base/1/100 is not what was written"):
        check_archive(archive_of(copy))


def test_a_missing_file_is_found(copy):
    (copy / "PG_VERSION").unlink()
    with pytest.raises(BackupFileInvalid, match="1 files are missing, the first of them PG_VERSION"):
        check_archive(archive_of(copy))


def test_a_file_too_many_is_found(copy):
    (copy / "base" / "added").write_text("?")
    with pytest.raises(BackupFileInvalid, match="base/added is not in its manifest"):
        check_archive(archive_of(copy))


@pytest.mark.parametrize("manifest", ["", "[]", '{"Files": [{}]}', "{"])
def test_a_manifest_that_is_none_is_refused(copy, manifest):
    (copy / "backup_manifest").write_text(manifest)
    with pytest.raises(BackupFileInvalid, match="manifest"):
        check_archive(archive_of(copy))


def test_an_empty_file_is_refused(tmp_path):
    with tarfile.open(tmp_path / "empty", "w"):
        pass
    with pytest.raises(BackupFileInvalid):
        check_archive(tmp_path / "empty")
