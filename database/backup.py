"""Backups of the embedded server: a whole copy of its data folder in one tar file, proved before it gets its name.

A backup is never written over and never half there: it gets its name after PostgreSQL has verified the copy and the
file was read again from end to end. Restoring goes into a new folder and never touches another one.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from database.archive import check_archive, extract_archive, write_archive
from database.embedded.account import server_account
from database.embedded.administration import StopOutcome, require_made, stop_when_unused
from database.embedded.binaries import run_program
from database.embedded.folder import DataFolder, check_data_folder
from database.embedded.sharing import join
from database.refusals import (
    BackupFailed,
    BackupFileExists,
    BackupFileInvalid,
    BackupOfExternalServer,
    DatabaseRefusal,
    DataFolderNotEmpty,
    DataFolderNotWritable,
    DiskFull,
    RestoredDataRefused,
)
from database.settings import Settings
from database.urls import DatabaseUrls


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and proved.

    Attributes:
        file: where it is.
        bytes: its size.
        files: how many files of the data folder it holds.
    """

    file: Path
    bytes: int
    files: int


def back_up(settings: Settings, file: Path, *, report: Callable[[str], None]) -> Backup:
    """Backs the settings' embedded server up while it goes on working.

    Raises:
        BackupOfExternalServer: the settings name a server of the operator's own.
        BackupFileExists, BackupFailed: as `make_backup`.
        DatabaseRefusal: the server can't be started.
    """
    if not settings.is_embedded:
        raise BackupOfExternalServer(
            "DATABASE_URL names a PostgreSQL server of your own.",
            next_step="Back it up with its own means: pg_basebackup, pgBackRest or its provider's backup.",
        )
    require_made(settings)
    _check_name_is_free(file)
    with join(settings.data_dir, report=report) as server:
        return make_backup(server.superuser_url(), file, report=report)


def make_backup(superuser_url: str, file: Path, *, report: Callable[[str], None] = lambda _: None) -> Backup:
    """Copies the server behind the URL into a new tar file and proves the file.

    Raises:
        BackupFileExists: the name is taken.
        BackupFailed: the copy could not be made or did not prove whole; no file of that name is left.
    """
    file = file.absolute()
    _check_name_is_free(file)
    try:
        # Beside the file, so that its name can be given in one step on the same disk.
        with tempfile.TemporaryDirectory(prefix=f".{file.name}.making-", dir=file.parent) as making:
            copy, archive = Path(making) / "copy", Path(making) / "archive"
            report("copying the database")
            _copy_server(superuser_url, copy)
            report("verifying the copy")
            _verify_copy(copy)
            report("writing the file")
            write_archive(copy, archive)
            shutil.rmtree(copy)
            report("reading the file again")
            files = check_archive(archive)
            _give_name(archive, file)
    except (OSError, BackupFileInvalid) as error:
        raise BackupFailed(f"{file} was not made: {error}", next_step="Put that right, then try again.") from error
    return Backup(file=file, bytes=file.stat().st_size, files=files)


def restore_backup(
    file: Path,
    new_data_dir: Path,
    check: Callable[[DatabaseUrls], None],
    *,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Restores a backup into a new data folder, which gets its name only when `check` has passed.

    `check` looks at the running restored database and raises when the books are not right.

    Raises:
        DataFolderNotEmpty: the folder holds something.
        BackupFileInvalid: the file is not a whole backup.
        DatabaseRefusal: the restored server does not start, or what `check` raised. The folder is as it was.
    """
    target = new_data_dir.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataFolderNotEmpty(
            f"{target} already holds something; a backup is only restored into a new or empty folder.",
            next_step="Name a new folder with --to DIR, look at it with --data-dir DIR, then move it into place.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that it can be given its name in one step on the same disk.
        making = Path(tempfile.mkdtemp(prefix=f".{target.name}.restoring-", dir=target.parent))
    except OSError as error:
        raise _restore_refusal(target, error) from error
    try:
        _restore_into(DataFolder(making), file, report)
        report("checking the restored books")
        _check_restored(making, check, report)
        making.rename(target)
    except OSError as error:
        raise _restore_refusal(target, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _restore_into(folder: DataFolder, file: Path, report: Callable[[str], None]) -> None:
    report("reading the file")
    extract_archive(file, folder.postgres)
    report("verifying the copy")
    result = run_program("pg_verifybackup", "--quiet", str(folder.postgres))
    if result.returncode != 0:
        raise BackupFileInvalid(
            f"{file} does not hold a whole backup: {result.stderr.strip()[-600:]}", next_step="Use another backup."
        )
    account = server_account(folder.postgres)
    account.give_tree(folder.postgres)
    check_data_folder(folder, account)


def _check_restored(root: Path, check: Callable[[DatabaseUrls], None], report: Callable[[str], None]) -> None:
    """Runs the check on the started copy; afterwards no server runs on it, whatever the check said."""
    try:
        with join(root, report=report) as server:
            check(server.urls())
    finally:
        outcome = stop_when_unused(root)
    if outcome is StopOutcome.IN_USE:
        raise RestoredDataRefused(
            f"Another process uses the database that is being restored in {root}.",
            next_step="Leave that folder alone and restore again.",
        )


def _restore_refusal(target: Path, error: OSError) -> DatabaseRefusal:
    if error.errno == errno.ENOSPC:
        return DiskFull(
            f"The disk is too small for what is restored into {target}; nothing was left on it.",
            next_step="Free space, or name a folder on another disk with --to DIR.",
        )
    return DataFolderNotWritable(
        f"{target} can't be made: {error.strerror} ({error.filename}).",
        next_step="Name another folder with --to DIR.",
    )


def _check_name_is_free(file: Path) -> None:
    if file.exists() or file.is_symlink():
        raise BackupFileExists(f"{file} exists.", next_step="Give the backup another name, or move that file away.")


def _copy_server(superuser_url: str, copy: Path) -> None:
    result = run_program(
        "pg_basebackup",
        *("--dbname", superuser_url, "--pgdata", str(copy)),
        *("--format=plain", "--wal-method=stream", "--checkpoint=fast", "--manifest-checksums=SHA256"),
    )
    if result.returncode != 0:
        raise BackupFailed(
            f"The database could not be copied: {result.stderr.strip()[-600:]}",
            next_step="Put right what PostgreSQL names, then try again. Nothing was left behind.",
        )


def _verify_copy(copy: Path) -> None:
    result = run_program("pg_verifybackup", "--quiet", str(copy))
    if result.returncode != 0:
        raise BackupFailed(
            f"The copy did not verify: {result.stderr.strip()[-600:]}",
            next_step="Check the disk, then try again. Nothing was left behind.",
        )


def _give_name(archive: Path, file: Path) -> None:
    """Gives the finished file its name in one step that fails when the name was taken meanwhile."""
    try:
        os.link(archive, file)
    except FileExistsError:
        _check_name_is_free(file)
        raise
    except OSError:
        # A file system without hard links (FAT, some network shares): looking first is the best there is.
        _check_name_is_free(file)
        archive.rename(file)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
