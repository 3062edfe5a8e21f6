"""The end of the book: what it says, and that its lock is one for all."""

import asyncio
from datetime import UTC, datetime

import pytest

from ledger.book import list_programmes, lock_book, read_book
from ledger.chart import Funding
from ledger.entries import first_hash
from tests.ledger import ledger_factories as f
from tests.races.racing import wait_for_waiters

pytestmark = pytest.mark.anyio


async def test_an_empty_book_starts_from_its_regions_own_hash(region):
    async with region.connect() as connection:
        book = await read_book(connection)
    assert (book.region, book.seq, book.account_id, book.counter_id) == ("komorebi", 0, 0, 0)
    assert book.hash == first_hash("komorebi")
    assert book.at == datetime(1970, 1, 1, tzinfo=UTC)
    assert book.is_open


async def test_its_end_moves_with_every_entry(region):
    async with region.bookkeeper() as bookkeeper, region.connect() as connection:
        posted = await bookkeeper.post(f.top_up(f.HANAKO, 1))
        book = await read_book(connection)
    assert (book.seq, book.at, book.hash, book.account_id) == (1, posted.entry.at, posted.hash, 2)


async def test_a_region_has_one_book(region):
    with region.connect_sync(role="owner") as connection:
        row = "INSERT INTO book (region, hash) VALUES ('another', sha256('x'))"
        with pytest.raises(Exception, match="book_is_one"):
            connection.execute(row)
        connection.rollback()


async def test_who_waited_for_the_lock_reads_what_was_booked_meanwhile(region):
    async with region.connect() as holder, region.connect() as waiter, region.bookkeeper() as bookkeeper:
        await lock_book(holder)
        booking = asyncio.create_task(bookkeeper.post(f.top_up(f.HANAKO, 1)))
        await wait_for_waiters(region, 1)
        waiting = asyncio.create_task(lock_book(waiter))
        await wait_for_waiters(region, 2)
        await holder.rollback()
        await booking
        assert (await waiting).seq == 1
        # The next statement sees the rows as well.
        cursor = await waiter.execute("SELECT count(*) FROM entry")
        assert await cursor.fetchone() == (1,)


async def test_reading_the_end_waits_for_nobody(region):
    async with region.connect() as holder, region.connect() as reader:
        await lock_book(holder)
        async with asyncio.timeout(2):
            assert (await read_book(reader)).seq == 0


async def test_the_lock_lets_foreign_keys_be_checked(region):
    async with region.connect() as holder, region.connect(role="owner") as other:
        await lock_book(holder)
        async with asyncio.timeout(2):
            await other.execute("SELECT FROM book FOR KEY SHARE")


async def test_programmes_are_listed_by_number(region):
    async with region.connect() as connection:
        programmes = await list_programmes(connection)
    assert [(one.id, one.code, one.funding) for one in programmes] == [
        (1, "yen", Funding.YEN),
        (2, "premium", Funding.GRANT),
    ]
    assert programmes[0].extension_days_max is None
    assert programmes[1].extension_days_max == 0
