"""Looks at a PostgreSQL that was named from outside before money is written to it.

A version that was never tried is refused. A server that may lose a commit is only warned about: it may be a
rehearsal, and only its operator can know.
"""

import re
from collections.abc import Callable

import psycopg
from psycopg.conninfo import make_conninfo

from database.refusals import DatabaseRolesUnfit, DatabaseUnreachable, DatabaseVersionUnsupported
from database.urls import DatabaseUrls

SUPPORTED_MAJOR_VERSIONS = (17, 18)
CONNECT_TIMEOUT_SECONDS = 10
# With one of these off, a power cut can take back a payment that was answered with "paid".
SAFETY_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")
# Durable on this machine at least; `on` and its stronger forms all wait for the disk.
DURABLE_VALUES = frozenset({"on", "local", "remote_write", "remote_apply"})


def check_external_server(urls: DatabaseUrls, *, report: Callable[[str], None]) -> None:
    """Connects as both roles and looks at version and safety settings.

    Raises:
        DatabaseUnreachable: a connection failed; the password is not repeated.
        DatabaseVersionUnsupported: the server is neither PostgreSQL 17 nor 18.
        DatabaseRolesUnfit: the two roles are one, or may do too much or too little.
    """
    _check(urls.owner, "DATABASE_OWNER_URL", report=lambda _: None)
    _check(urls.application, "DATABASE_URL", report=report)
    _check_roles(urls)


def _check(url: str, setting: str, *, report: Callable[[str], None]) -> None:
    try:
        with psycopg.connect(_with_timeout(url), autocommit=True) as connection:
            _check_version(connection, setting)
            values = {name: _show(connection, name) for name in SAFETY_SETTINGS}
    except psycopg.Error as error:
        raise DatabaseUnreachable(
            f"{setting} can't be used: {_without_password(str(error)).strip()}",
            next_step=f"Check that the server runs and that {setting} names its host, role and database.",
        ) from None
    for name, value in values.items():
        if value not in DURABLE_VALUES:
            report(
                f"WARNING: {name} is {value} on the server of {setting}: a power cut can lose payments that were "
                f"answered with paid. Set {name} = on in its configuration before real money is used."
            )


def _check_roles(urls: DatabaseUrls) -> None:
    owner, owner_database, _, may_make_schemas = _who(urls.owner)
    application, database, is_superuser, _ = _who(urls.application)
    if owner_database != database:
        found = f"DATABASE_URL leads to the database {database}, DATABASE_OWNER_URL to {owner_database}."
    elif owner == application or is_superuser:
        # It could write any balance; the ledger promises that the application can't.
        found = f"DATABASE_URL signs in as {application}, which may do what only the owner may."
    elif not may_make_schemas:
        found = f"DATABASE_OWNER_URL signs in as {owner}, which may not make schemas in {database}."
    else:
        return
    raise DatabaseRolesUnfit(
        found,
        next_step="CREATE ROLE city_owner LOGIN; CREATE ROLE city_app LOGIN; "
        "CREATE DATABASE city OWNER city_owner; then city_owner in DATABASE_OWNER_URL, city_app in DATABASE_URL.",
    )


def _who(url: str) -> tuple[str, str, bool, bool]:
    with psycopg.connect(_with_timeout(url), autocommit=True) as connection:
        row = connection.execute(
            """SELECT current_user::text, current_database()::text, rolsuper,
                      has_database_privilege(current_database(), 'CREATE')
               FROM pg_roles WHERE rolname = current_user"""
        ).fetchone()
    return row or ("", "", False, False)


def _check_version(connection: psycopg.Connection[tuple[str]], setting: str) -> None:
    major = connection.info.server_version // 10000
    if major not in SUPPORTED_MAJOR_VERSIONS:
        raise DatabaseVersionUnsupported(
            f"{setting} leads to PostgreSQL {major}; Meguri works with PostgreSQL 17 and 18.",
            next_step="Upgrade the server, or unset DATABASE_URL and DATABASE_OWNER_URL to use the embedded one.",
        )


def _show(connection: psycopg.Connection[tuple[str]], name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return row[0] if row is not None else ""


def _with_timeout(url: str) -> str:
    """The URL with a limit of our own where it sets none: a command does not wait for ever."""
    if "connect_timeout" in url:
        return url
    return make_conninfo(url, connect_timeout=CONNECT_TIMEOUT_SECONDS)


def _without_password(words: str) -> str:
    return re.sub(r"(://[^:/@\s]*:)[^@\s]*@", r"\1…@", re.sub(r"(password=)\S+", r"\1…", words))
