"""Reading the list of regions."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, select, text

from currency.regions.tables import RegionRow
from database.engines import open_engine
from ledger.refusals import Refusal


class RegionUnknown(Refusal):
    """There is no region with this code; `./meguri region list` shows which there are."""

    code = "region_unknown"
    region: str


@dataclass(frozen=True, slots=True)
class Region:
    """One city's currency: its code, its name, and since when it is on the platform (UTC)."""

    code: str
    name: str
    created_at: datetime


def read_regions(url: str) -> list[Region]:
    """All regions by code, of the database at a libpq URL; none where no region was ever made."""
    with open_engine(url).connect() as connection:
        # A new database has no shared schema before its first region is made.
        if connection.scalar(text("SELECT to_regclass('meguri.region')")) is None:
            return []
        return list_regions(connection)


def list_regions(connection: Connection) -> list[Region]:
    """All regions by code."""
    return [_region(row) for row in connection.execute(_SELECT.order_by(RegionRow.code))]


def find_region(connection: Connection, code: str) -> Region | None:
    """The region with this code, or None."""
    row = connection.execute(_SELECT.where(RegionRow.code == code)).one_or_none()
    return _region(row) if row else None


def get_region(connection: Connection, code: str) -> Region:
    """The region with this code.

    Raises:
        RegionUnknown: there is none.
    """
    found = find_region(connection, code)
    if found is None:
        raise RegionUnknown(region=code)
    return found


_SELECT = select(RegionRow.code, RegionRow.name, RegionRow.created_at)


def _region(row: Row[str, str, datetime]) -> Region:
    return Region(code=row.code, name=row.name, created_at=row.created_at)
