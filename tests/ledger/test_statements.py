"""Balances and statements, now and as of any entry or instant, against a naive recomputation of a random past."""

import asyncio
import random
from datetime import timedelta
from uuid import uuid4

import pytest

from ledger.refusals import NotFound
from ledger.statements import find_accounts, find_seq_at, get_balance, list_statement
from tests.ledger import ledger_factories as f
from tests.ledger.random_history import live_through, read_history
from tests.region_under_test import region_under_test

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def lived(cluster, region_template):
    with region_under_test(cluster, region_template) as region:
        asyncio.run(live_through(region))
        yield region, asyncio.run(read_history(region))


async def test_the_past_has_what_these_tests_need(lived):
    region, history = lived
    async with region.connect() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM account_mark GROUP BY account ORDER BY 1 DESC LIMIT 1"
        )
        assert (await cursor.fetchone())[0] >= 2, "an account with more than 512 transfers has two marks"
    assert history.end > 600
    assert any(row.line > 2 for row in history.rows)


async def test_every_balance_as_of_any_entry_is_the_sum_of_what_came_before(lived):
    region, history = lived
    chance = random.Random(1)
    async with region.connect() as connection:
        cursor = await connection.execute("SELECT DISTINCT seq FROM account_mark")
        marked = [row[0] for row in await cursor.fetchall()]
        seqs = {0, 1, 2, history.end - 1, *marked, *(seq - 1 for seq in marked), *(seq + 1 for seq in marked)}
        seqs |= set(chance.sample(range(history.end), 40))
        for account in history.keys:
            for seq in seqs if account == history.busiest() else chance.sample(sorted(seqs), 8):
                if seq >= history.end:
                    continue
                balance = await get_balance(connection, account, as_of=seq)
                assert (balance.debits, balance.credits) == history.counters(account, seq), (account, seq)
                assert (balance.balance, balance.seq) == (history.balance(account, seq), seq)
                assert balance.held is None


async def test_a_balance_now_and_one_of_the_future_is_the_present_one(lived):
    region, history = lived
    async with region.connect() as connection:
        for account, key in history.keys.items():
            now = await get_balance(connection, account)
            assert now == await get_balance(connection, account, as_of=history.end + 100)
            assert (now.key, now.seq, now.held) == (key, history.end, 0)
            assert now.balance == history.balance(account, history.end)


async def test_an_account_that_is_not_there_is_refused(lived):
    region, _ = lived
    async with region.connect() as connection:
        for reading in (get_balance(connection, 999), list_statement(connection, 999)):
            with pytest.raises(NotFound):
                await reading


async def test_what_is_held_now_is_told(region):
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 100))
        await bookkeeper.post(f.hold(f.payment(f.HANAKO, f.BAKERY, 30), f.NOON + timedelta(days=9999)))
    async with region.connect() as connection:
        (account,) = await find_accounts(connection, f.HANAKO)
        assert (await get_balance(connection, account)).held == 30
        assert (await get_balance(connection, account, as_of=1)).held is None


async def test_a_holders_accounts_are_found_by_holder_or_number(lived):
    region, history = lived
    async with region.connect() as connection:
        expected = sorted(account for account, key in history.keys.items() if key.holder == f.BAKERY)
        assert await find_accounts(connection, f.BAKERY) == expected
        assert await find_accounts(connection, 5) == [5]
        with pytest.raises(NotFound):
            await find_accounts(connection, uuid4())


def expected_lines(history, account):
    return [
        (row.seq, row.line, row.at, row.entry_id, row.kind, row.flow, amount, balance)
        for row, amount, balance in reversed(history.lines(account))
    ]


def told_lines(statement):
    return [
        (one.seq, one.line, one.at, one.entry_id, one.kind, one.flow, one.amount, one.balance) for one in statement
    ]


async def test_a_whole_statement_is_the_past_newest_first_with_the_running_balance(lived):
    region, history = lived
    async with region.connect() as connection:
        for account in history.keys:
            statement = await list_statement(connection, account, limit=5000)
            assert told_lines(statement) == expected_lines(history, account)
            for line in statement:
                row = next(row for row in history.rows if (row.seq, row.line) == (line.seq, line.line))
                other = row.credit if row.debit == account else row.debit
                assert line.counterpart == history.keys[other]


@pytest.mark.parametrize("size", [1, 7, 200])
async def test_pages_joined_are_the_whole_statement(lived, size):
    region, history = lived
    account = history.busiest()
    pages, before = [], None
    async with region.connect() as connection:
        # A page of one line at a time is tried on the newest hundred.
        while page := await list_statement(connection, account, limit=size, before=before):
            assert len(page) <= size
            pages += page
            before = (page[-1].seq, page[-1].line)
            if size == 1 and len(pages) == 100:
                break
    assert told_lines(pages) == expected_lines(history, account)[: len(pages)]
    assert size == 1 or len(pages) == len(history.lines(account))


async def test_a_page_may_begin_in_the_middle_of_an_entry(lived):
    region, history = lived
    entry = next(row for row in history.rows if row.kind == "shared" and row.line == 3)
    account = entry.credit
    expected = expected_lines(history, account)
    async with region.connect() as connection:
        for line in (1, 2, 3, 4):
            page = await list_statement(connection, account, limit=9, before=(entry.seq, line))
            rest = [one for one in expected if one[:2] < (entry.seq, line)][:9]
            assert told_lines(page) == rest


async def test_a_statement_as_of_an_entry_leaves_out_what_came_later(lived):
    region, history = lived
    chance = random.Random(3)
    account = history.busiest()
    expected = expected_lines(history, account)
    async with region.connect() as connection:
        for seq in [0, 1, history.end, history.end + 5, *chance.sample(range(history.end), 20)]:
            page = await list_statement(connection, account, as_of=seq, limit=20)
            assert told_lines(page) == [one for one in expected if one[0] <= seq][:20]
            if page:
                before = (page[-1].seq, page[-1].line)
                older = await list_statement(connection, account, as_of=seq, before=before, limit=5)
                assert told_lines(older) == [one for one in expected if one[:2] < before][:5]


async def test_before_a_place_later_than_as_of_means_as_of(lived):
    region, history = lived
    account = history.busiest()
    async with region.connect() as connection:
        page = await list_statement(connection, account, as_of=100, before=(history.end, 1), limit=10)
        assert told_lines(page) == [one for one in expected_lines(history, account) if one[0] <= 100][:10]


async def test_the_entry_at_an_instant_is_the_last_one_booked_by_then(lived):
    region, history = lived
    instants = sorted({row.at for row in history.rows})
    async with region.connect() as connection:
        for at in [instants[0], instants[len(instants) // 2], instants[-1]]:
            for instant in (at - timedelta(microseconds=1), at, at + timedelta(microseconds=1)):
                expected = max((row.seq for row in history.rows if row.at <= instant), default=0)
                assert await find_seq_at(connection, instant) == expected


async def test_of_two_batches_at_one_instant_the_later_counts(region):
    class Still:
        def now(self):
            return f.NOON

    async with region.bookkeeper(clock=Still()) as bookkeeper, region.connect() as connection:
        assert await find_seq_at(connection, f.NOON) == 0
        for number in (1, 2, 3):
            await bookkeeper.post(f.top_up(f.HANAKO, 5))
            assert await find_seq_at(connection, f.NOON) == number
            await connection.rollback()
