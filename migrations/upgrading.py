"""Making and upgrading schemas, each in one database transaction: it is at the new revision whole, or as it was.

A region that fails stays as it was, and the others go on; the report says which and why.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from currency.regions.commands import register_region
from currency.regions.queries import Region, RegionUnknown, list_regions, read_regions
from database.connections import region_schema
from database.engines import open_engine
from database.urls import DatabaseUrls
from ledger.refusals import Refusal

HERE: Final = Path(__file__).parent
SHARED_SCHEMA: Final = "meguri"
# Waiting for a lock stops all payments behind the waiter, so a migration gives up early; it can be run again.
LIMITS: Final = "SET LOCAL lock_timeout = '4s'; SET LOCAL statement_timeout = '10min'"

# Two regions at the same instant: the second waits here and finds what the first has made.
ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtext('meguri shared schema'))"


class SchemaOutdated(Refusal):
    """The database is of another revision than this program; run `./meguri db upgrade`."""

    code = "schema_outdated"
    schema: str


class UpgradeFailed(Refusal):
    """A schema could not be brought to the newest revision; it stays as it was."""

    code = "upgrade_failed"
    schema: str
    says: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What became of one schema: the revisions before and after, and the error that kept it as it was."""

    schema: str
    before: str | None
    after: str | None
    error: str | None = None


def create_region(urls: DatabaseUrls, *, code: str, name: str, now: datetime) -> Region:
    """Makes a region with an empty book, whole or not at all.

    Raises:
        RegionCodeInvalid, RegionNameInvalid, RegionExists: as `register_region`.
    """
    upgrade_shared(urls)
    with open_engine(urls.owner).begin() as connection:
        connection.execute(text(ONE_AT_A_TIME))
        region = register_region(connection, code=code, name=name, now=now)
        schema = region_schema(code)
        connection.execute(text(f'CREATE SCHEMA "{schema}"'))
        _run(urls, connection, "region", schema, region=code)
    return region


def upgrade_shared(urls: DatabaseUrls) -> Upgrade:
    """Brings the shared schema to the newest revision."""
    with open_engine(urls.owner).begin() as connection:
        connection.execute(text(ONE_AT_A_TIME))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SHARED_SCHEMA}"))
        return _run(urls, connection, "shared", SHARED_SCHEMA)


def upgrade_all(urls: DatabaseUrls) -> Iterator[Upgrade]:
    """Brings the shared schema, then every region to the newest revision, and tells of each as it is done."""
    yield upgrade_shared(urls)
    engine = open_engine(urls.owner)
    with engine.connect() as connection:
        regions = list_regions(connection)
    for region in regions:
        yield upgrade_region(urls, region.code)


def require_upgraded(urls: DatabaseUrls) -> None:
    """Brings every region that there is to the newest revision.

    Raises:
        UpgradeFailed: one of them could not be.
    """
    if not read_regions(urls.application):
        return
    for upgrade in upgrade_all(urls):
        if upgrade.error:
            raise UpgradeFailed(schema=upgrade.schema, says=upgrade.error)


def upgrade_region(urls: DatabaseUrls, region: str, *, revision: str = "head") -> Upgrade:
    """Brings one region to a revision (downwards, too); on an error it stays as it was."""
    schema = region_schema(region)
    engine = open_engine(urls.owner)
    before = None
    try:
        with engine.begin() as connection:
            before = current_revision(connection, schema)
            return _run(urls, connection, "region", schema, region=region, revision=revision)
    except (SQLAlchemyError, psycopg.Error, CommandError) as error:
        return Upgrade(schema, before, before, error=str(error.__cause__ or error).strip())


def require_newest(urls: DatabaseUrls, region: str) -> None:
    """Demands that a region's schema is at the revision that this program was written for.

    Raises:
        RegionUnknown: there is no such region.
        SchemaOutdated: it is not.
    """
    if region not in {known.code for known in read_regions(urls.application)}:
        raise RegionUnknown(region=region)
    schema = region_schema(region)
    with open_engine(urls.owner).connect() as connection:
        if current_revision(connection, schema) != newest_revision("region"):
            raise SchemaOutdated(schema=schema)


def current_revision(connection: Connection, schema: str) -> str | None:
    """The revision that a schema is at; None where it has none."""
    options = {"version_table_schema": schema}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def newest_revision(history: str) -> str | None:
    """The newest revision of a history, `shared` or `region`."""
    return ScriptDirectory.from_config(_config(history)).get_current_head()


def _run(
    urls: DatabaseUrls,
    connection: Connection,
    history: str,
    schema: str,
    *,
    region: str | None = None,
    revision: str = "head",
) -> Upgrade:
    # Functions pin this path. Named last, pg_temp is not searched first: no temporary table stands in for ours.
    connection.execute(text(f'SET LOCAL search_path = "{schema}", pg_temp'))
    connection.execute(text(LIMITS))
    before = current_revision(connection, schema)
    config = _config(history)
    config.attributes.update(
        connection=connection,
        schema=schema,
        region=region,
        application_role=_application_role(urls),
    )
    scripts = ScriptDirectory.from_config(config)
    is_down = revision != "head" and before is not None and _is_older(scripts, revision, before)
    (command.downgrade if is_down else command.upgrade)(config, revision)
    return Upgrade(schema, before, current_revision(connection, schema))


def _application_role(urls: DatabaseUrls) -> str:
    # Asked of the server: a URL may leave the user out.
    with psycopg.connect(urls.application) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    if row is None:
        raise RuntimeError("the server did not say who the application is")
    return str(row[0])


def _is_older(scripts: ScriptDirectory, revision: str, than: str) -> bool:
    if revision == "base":
        return True
    return revision != than and revision in {script.revision for script in scripts.iterate_revisions(than, "base")}


def _config(history: str) -> Config:
    config = Config()
    # Alembic reads % in options as interpolation; a checkout may lie anywhere.
    config.set_main_option("script_location", str(HERE / history).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
