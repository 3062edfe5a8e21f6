"""A database of one's own on the tests' server, for the time of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg

from database.embedded.sharing import RunningServer
from database.urls import APPLICATION_ROLE, OWNER_ROLE, DatabaseUrls


@contextmanager
def fresh_database(cluster: RunningServer, *, template: str = "template0") -> Iterator[DatabaseUrls]:
    """A new database, a copy of `template`; nobody may be connected to the template meanwhile."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER {OWNER_ROLE} TEMPLATE {template} STRATEGY FILE_COPY")
        connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {APPLICATION_ROLE}")
    try:
        yield cluster.urls(name)
    finally:
        with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
