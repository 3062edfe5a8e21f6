"""What the machine says about a process: whether it lives, whether it is PostgreSQL, where it works.

A process id alone proves nothing: it may have been given to a stranger since. Whoever decides on it asks more.
"""

import os
import subprocess
from pathlib import Path

PROC = Path("/proc")


def has_number(pid: int) -> bool:
    """Whether the number is taken, be it by a zombie that nobody collects, as in containers without an init."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs; a zombie does not, where the machine tells."""
    if not has_number(pid):
        return False
    try:
        # The state follows the name, which stands in parentheses and may hold any character.
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (OSError, IndexError):
        return True


def is_postgres(pid: int) -> bool:
    """Whether the process runs a program called postgres."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip() == "postgres"
    except OSError:
        if PROC.exists():
            return False
    words = subprocess.run(  # noqa: S603 - a fixed command; machines without /proc
        ["ps", "-o", "comm=", "-p", str(pid)],  # noqa: S607 - ps is where the machine has it
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return Path(words.strip()).name == "postgres"


def working_folder(pid: int) -> Path | None:
    """The folder a process works in (a postmaster's is its data folder), or None when it is not told."""
    try:
        return (PROC / str(pid) / "cwd").readlink()
    except OSError:
        return None
