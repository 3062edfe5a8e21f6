"""Joining and leaving the server of a data folder; the first to join starts it, the last to leave ends it.

Who uses the server holds a shared lock on `users.lock`. The lock dies with its process, so a killed command is a
command that left.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from database.embedded.ballast import FREE_BYTES_MIN, has_ballast
from database.embedded.channel import listen
from database.embedded.folder import PORT, DataFolder, read_pid_file
from database.embedded.locks import FileLock, is_held
from database.embedded.supervisor import StartOptions, not_writable
from database.refusals import ServerDidNotStart
from database.urls import APPLICATION_ROLE, DATABASE_NAME, OWNER_ROLE, SUPERUSER_ROLE, DatabaseUrls, socket_url

# A server that is being stopped ends within seconds; a long recovery is waited for as long as it says so.
STOPPING_TIMEOUT_SECONDS = 180.0
READY_TIMEOUT_SECONDS = 600.0
POLL_SECONDS = 0.02
# A killed supervisor is replaced; one that can't live is not tried for ever.
SUPERVISOR_DEATHS_MAX = 5
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes connections while the caller has joined it."""

    folder: DataFolder
    socket_folder: Path

    def urls(self, database: str = DATABASE_NAME) -> DatabaseUrls:
        """The URLs of the application's and the owner's role for one database."""
        return DatabaseUrls(
            application=socket_url(self.socket_folder, role=APPLICATION_ROLE, database=database, port=PORT),
            owner=socket_url(self.socket_folder, role=OWNER_ROLE, database=database, port=PORT),
        )

    def superuser_url(self, database: str = "postgres") -> str:
        """The URL of PostgreSQL's superuser; for backups and tests, never for the application."""
        return socket_url(self.socket_folder, role=SUPERUSER_ROLE, database=database, port=PORT)


@contextmanager
def join(
    root: Path, *, options: StartOptions | None = None, report: Callable[[str], None] = lambda _: None
) -> Iterator[RunningServer]:
    """The data folder's server, started if need be, for the time of the block.

    Raises:
        DatabaseRefusal: it can't be started; see `database.refusals`. The data is as it was.
    """
    folder = DataFolder(root.absolute())
    try:
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        users = FileLock(folder.users_lock)
    except OSError as error:
        raise not_writable(folder, error) from error
    with users:
        if not users.wait_shared(timeout_seconds=STOPPING_TIMEOUT_SECONDS):
            raise _took_too_long(folder)
        yield ensure_running(folder, options or StartOptions(), report)


def ensure_running(folder: DataFolder, options: StartOptions, report: Callable[[str], None]) -> RunningServer:
    """Waits for, or starts, a supervisor and its server; the caller holds `users.lock`."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    deaths = 0
    while time.monotonic() < deadline and deaths < SUPERVISOR_DEATHS_MAX:
        if not is_held(folder.supervisor_lock) and not start_supervisor(folder, options, report):
            deaths += 1
        socket_folder = find_ready(folder)
        if socket_folder is not None and is_held(folder.supervisor_lock):
            return RunningServer(folder, socket_folder)
        time.sleep(POLL_SECONDS)
    raise _took_too_long(folder)


def find_ready(folder: DataFolder) -> Path | None:
    """The socket folder of the data folder's server when it takes connections now, else None."""
    said = read_pid_file(folder.postgres)
    if said is None or not said.is_ready or not is_held(folder.server_lock):
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(said.socket_folder / f".s.PGSQL.{PORT}"))
        except OSError:
            return None
    return said.socket_folder


def start_supervisor(folder: DataFolder, options: StartOptions, report: Callable[[str], None]) -> bool:
    """Starts a supervisor in a session of its own and passes its words on; False when it died meanwhile.

    Raises:
        DatabaseRefusal: the supervisor's own.
    """
    settings = [word for name, value in options.settings.items() for word in ("-c", f"{name}={value}")]
    throwaway = ["--throwaway"] if options.is_throwaway else []
    process = subprocess.Popen(  # noqa: S603 - this Python, a module of ours
        [
            *(sys.executable, "-P", "-m", "database.embedded.supervisor", str(folder.root)),
            *("--grace-seconds", str(options.grace_seconds), *throwaway, *settings),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONUTF8": "1"},
        start_new_session=True,
        encoding="utf-8",
    )
    with process:
        return process.stdout is not None and listen(process.stdout, report)


def supervisor_pid(folder: DataFolder) -> int | None:
    """The living supervisor's process id, or None."""
    if not is_held(folder.supervisor_lock):
        return None
    with suppress(OSError, ValueError):
        return int(folder.supervisor_lock.read_text())
    return None


def _took_too_long(folder: DataFolder) -> ServerDidNotStart:
    return ServerDidNotStart(
        f"The database in {folder.root} was not ready in time.",
        next_step=f"Look into {folder.log}, then try again.",
    )


def warn_without_ballast(server: RunningServer, report: Callable[[str], None]) -> None:
    """Says loudly that the disk is nearly full, when the reserve is gone and can't be made again."""
    free = shutil.disk_usage(server.folder.root).free
    if not has_ballast(server.folder) and free < FREE_BYTES_MIN:
        report(
            f"WARNING: THE DISK IS NEARLY FULL ({free // 1_000_000} MB left) and the reserve is gone. Free "
            f"space on the disk of {server.folder.root} now, before PostgreSQL stops for want of it."
        )
