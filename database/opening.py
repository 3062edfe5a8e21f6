"""The one way to a database: the one named in the settings, else the embedded server for as long as it is used."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from database.settings import Settings
from database.urls import DatabaseUrls


def report_on_standard_error(words: str) -> None:
    """One line of progress or warning for whoever started the command."""
    sys.stderr.write(f"meguri: {words}\n")
    sys.stderr.flush()


@contextmanager
def open_database(
    settings: Settings, *, report: Callable[[str], None] = report_on_standard_error
) -> Iterator[DatabaseUrls]:
    """The database's URLs, valid until the block ends.

    Imports what it uses when it is used: a command on the embedded server need not load the driver for this.

    Raises:
        DatabaseRefusal: it can't be reached or started; see `database.refusals`.
    """
    if settings.database_url is not None and settings.database_owner_url is not None:
        from database.external import check_external_server

        urls = DatabaseUrls(application=settings.database_url, owner=settings.database_owner_url)
        check_external_server(urls, report=report)
        yield urls
        return
    from database.embedded.sharing import join, warn_without_ballast

    with join(settings.data_dir, report=report) as server:
        warn_without_ballast(server, report)
        yield server.urls()


def check_answers(urls: DatabaseUrls) -> None:
    """Proves that a database answers both of its roles.

    Raises:
        psycopg.Error: it does not.
    """
    import psycopg

    for url in (urls.application, urls.owner):
        with psycopg.connect(url) as connection:
            connection.execute("SELECT 1")
