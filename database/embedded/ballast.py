"""A file that is given up when the disk is full, so that PostgreSQL can start and end its recovery.

A full disk stops PostgreSQL hard (PANIC) and a start needs room itself. With the ballast gone, the books are open
again and somebody can free space; it is made again by itself when there is plenty.
"""

import os
import shutil

from database.embedded.folder import DataFolder

# Four segments of the journal (16 MB each): enough for a recovery and its closing checkpoint.
BALLAST_BYTES = 64 * 1024 * 1024
# Made only where it does not itself bring the disk near its end.
FREE_BYTES_MIN = 3 * BALLAST_BYTES


def has_ballast(folder: DataFolder) -> bool:
    """Whether the reserve is in place, whole."""
    try:
        return folder.ballast.stat().st_size == BALLAST_BYTES
    except FileNotFoundError:
        return False


def make_ballast(folder: DataFolder) -> bool:
    """Makes the reserve when there is plenty of room; whether it is in place afterwards."""
    if has_ballast(folder):
        return True
    if shutil.disk_usage(folder.root).free < FREE_BYTES_MIN:
        return False
    try:
        with folder.ballast.open("wb") as file:
            # Real blocks, not a sparse file: only what is taken can be given up.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
            else:
                file.write(bytes(BALLAST_BYTES))
    except OSError:
        release_ballast(folder)
        return False
    return True


def release_ballast(folder: DataFolder) -> bool:
    """Gives the reserve up; whether there was one."""
    try:
        folder.ballast.unlink()
    except FileNotFoundError:
        return False
    return True
