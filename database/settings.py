"""Every setting of the process, in one frozen object that is made once at its edge and passed in.

Nothing here opens a file or a connection. What the environment says is checked when it is read.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsInvalid(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """A setting has a value that can't be used; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the process was told from outside.

    Attributes:
        data_dir: folder of the embedded server and of the keys; made when first needed.
        database_url: libpq URL of the application's role, or None for the embedded server.
        database_owner_url: libpq URL of the owner's role; set exactly when `database_url` is.
    """

    data_dir: Path
    database_url: str | None = None
    database_owner_url: str | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether the embedded server is used, not one that was named from outside."""
        return self.database_url is None


def read_settings(environment: Mapping[str, str] | None = None, *, data_dir: Path | None = None) -> Settings:
    """The settings from the environment; `data_dir` (the command line's) wins over MEGURI_DATA_DIR.

    Raises:
        SettingsInvalid: one of DATABASE_URL and DATABASE_OWNER_URL stands without the other.
    """
    values = os.environ if environment is None else environment
    database_url = values.get("DATABASE_URL") or None
    owner_url = values.get("DATABASE_OWNER_URL") or None
    if (database_url is None) != (owner_url is None):
        raise SettingsInvalid(
            "DATABASE_URL (the application's role) and DATABASE_OWNER_URL (the owner's) go together: "
            "set both, or neither to use the embedded server."
        )
    return Settings(
        data_dir=data_dir or _default_data_dir(values),
        database_url=database_url,
        database_owner_url=owner_url,
    )


def _default_data_dir(values: Mapping[str, str]) -> Path:
    named = values.get("MEGURI_DATA_DIR")
    if named:
        return Path(named).expanduser().absolute()
    base = values.get("XDG_DATA_HOME")
    root = Path(base) if base else Path(values.get("HOME") or Path.home()) / ".local" / "share"
    return root / "meguri"
