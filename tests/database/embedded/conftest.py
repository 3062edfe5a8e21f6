"""Data folders of one's own, with a database already made in them (initdb once a worker, then copies)."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from database.embedded.account import server_account
from database.embedded.creation import create_cluster
from database.embedded.folder import DataFolder
from database.embedded.locks import is_held
from database.embedded.sharing import supervisor_pid
from tests.database.embedded.members import wait_until

MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a place for files in memory, the name made by mkdtemp
MEMORY_BYTES_MIN = 4 * 1024**3


def quick_place() -> Path | None:
    """Memory where there is plenty: processes are killed here, not disks."""
    if MEMORY_DISK.exists() and shutil.disk_usage(MEMORY_DISK).free > MEMORY_BYTES_MIN:
        return MEMORY_DISK
    return None


@pytest.fixture(scope="session")
def made_cluster() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mg-made-", dir=quick_place()) as root:
        folder = DataFolder(Path(root))
        create_cluster(folder, server_account(folder.postgres), is_synced=False)
        yield folder.postgres


@pytest.fixture
def data_dir(made_cluster: Path) -> Iterator[Path]:
    """A short path, a database made in it; whatever runs on it ends with the test."""
    root = Path(tempfile.mkdtemp(prefix="mg-", dir=quick_place()))
    shutil.copytree(made_cluster, root / "postgres")
    yield root
    end_server(root)
    shutil.rmtree(root, ignore_errors=True)


def end_server(root: Path) -> None:
    folder = DataFolder(root)
    pid = supervisor_pid(folder)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_held(folder.supervisor_lock))
    said = folder.postgres / "postmaster.pid"
    if is_held(folder.server_lock) and said.exists():
        os.kill(int(said.read_text().split()[0]), signal.SIGQUIT)
    wait_until(lambda: not is_held(folder.server_lock))
