"""The file of a backup: a plain tar with PostgreSQL's data folder under `postgres/`, the manifest first.

Only plain files and folders under that one name are ever read from a file; anything else (a link, a device, a path
that leads out) refuses the whole file. The manifest is PostgreSQL's own and holds the SHA-256 of every file but the
journal, which PostgreSQL checks itself.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from database.refusals import BackupFileInvalid

PREFIX = "postgres"
MANIFEST = "backup_manifest"
MANIFEST_BYTES_MAX = 256 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024


def write_archive(copy: Path, archive: Path) -> None:
    """Writes a verified copy of a data folder into a new file and waits until it is on the disk."""
    with archive.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(copy / MANIFEST, f"{PREFIX}/{MANIFEST}", filter=_without_owner)
            for path in sorted(copy.rglob("*")):
                if path != copy / MANIFEST:
                    tar.add(path, f"{PREFIX}/{path.relative_to(copy)}", recursive=False, filter=_without_owner)
        file.flush()
        os.fsync(file.fileno())


def check_archive(archive: Path) -> int:
    """Reads a file from end to end and compares each of its files with the manifest; how many there are.

    Raises:
        BackupFileInvalid: something is missing, added or different.
    """
    with _opened(archive) as tar:
        awaited: dict[str, str] | None = None
        files = 0
        for member, path in _members(tar):
            if awaited is None:
                awaited = _read_manifest(tar, member, path)
            elif member.isfile():
                files += 1
                awaited_sum = awaited.pop(str(path), None)
                if awaited_sum is None and path.parts[0] != "pg_wal":
                    raise _invalid(f"{path} is not in its manifest")
                if awaited_sum is not None and awaited_sum != _sha256(_content(tar, member)):
                    raise _invalid(f"{path} is not what was written")
    if awaited is None:
        raise _invalid("it is empty")
    if awaited:
        raise _invalid(f"{len(awaited)} files are missing, the first of them {min(awaited)}")
    return files


def extract_archive(archive: Path, postgres: Path) -> None:
    """Writes a backup's files into a new folder, for this account only.

    Raises:
        BackupFileInvalid: it is not a whole tar file, or holds what no backup holds.
    """
    postgres.mkdir(mode=0o700)
    with _opened(archive) as tar:
        for member, path in _members(tar):
            place = postgres.joinpath(*path.parts)
            if member.isdir():
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                continue
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # "x": a name that comes twice is a trick, too.
            with place.open("xb") as file:
                os.fchmod(file.fileno(), 0o600)
                source = _content(tar, member)
                while chunk := source.read(CHUNK_BYTES):
                    file.write(chunk)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, mode="r:") as tar:
            yield tar
    except FileNotFoundError:
        raise _invalid(f"there is no file {archive}") from None
    except (tarfile.TarError, EOFError, FileExistsError) as error:
        raise _invalid(f"it can't be read as a tar file ({error})") from error


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Each member with its path below the data folder; refuses what no backup holds."""
    for member in tar:
        path = PurePosixPath(member.name)
        is_inside = path.parts[:1] == (PREFIX,) and len(path.parts) > 1 and ".." not in path.parts
        if not is_inside or "\0" in member.name or not (member.isfile() or member.isdir()):
            raise _invalid(f"it holds {member.name!r}, which no backup of Meguri does")
        yield member, PurePosixPath(*path.parts[1:])


def _read_manifest(tar: tarfile.TarFile, member: tarfile.TarInfo, path: PurePosixPath) -> dict[str, str]:
    if str(path) != MANIFEST or member.size > MANIFEST_BYTES_MAX:
        raise _invalid("it does not begin with its manifest")
    try:
        manifest = json.loads(_content(tar, member).read())
        return {entry["Path"]: entry["Checksum"] for entry in manifest["Files"]}
    except (ValueError, KeyError, TypeError) as error:
        raise _invalid("its manifest can't be read") from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise _invalid(f"{member.name} has no content")
    return content


def _sha256(content: IO[bytes]) -> str:
    return hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]  # any binary reader will do


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whose files they were says nothing on another machine."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _invalid(what: str) -> BackupFileInvalid:
    return BackupFileInvalid(f"This is not a whole backup: {what}.", next_step="Use another backup.")
