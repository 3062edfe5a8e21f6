"""Makes a new PostgreSQL data folder with Meguri's roles and database in it.

It is made under another name and renamed when it is whole, so a power cut leaves either all of it or nothing that
anybody would take for a data folder.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from database.embedded.account import Account
from database.embedded.binaries import program, program_environment
from database.embedded.folder import DataFolder
from database.refusals import DatabaseRefusal, DiskFull, ServerDidNotStart
from database.urls import APPLICATION_ROLE, DATABASE_NAME, OWNER_ROLE, SUPERUSER_ROLE

MAKING_PREFIX = "postgres.making-"

INITDB_FLAGS = (
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "-E",
    "UTF8",
    "--auth=trust",
    "--data-checksums",
    "--username",
    SUPERUSER_ROLE,
)

# Sizes for a small machine. They go into postgresql.conf, where an operator may change them; what money rests on
# is given at every start instead (`database.embedded.server`).
TUNABLE_SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    # A checkpoint between a backup's beginning and its hold on the journal must not take that journal away.
    "wal_keep_size": "128MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "1s",
}

ROLES_AND_DATABASE = (
    f"CREATE ROLE {OWNER_ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE",
    f"CREATE ROLE {APPLICATION_ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE",
    f"CREATE DATABASE {DATABASE_NAME} OWNER {OWNER_ROLE} TEMPLATE template0",
    f"REVOKE ALL ON DATABASE {DATABASE_NAME}, postgres, template1 FROM PUBLIC",
    f"GRANT CONNECT ON DATABASE {DATABASE_NAME} TO {APPLICATION_ROLE}",
)


def create_cluster(folder: DataFolder, account: Account, *, is_synced: bool) -> None:
    """Makes `folder.postgres`; the caller is the supervisor, so nobody else does at the same time.

    Raises:
        DiskFull: there was no room; nothing is left behind.
        ServerDidNotStart: initdb or the first statements failed, with their words.
    """
    _remove_unfinished(folder)
    making = Path(tempfile.mkdtemp(prefix=MAKING_PREFIX, dir=folder.root))
    try:
        account.give(making)
        sync = () if is_synced else ("--no-sync",)
        _run(account, (program("initdb"), *INITDB_FLAGS, *sync, *_settings(), "-D", str(making)))
        _run_statements(account, making, ROLES_AND_DATABASE)
        # Renaming a folder over an empty one is allowed and is still one step.
        making.rename(folder.postgres)
    except DatabaseRefusal:
        shutil.rmtree(making, ignore_errors=True)
        raise
    if is_synced:
        _sync_folder(folder.root)


def _settings() -> Iterable[str]:
    return (word for name, value in TUNABLE_SETTINGS.items() for word in ("-c", f"{name}={value}"))


def _remove_unfinished(folder: DataFolder) -> None:
    """Removes what a creation that was cut short left; it never had its name, so no row was ever written to it."""
    for unfinished in folder.root.glob(f"{MAKING_PREFIX}*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def _run_statements(account: Account, postgres: Path, statements: Iterable[str]) -> None:
    """Runs statements before the server was ever up: PostgreSQL's single-user mode, one statement a line."""
    command = (program("postgres"), "--single", "-j", "-c", "exit_on_error=on", "-D", str(postgres), SUPERUSER_ROLE)
    # With -j a statement ends with a semicolon and an empty line.
    _run(account, command, stdin="".join(f"{statement};\n\n" for statement in statements))


def _run(account: Account, command: tuple[str, ...], *, stdin: str = "") -> None:
    process = account.start(command, output=subprocess.PIPE, environment=program_environment())
    words, _ = process.communicate(stdin)
    if process.returncode != 0 or "ERROR:" in words or "FATAL:" in words:
        raise creation_refusal(words)


def creation_refusal(words: str) -> DatabaseRefusal:
    """What initdb's last words mean."""
    if "No space left on device" in words:
        return DiskFull(
            "There is no room on the disk for a new database (about 100 MB).",
            next_step="Free space, or name a folder on another disk with --data-dir.",
        )
    return ServerDidNotStart(
        "A new database could not be made: " + " ".join(words.split())[-600:],
        next_step="Put right what PostgreSQL names; nothing was left behind.",
    )


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
