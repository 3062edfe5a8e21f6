"""Real processes that join a data folder's server, so that they can be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]

JOIN_AND_WAIT = """
import sys
from pathlib import Path
from database.embedded.sharing import join
from database.embedded.supervisor import StartOptions
with join(Path(sys.argv[1]), options=StartOptions(grace_seconds=float(sys.argv[2]))) as server:
    print(server.superuser_url(), flush=True)
    sys.stdin.read()
"""


class Member:
    """A process of its own that has joined, or is about to."""

    def __init__(self, data_dir: Path, *, grace_seconds: float = 0.3) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", JOIN_AND_WAIT, str(data_dir), str(grace_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            encoding="utf-8",
        )

    def joined(self) -> str:
        """Waits until it has joined; the superuser's URL that it got."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate("")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], *, timeout_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
