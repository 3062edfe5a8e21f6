"""A new database: whole or not there, with two roles that can do no more than they must."""

import psycopg
import pytest
from psycopg import errors

from database.embedded.creation import MAKING_PREFIX
from database.embedded.sharing import join
from database.embedded.supervisor import StartOptions

QUICK = StartOptions(grace_seconds=0.2)


def test_what_a_killed_creation_left_is_tidied_and_never_used(data_dir):
    (data_dir / "postgres").rename(data_dir / "elsewhere")
    half = data_dir / f"{MAKING_PREFIX}killed"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    words = []
    with join(data_dir, options=QUICK, report=words.append) as server, psycopg.connect(server.urls().owner):
        assert not half.exists()
    assert "making a new database (once)" in words


def test_the_application_role_can_make_nothing(cluster):
    with psycopg.connect(cluster.urls().application, autocommit=True) as connection:
        for statement in (
            "CREATE TABLE t (id int)",
            "CREATE SCHEMA s",
            "CREATE TEMP TABLE t (id int)",
            "CREATE ROLE r",
            "CREATE DATABASE d",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_owner_makes_schemas_but_no_roles_and_no_databases(cluster):
    with psycopg.connect(cluster.urls().owner) as connection:
        connection.execute("CREATE SCHEMA region_test")
        connection.rollback()
        for statement in ("CREATE ROLE r", "ALTER ROLE meguri_app SUPERUSER", "SET ROLE postgres"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_both_roles_stay_in_their_own_database(cluster, database):
    for url in (cluster.urls(database).application, cluster.urls(database).owner):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(url)


def test_text_is_utf8_and_sorts_the_same_on_every_machine(cluster):
    with psycopg.connect(cluster.superuser_url("meguri")) as connection:
        row = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datlocprovider::text, datlocale FROM pg_database "
            "WHERE datname = current_database()"
        ).fetchone()
    assert row == ("UTF8", "b", "C.UTF-8")
