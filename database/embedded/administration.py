"""What an operator does with the embedded server: keep it running, let it go, see how it is.

None of this starts or stops PostgreSQL itself; the supervisor alone does, on being told.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from database.embedded.ballast import has_ballast
from database.embedded.folder import DataFolder, read_pid_file
from database.embedded.locks import FileLock, is_held
from database.embedded.sharing import RunningServer, find_ready, join, supervisor_pid
from database.embedded.supervisor import not_writable
from database.refusals import DatabaseNotMade, DatabaseNotRunning
from database.settings import Settings

STOP_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.02


class StopOutcome(StrEnum):
    """What became of a request to stop."""

    STOPPED = "stopped"
    WAS_NOT_RUNNING = "was_not_running"
    IN_USE = "in_use"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How a data folder's server is.

    Attributes:
        data_dir: the data folder.
        exists: whether a database was ever made in it.
        is_running: whether it takes connections now.
        is_kept: whether it stays when nobody uses it.
        is_in_use: whether some command has joined it.
        has_ballast: whether the reserve against a full disk is in place.
        pid: the postmaster's process id while it runs.
        supervisor_pid: the supervisor's, while there is one.
    """

    data_dir: Path
    exists: bool
    is_running: bool
    is_kept: bool
    is_in_use: bool
    has_ballast: bool
    pid: int | None
    supervisor_pid: int | None


def read_status(root: Path) -> ServerStatus:
    """How the server of a data folder is; starts nothing and makes nothing.

    Raises:
        DataFolderNotWritable: the folder is another account's.
    """
    folder = _own_folder(root)
    is_running = find_ready(folder) is not None
    said = read_pid_file(folder.postgres)
    return ServerStatus(
        data_dir=folder.root,
        exists=folder.postgres.exists(),
        is_running=is_running,
        is_kept=folder.keep.exists(),
        is_in_use=_is_in_use(folder),
        has_ballast=has_ballast(folder),
        pid=said.pid if is_running and said is not None else None,
        supervisor_pid=supervisor_pid(folder),
    )


def require_made(settings: Settings) -> None:
    """Demands that there is a database, for commands that only read: a mistyped folder must not look well.

    Raises:
        DatabaseNotMade: the settings mean the embedded server, and its data folder has no database.
    """
    if settings.is_embedded and not DataFolder(settings.data_dir.absolute()).postgres.exists():
        raise DatabaseNotMade(
            f"{settings.data_dir} holds no database.",
            next_step="Name the right folder with --data-dir or MEGURI_DATA_DIR, or make a region first.",
        )


def find_server(root: Path) -> RunningServer:
    """The server that runs now, without joining it.

    Raises:
        DatabaseNotRunning: none does; its addresses would lead nowhere.
    """
    folder = DataFolder(root.absolute())
    socket_folder = find_ready(folder)
    if socket_folder is None:
        raise DatabaseNotRunning(
            f"The database in {folder.root} is not running.", next_step="Start it and keep it: ./meguri db start"
        )
    return RunningServer(folder, socket_folder)


def keep_running(server: RunningServer) -> None:
    """Lets the server stay after its last user, until `stop_when_unused`."""
    server.folder.keep.touch(mode=0o600)


def stop_when_unused(root: Path) -> StopOutcome:
    """Takes the wish to keep the server back and stops it: now, or after the last of those who use it.

    Raises:
        DataFolderNotWritable: the folder is another account's.
    """
    folder = _own_folder(root)
    folder.keep.unlink(missing_ok=True)
    if not is_held(folder.server_lock):
        return StopOutcome.WAS_NOT_RUNNING
    if supervisor_pid(folder) is None:
        # Its supervisor was killed. A new one adopts the server and can be told.
        with join(root):
            pass
    _tell_supervisor(folder)
    if _is_in_use(folder):
        return StopOutcome.IN_USE
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while is_held(folder.supervisor_lock) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return StopOutcome.IN_USE if is_held(folder.server_lock) else StopOutcome.STOPPED


def _tell_supervisor(folder: DataFolder) -> None:
    pid = supervisor_pid(folder)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)


def _is_in_use(folder: DataFolder) -> bool:
    """Whether somebody shares the lock; the supervisor's own short looks at it don't count."""
    if not folder.users_lock.exists():
        return False
    with FileLock(folder.users_lock) as lock:
        # While the supervisor stops the server it holds the lock alone: that is no use either.
        return not lock.try_exclusive() and lock.try_shared()


def _own_folder(root: Path) -> DataFolder:
    folder = DataFolder(root.absolute())
    try:
        folder.postgres.exists()
    except PermissionError as error:
        raise not_writable(folder, error) from None
    return folder
