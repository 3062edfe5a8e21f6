"""Starts, watches and stops the one PostgreSQL server of a data folder. Only the supervisor calls this.

Every process of a server inherits `server.lock`. While one of them lives (an orphaned backend, too) the lock is
held and no second server is started; when it is free, whatever `postmaster.pid` says is history.
"""

import os
import signal
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from database.embedded.account import Account
from database.embedded.binaries import program, program_environment
from database.embedded.diagnosis import log_sizes, start_refusal
from database.embedded.folder import PORT, DataFolder, read_pid_file
from database.embedded.locks import FileLock, is_held
from database.embedded.processes import has_number, is_alive, is_postgres, working_folder
from database.refusals import DataFolderInUse

if TYPE_CHECKING:
    import subprocess

# Given at every start, so that no configuration file can take them away from money.
SAFETY_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
}

# Bounded to a week of files; no parameter, no row and no name of a person goes into a log.
LOG_SETTINGS = {
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}

READY_POLL_SECONDS = 0.02
WORDS_EVERY_SECONDS = 5.0
ORPHANS_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 90.0


class Server:
    """The running server of one data folder, started here or found running."""

    __slots__ = ("child", "folder", "pid")

    def __init__(self, folder: DataFolder, pid: int, child: "subprocess.Popen[str] | None" = None) -> None:
        self.folder = folder
        self.pid = pid
        self.child = child

    def is_running(self) -> bool:
        """Whether the postmaster lives; a backend that outlives it does not count."""
        if self.child is not None:
            return self.child.poll() is None
        return is_alive(self.pid) and is_postgres(self.pid)

    def stop(self, *, is_abrupt: bool = False) -> None:
        """Ends the server: connections are cut, what was committed is on disk.

        `is_abrupt` skips the closing checkpoint; for servers whose data is thrown away.
        """
        if self.is_running():
            self._signal(signal.SIGQUIT if is_abrupt else signal.SIGINT)
        if not self._wait(STOP_TIMEOUT_SECONDS):
            # Crash recovery at the next start costs seconds; a server that never ends costs the machine.
            self._signal(signal.SIGQUIT)
            self._wait(STOP_TIMEOUT_SECONDS)

    def _wait(self, timeout_seconds: float) -> bool:
        deadline = time.monotonic() + timeout_seconds
        while self.is_running() or is_held(self.folder.server_lock):
            if time.monotonic() > deadline:
                return False
            time.sleep(READY_POLL_SECONDS)
        return True

    def _signal(self, number: int) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return


def find_running(folder: DataFolder) -> Server | None:
    """The living server that an earlier supervisor started, or None."""
    said = read_pid_file(folder.postgres)
    if said is None or not is_held(folder.server_lock):
        return None
    return Server(folder, said.pid) if is_alive(said.pid) and is_postgres(said.pid) else None


def start_server(
    folder: DataFolder, account: Account, *, settings: Mapping[str, str], report: Callable[[str], None]
) -> Server:
    """Starts the server and waits until it takes connections; recovery after a crash may take a while.

    Raises:
        DataFolderInUse: a server that was started by hand runs on the folder.
        DataFolderDamaged, DataFolderNotWritable, DiskFull, ServerDidNotStart: as its log says.
    """
    lock = _take_server_lock(folder, report)
    try:
        _remove_stale_pid_file(folder)
        folder.log.mkdir(exist_ok=True)
        account.give(folder.log)
        sizes_before = log_sizes(folder)
        with (folder.log / "last-start.log").open("wb") as output:
            child = account.start(
                _command(folder, account, settings),
                output=output.fileno(),
                environment=program_environment(),
                inherited=(lock.descriptor,),
            )
    finally:
        # From here on the server's own processes hold it, or nobody does.
        lock.close()
    if child.stdin is not None:
        child.stdin.close()
    _wait_until_ready(folder, child, sizes_before, report)
    return Server(folder, child.pid, child)


def _command(folder: DataFolder, account: Account, settings: Mapping[str, str]) -> list[str]:
    fixed = {
        **SAFETY_SETTINGS,
        **LOG_SETTINGS,
        "log_directory": str(folder.log),
        "port": str(PORT),
        "unix_socket_directories": f'"{_socket_folder(folder, account)}"',
        **settings,
    }
    words = [word for name, value in fixed.items() for word in ("-c", f"{name}={value}")]
    return [program("postgres"), "-D", str(folder.postgres), *words]


def _socket_folder(folder: DataFolder, account: Account) -> Path:
    path = folder.socket_folder()
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(stat.S_IRWXU)
    # Only this data folder's server puts its socket here, and `server.lock` says that none lives. The number in the
    # lock file may be a stranger's by now, which PostgreSQL would take for a server.
    (path / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
    account.give(path)
    return path


def _take_server_lock(folder: DataFolder, report: Callable[[str], None]) -> FileLock:
    """Waits for what is left of a killed server: its backends end by themselves within moments."""
    lock = FileLock(folder.server_lock)
    deadline = time.monotonic() + ORPHANS_TIMEOUT_SECONDS
    is_said = False
    while not lock.try_exclusive():
        if time.monotonic() > deadline:
            lock.close()
            raise DataFolderInUse(
                f"Processes of an earlier server still run on {folder.postgres}.",
                next_step=f"End them: they have the file {folder.server_lock} open (fuser or lsof name them).",
            )
        if not is_said:
            report("waiting for the last processes of the earlier server to end")
            is_said = True
        time.sleep(READY_POLL_SECONDS)
    return lock


def _remove_stale_pid_file(folder: DataFolder) -> None:
    """Removes a pid file whose number now belongs to a stranger, or to the dead server's uncollected zombie.

    PostgreSQL deals with a number that nobody has; any other it takes for a living server.
    """
    said = read_pid_file(folder.postgres)
    if said is None or not has_number(said.pid):
        return
    if (
        is_alive(said.pid)
        and is_postgres(said.pid)
        and working_folder(said.pid) in {None, folder.postgres.resolve()}
    ):
        raise DataFolderInUse(
            f"A PostgreSQL that Meguri did not start (process {said.pid}) runs on {folder.postgres}.",
            next_step=f"Stop it (kill -INT {said.pid}), then try again.",
        )
    (folder.postgres / "postmaster.pid").unlink(missing_ok=True)


def _wait_until_ready(
    folder: DataFolder,
    child: "subprocess.Popen[str]",
    sizes_before: Mapping[Path, int],
    report: Callable[[str], None],
) -> None:
    began = words_at = time.monotonic()
    while True:
        if child.poll() is not None:
            raise start_refusal(folder, sizes_before)
        said = read_pid_file(folder.postgres)
        if said is not None and said.pid == child.pid and said.is_ready:
            return
        if time.monotonic() - words_at > WORDS_EVERY_SECONDS:
            words_at = time.monotonic()
            report(f"PostgreSQL is recovering; {words_at - began:.0f} s so far")
        time.sleep(READY_POLL_SECONDS)
