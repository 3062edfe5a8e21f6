"""Why the server did not start: its log's words turned into the refusal that helps.

Reads logs only. Words that are not known become `server_did_not_start` with the words themselves.
"""

from collections.abc import Mapping
from pathlib import Path

from database.embedded.folder import DataFolder
from database.refusals import (
    DatabaseRefusal,
    DataFolderDamaged,
    DataFolderInUse,
    DataFolderNotWritable,
    DiskFull,
    ServerDidNotStart,
)

LOG_BYTES_MAX = 8192
NO_SPACE = "No space left on device"
IN_USE = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
DAMAGED = (
    "incorrect checksum in control file",
    "control file contains invalid",
    "database files are incompatible with server",
    "could not locate a valid checkpoint record",
    "invalid checkpoint record",
    "invalid page in block",
    "could not open directory",
    "could not find the database system",
    'global/pg_control": No such file',
    "is not a valid data directory",
)


def log_sizes(folder: DataFolder) -> dict[Path, int]:
    """How long each of PostgreSQL's logs is now; taken before a start to know later which words are new."""
    return {path: path.stat().st_size for path in folder.log.glob("*.log") if path.name != "supervisor.log"}


def start_refusal(folder: DataFolder, sizes_before: Mapping[Path, int]) -> DatabaseRefusal:
    """The refusal for a start that failed, from the words that came since."""
    words = "\n".join(
        _tail(path.read_bytes()[_beginning(size, sizes_before.get(path, 0)) :])
        for path, size in sorted(log_sizes(folder).items())
    )
    if NO_SPACE in words:
        return DiskFull(
            f"The disk that holds {folder.root} is full; PostgreSQL can't write its journal.",
            next_step="Free space on it, then try again. Everything committed before is safe.",
        )
    if any(sign in words for sign in IN_USE):
        return DataFolderInUse(
            f"Another PostgreSQL runs on {folder.postgres}.", next_step="Stop that server, then try again."
        )
    if "Permission denied" in words or "Read-only file system" in words:
        return DataFolderNotWritable(
            f"PostgreSQL may not write: {_fatal_line(words)}",
            next_step="Give the folder back to the account that runs Meguri, or name another with --data-dir.",
        )
    if any(sign in words for sign in DAMAGED):
        return DataFolderDamaged(
            f"{folder.postgres} is damaged: {_fatal_line(words)}",
            next_step="Keep the folder as it is for whoever examines it, and restore the last backup into a new "
            "one: ./meguri db restore FILE --to DIR",
        )
    return ServerDidNotStart(
        _fatal_line(words) or "PostgreSQL ended at once and said nothing.",
        next_step=f"Put right what PostgreSQL names; its log is in {folder.log}.",
    )


def _beginning(size: int, size_before: int) -> int:
    """Where the new words begin; a file that shrank was begun anew."""
    return size_before if size >= size_before else 0


def _tail(content: bytes) -> str:
    return content[-LOG_BYTES_MAX:].decode("utf-8", errors="replace")


def _fatal_line(words: str) -> str:
    """The last line that says why, without its time and process id."""
    signs = ("FATAL:", "PANIC:", "ERROR:")
    lines = [line for line in words.splitlines() if any(sign in line for sign in signs)] or words.splitlines()
    for sign in signs:
        for line in reversed(lines):
            if sign in line:
                return line.partition(sign)[2].strip()
    return lines[-1].strip() if lines else ""
