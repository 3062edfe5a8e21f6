"""Addresses of one database: libpq URLs, one for each role.

No password stands in the URLs of the embedded server: its socket folder is open to its own account only.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

APPLICATION_ROLE = "meguri_app"
OWNER_ROLE = "meguri_owner"
SUPERUSER_ROLE = "postgres"
DATABASE_NAME = "meguri"


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """libpq URLs of one database.

    Attributes:
        application: as the role that runs the application; it can call, read and little else.
        owner: as the role that owns the schemas; for migrations.
    """

    application: str
    owner: str


def socket_url(socket_folder: Path, *, role: str, database: str = DATABASE_NAME, port: int = 5432) -> str:
    """The libpq URL of a role over a unix socket; the folder's path may hold any character but NUL."""
    host = quote(os.fsencode(socket_folder), safe="")
    return f"postgresql://{quote(role, safe='')}@/{quote(database, safe='')}?host={host}&port={port}"
