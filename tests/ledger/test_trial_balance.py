"""The trial balance, now and of the past, against a naive recomputation of a random past."""

import asyncio
import random
from collections import defaultdict
from datetime import timedelta

import pytest

from ledger.accounts import AccountKey
from ledger.chart import Kind
from ledger.statements import find_seq_at
from ledger.trial_balance import read_trial_balances
from tests.ledger import ledger_factories as f
from tests.ledger.random_history import live_through, read_history
from tests.region_under_test import region_under_test

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def lived(cluster, region_template):
    with region_under_test(cluster, region_template) as region:
        asyncio.run(live_through(region, seed=11))
        yield region, asyncio.run(read_history(region))


def naive(history, seq):
    """Debits and credits by programme and kind after an entry."""
    sums = defaultdict(lambda: [0, 0])
    for account, key in history.keys.items():
        debits, credits_ = history.counters(account, seq)
        sums[key.programme, key.kind][0] += debits
        sums[key.programme, key.kind][1] += credits_
    return {key: tuple(both) for key, both in sums.items()}


def told(balances):
    return {(one.programme, line.kind): (line.debits, line.credits) for one in balances for line in one.lines}


async def test_V1_V2_now_it_is_the_sum_of_the_past_and_both_sides_agree(lived):
    region, history = lived
    async with region.connect() as connection:
        balances = await read_trial_balances(connection)
    assert told(balances) == naive(history, history.end)
    assert [one.programme for one in balances] == ["yen", "premium"]
    for one in balances:
        assert one.seq == history.end
        assert one.is_balanced
        assert one.assets == one.liabilities > 0
        assert one.difference == 0
        assert [line.kind for line in one.lines] == sorted((line.kind for line in one.lines), key=list(Kind).index)
        assert all((line.balance > 0) == (line.balance != 0) for line in one.lines)


async def test_V1_V2_as_of_any_entry_it_is_the_sum_of_what_came_before(lived):
    region, history = lived
    async with region.connect() as connection:
        for seq in [0, 1, history.end - 1, *random.Random(5).sample(range(history.end), 15)]:
            balances = await read_trial_balances(connection, as_of=seq)
            assert told(balances) == naive(history, seq)
            assert all(one.is_balanced and one.seq == seq for one in balances)
            assert all(line.held == 0 for one in balances for line in one.lines)


async def test_as_of_the_future_it_is_that_of_now(lived):
    region, history = lived
    async with region.connect() as connection:
        assert await read_trial_balances(connection, as_of=history.end + 7) == await read_trial_balances(connection)


async def test_as_of_an_instant_it_is_that_of_the_last_entry_by_then(lived):
    region, history = lived
    at = history.rows[len(history.rows) // 2].at
    async with region.connect() as connection:
        seq = await find_seq_at(connection, at)
        before = await find_seq_at(connection, at - timedelta(microseconds=1))
        assert before < seq
        assert told(await read_trial_balances(connection, as_of=seq)) == naive(history, seq)


async def test_an_empty_book_is_balanced_and_has_every_programme(region):
    async with region.connect() as connection:
        balances = await read_trial_balances(connection)
    assert [(one.programme, one.seq, one.lines, one.is_balanced) for one in balances] == [
        ("yen", 0, (), True),
        ("premium", 0, (), True),
    ]


async def test_a_missing_and_a_surplus_yen_stand_under_difference_with_their_sign(region):
    desk, counted = f.reserve(), AccountKey(Kind.DIFFERENCE, f.CLERK, "yen")
    async with region.bookkeeper() as bookkeeper, region.connect() as connection:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        # 30 yen too little in the desk, then 10 too much.
        await bookkeeper.post(f.move("difference", counted, desk, 30))
        (yen, _) = await read_trial_balances(connection)
        assert (yen.assets, yen.liabilities, yen.difference) == (970, 1000, -30)
        assert yen.is_balanced
        await connection.rollback()
        await bookkeeper.post(f.move("difference", desk, counted, 10))
        (yen, _) = await read_trial_balances(connection)
        assert (yen.assets, yen.liabilities, yen.difference) == (980, 1000, -20)
        assert yen.is_balanced


async def test_what_is_held_is_told_for_now(region):
    async with region.bookkeeper() as bookkeeper, region.connect() as connection:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        await bookkeeper.post(f.hold(f.payment(f.HANAKO, f.BAKERY, 300), f.NOON + timedelta(days=9999)))
        (yen, _) = await read_trial_balances(connection)
        assert {line.kind: line.held for line in yen.lines}[Kind.WALLET] == 300


async def test_V2_a_programme_that_is_not_backed_is_told(region):
    region.is_tampered = True
    async with region.bookkeeper() as bookkeeper:
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
    async with region.connect(role="superuser") as connection:
        await connection.execute("UPDATE account SET credits = credits + 1 WHERE kind = 'wallet'")
        (yen, premium) = await read_trial_balances(connection)
    assert not yen.is_balanced
    assert premium.is_balanced
