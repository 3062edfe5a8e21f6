"""A region with an empty book and two programmes, for the time of one test; its book is proven afterwards."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg

from database.connections import Connection, connect, region_conninfo
from database.embedded.sharing import RunningServer
from database.urls import DatabaseUrls
from ledger.bookkeeper import Bookkeeper
from ledger.chart import Funding
from ledger.programme_commands import open_programme
from ledger.programmes import ProgrammeTerms, TwoPeople
from ledger.verify import Verification, verify_book
from migrations.upgrading import create_region
from tests.fresh_database import fresh_database

CODE = "komorebi"
TWO_PEOPLE = TwoPeople(UUID(int=1), UUID(int=2))
# All flows are on but the lawful return. A merchant may owe 10,000, a risk account carry 5,000.
YEN = ProgrammeTerms(code="yen", funding=Funding.YEN, rank=5, receivable_max=10_000, risk_max=5_000)
PREMIUM = ProgrammeTerms(
    code="premium", funding=Funding.GRANT, rank=1, extension_days_max=0, receivable_max=10_000, risk_max=5_000
)


@dataclass(slots=True)
class RegionUnderTest:
    """One region in a database of its own.

    Attributes:
        is_tampered: set by a test that spoils the book on purpose; then it is not proven afterwards.
    """

    urls: DatabaseUrls
    superuser_url: str
    code: str = CODE
    is_tampered: bool = False

    @asynccontextmanager
    async def connect(self, *, role: str = "application") -> AsyncIterator[Connection]:
        """A connection to the region's schema as `application`, `owner` or `superuser`."""
        url = {"application": self.urls.application, "owner": self.urls.owner, "superuser": self.superuser_url}[
            role
        ]
        async with await connect(url, self.code) as connection:
            yield connection

    def connect_sync(self, *, role: str = "application") -> psycopg.Connection:
        """The same without asyncio."""
        url = {"application": self.urls.application, "owner": self.urls.owner, "superuser": self.superuser_url}[
            role
        ]
        return psycopg.connect(region_conninfo(url, self.code))

    def bookkeeper(self, **options) -> Bookkeeper:
        """A bookkeeper of this region, not yet started."""
        return Bookkeeper(self.urls.application, self.code, **options)

    async def verify(self) -> Verification:
        """Proves the book."""
        async with self.connect() as connection:
            return await verify_book(connection)


def make_template(cluster: RunningServer, name: str) -> None:
    """Makes a database with a migrated region and its programmes, to be copied for each test."""
    with psycopg.connect(cluster.superuser_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER meguri_owner TEMPLATE template0")
    urls = cluster.urls(name)
    create_region(urls, code=CODE, name="こもれび市", now=datetime.now(UTC))

    async def open_programmes() -> None:
        async with await connect(urls.application, CODE) as connection:
            for terms in (YEN, PREMIUM):
                await open_programme(connection, terms, people=TWO_PEOPLE, at=datetime.now(UTC))

    asyncio.run(open_programmes())
    # Tests bring clocks of their own; what the limit does is tested where it is set back.
    with psycopg.connect(region_conninfo(urls.owner, CODE)) as connection:
        connection.execute("UPDATE book SET clock_ahead_max = '1000 years'")


@contextmanager
def region_under_test(cluster: RunningServer, template: str) -> Iterator[RegionUnderTest]:
    """A copy of the template; its book is proven when the block ends."""
    with fresh_database(cluster, template=template) as urls:
        database = urls.application.rsplit("/", 1)[1].split("?")[0]
        region = RegionUnderTest(urls, cluster.superuser_url(database))
        yield region
        if not region.is_tampered:
            verification = asyncio.run(region.verify())
            assert verification.is_clean, verification.findings


def new_template_name() -> str:
    """A database name that nobody else uses."""
    return f"template_{uuid4().hex}"
