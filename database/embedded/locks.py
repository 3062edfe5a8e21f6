"""Locks on files (flock): held by a process and by what inherits them, gone with the last holder's death.

A lock file is never removed: two processes could then hold "the same" lock on two files.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

POLL_SECONDS = 0.02


class FileLock:
    """One open handle of a lock file. Closing it gives the lock up, unless a child process inherited it."""

    __slots__ = ("descriptor",)

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        """Takes the lock alone, or returns False at once."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Takes the lock beside other sharers, or returns False at once."""
        return self._try(fcntl.LOCK_SH)

    def wait_shared(self, *, timeout_seconds: float) -> bool:
        """Takes the lock beside other sharers; False when that was not possible in time."""
        deadline = time.monotonic() + timeout_seconds
        while not self.try_shared():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def release(self) -> None:
        """Gives the lock up and keeps the handle."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the handle. Does nothing the second time."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def is_held(path: Path) -> bool:
    """Whether some process holds the lock alone at this instant."""
    if not path.exists():
        return False
    with FileLock(path) as lock:
        return not lock.try_shared()
