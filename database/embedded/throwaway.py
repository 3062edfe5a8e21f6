"""Clusters whose data is worth nothing: for tests and benchmarks. The last user's leaving deletes the folder.

Only a folder that was made here, new or empty, and marked as such is ever deleted.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from database.embedded.folder import DataFolder
from database.embedded.sharing import RunningServer, join
from database.embedded.supervisor import StartOptions
from database.refusals import DataFolderNotEmpty

# Nothing survives a power cut, and nothing has to.
UNSAFE_AND_FAST: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "60s",
    "log_min_duration_statement": "-1",
}


@contextmanager
def open_throwaway(
    folder: Path | None = None, *, settings: Mapping[str, str] = UNSAFE_AND_FAST, grace_seconds: float = 0.5
) -> Iterator[RunningServer]:
    """A server of its own with chosen settings; processes that name the same folder share it.

    A benchmark passes settings without `fsync`, so that Meguri's own (all on) hold.

    Raises:
        DataFolderNotEmpty: the folder holds something and was not made here.
        DatabaseRefusal: the server can't be started.
    """
    root = Path(tempfile.mkdtemp(prefix="meguri-throwaway-")) if folder is None else folder.absolute()
    mark_throwaway(root)
    options = StartOptions(settings=settings, grace_seconds=grace_seconds, is_throwaway=True)
    with join(root, options=options) as server:
        yield server


def mark_throwaway(root: Path) -> None:
    """Marks a new or empty folder as one that may be deleted. Does nothing to one that is marked."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = DataFolder(root).throwaway_mark
    if mark.exists():
        return
    # Asked again: another process may have marked it meanwhile.
    if any(root.iterdir()) and not mark.exists():
        raise DataFolderNotEmpty(
            f"{root} holds something, so it can't be used for data that will be deleted.",
            next_step="Name a new folder.",
        )
    mark.touch()
