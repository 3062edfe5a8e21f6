"""The data folder: which file is where, and whether what is there can be used. Looks only, changes nothing.

- `postgres/`: PostgreSQL's own data folder; appears whole in one step, or not at all
- `log/`: PostgreSQL's log by weekday, the last start, the supervisor
- `socket/`: the unix socket, for this account only
- `users.lock`: shared by every command that uses the server
- `supervisor.lock`: held by the one supervisor; its text is that process's id
- `server.lock`: inherited by every process of the running server
- `keep`: there while `db start` wants the server to stay
- `ballast`: space given up when the disk is full
"""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from database.embedded.account import Account
from database.embedded.binaries import MAJOR_VERSION, run_program
from database.refusals import DataFolderDamaged, DataFolderOfAnotherOwner, DataFolderOfAnotherVersion

PORT = 5432
# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero byte included.
SOCKET_PATH_BYTES_MAX = 103
# What libpq and PostgreSQL read as a list, a quote or an abstract socket.
SOCKET_PATH_FORBIDDEN = frozenset(',"@')


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The places inside one data folder."""

    root: Path

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data folder (PGDATA)."""
        return self.root / "postgres"

    @property
    def log(self) -> Path:
        """Folder of the logs."""
        return self.root / "log"

    @property
    def users_lock(self) -> Path:
        """Shared by everybody who uses the server."""
        return self.root / "users.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the one supervisor."""
        return self.root / "supervisor.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server's processes."""
        return self.root / "server.lock"

    @property
    def keep(self) -> Path:
        """There while the server is to stay although nobody uses it."""
        return self.root / "keep"

    @property
    def ballast(self) -> Path:
        """Space to give up when the disk is full."""
        return self.root / "ballast"

    @property
    def throwaway_mark(self) -> Path:
        """There only in a folder that was made to be deleted; see `database.embedded.throwaway`."""
        return self.root / "throwaway"

    def socket_folder(self) -> Path:
        """Where the socket goes: inside, or a short folder of its own where the path would be too long."""
        inside = self.root / "socket"
        full = os.fsencode(inside / f".s.PGSQL.{PORT}")
        if len(full) <= SOCKET_PATH_BYTES_MAX and not SOCKET_PATH_FORBIDDEN & set(str(inside)):
            return inside
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"meguri-{os.geteuid()}-{name}"
        # Anybody may make a folder of this name first; one that is not ours alone is not used.
        return short if _is_private_or_absent(short) else Path(tempfile.mkdtemp(prefix="meguri-"))


def _is_private_or_absent(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


@dataclass(frozen=True, slots=True)
class PidFile:
    """What `postmaster.pid` says; PostgreSQL's `pidfile.h` names the lines.

    Attributes:
        pid: of the postmaster that wrote it; that process may be long dead.
        socket_folder: of that server.
        is_ready: whether that server had said that it takes connections.
    """

    pid: int
    socket_folder: Path
    is_ready: bool


def read_pid_file(postgres: Path) -> PidFile | None:
    """The server's own file, or None when there is none or it is still being written."""
    try:
        lines = (postgres / "postmaster.pid").read_bytes().split(b"\n")
        pid, socket_folder, status = int(lines[0]), lines[4], lines[7].strip()
    except (OSError, ValueError, IndexError):
        return None
    if pid <= 0 or not socket_folder:
        return None
    return PidFile(pid=pid, socket_folder=Path(os.fsdecode(socket_folder)), is_ready=status == b"ready")


def check_data_folder(folder: DataFolder, account: Account) -> None:
    """Refuses a PostgreSQL data folder that must not be started.

    Raises:
        DataFolderOfAnotherOwner: it belongs to somebody else.
        DataFolderDamaged: a part without which no data folder is whole is missing or unreadable.
        DataFolderOfAnotherVersion: another major version wrote it.
    """
    postgres = folder.postgres
    owner = postgres.stat().st_uid
    if owner != account.owner_uid:
        raise DataFolderOfAnotherOwner(
            f"{postgres} belongs to the account with the id {owner}; this one has the id {account.owner_uid}.",
            next_step="Run the command as that account, or name another folder with --data-dir.",
        )
    _check_parts(postgres)
    _check_version(postgres)
    _check_control_file(postgres)


def _check_parts(postgres: Path) -> None:
    for part in ("PG_VERSION", "global/pg_control", "base", "pg_wal"):
        if not (postgres / part).exists():
            raise _damaged(postgres, f"{part} is missing")


def _check_version(postgres: Path) -> None:
    version = (postgres / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
    if not version.isdigit():
        raise _damaged(postgres, "PG_VERSION holds no version")
    if version != MAJOR_VERSION:
        raise DataFolderOfAnotherVersion(
            f"{postgres} was written by PostgreSQL {version}; this Meguri brings PostgreSQL {MAJOR_VERSION}.",
            next_step=f"Use the Meguri that brought PostgreSQL {version}, or set DATABASE_URL and "
            f"DATABASE_OWNER_URL to a PostgreSQL {version} that serves this folder. Nothing was changed.",
        )


def _check_control_file(postgres: Path) -> None:
    """The control file has a checksum of its own; pg_controldata warns, in words, when it does not fit."""
    result = run_program("pg_controldata", "-D", str(postgres))
    if result.returncode != 0 or "warning" in (result.stdout + result.stderr).lower():
        raise _damaged(postgres, "global/pg_control does not pass its checksum")


def _damaged(postgres: Path, what: str) -> DataFolderDamaged:
    return DataFolderDamaged(
        f"{postgres} is damaged: {what}.",
        next_step="Keep the folder as it is for whoever examines it, and restore the last backup into a new one: "
        "./meguri db restore FILE --to DIR",
    )
