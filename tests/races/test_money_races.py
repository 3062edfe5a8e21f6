"""Many at once, through one bookkeeper and through two processes: nothing is given twice, nothing is lost."""

import asyncio
import random
from uuid import uuid4

import pytest

from ledger.instructions import CounterKey, Limit
from tests.ledger import ledger_factories as f
from tests.races.freezes import FreezeClearance, freeze, make_freeze_table
from tests.races.racing import (
    FIRST,
    REPLAY,
    BookkeeperProcess,
    ask,
    balance_of,
    book_locked,
    in_one_process,
    in_two_processes,
    post_all,
    tally,
    wait_for_waiters,
)

pytestmark = pytest.mark.anyio
in_processes = pytest.mark.parametrize("posting", [in_one_process, in_two_processes], ids=["one", "two"])


async def book(region, *instructions):
    async with region.bookkeeper() as bookkeeper:
        for one in instructions:
            await bookkeeper.post(one)


@in_processes
async def test_C01_fifty_debits_of_100_on_1000_give_exactly_ten(region, posting):
    await book(region, f.top_up(f.HANAKO, 1000))
    async with posting(region) as post:
        outcomes = await post([f.pay(f.HANAKO, f.BAKERY, 100) for _ in range(50)])
    assert tally(outcomes) == {FIRST: 10, "insufficient_funds": 40}
    assert await balance_of(region, f.lot(f.HANAKO)) == 0
    assert await balance_of(region, f.takings()) == 1000


@in_processes
async def test_C02_a_thousand_crossing_gifts_do_not_deadlock_and_lose_nothing(region, posting):
    await book(region, f.top_up(f.HANAKO, 1000), f.top_up(f.TARO, 1000))
    there = [f.gift(f.HANAKO, f.TARO, 2) for _ in range(500)]
    back = [f.gift(f.TARO, f.HANAKO, 1) for _ in range(500)]
    crossing = there + back
    random.Random(2).shuffle(crossing)
    async with posting(region) as post:
        outcomes = await post(crossing)
    assert tally(outcomes) == {FIRST: 1000}
    assert await balance_of(region, f.lot(f.HANAKO)) == 500
    assert await balance_of(region, f.lot(f.TARO)) == 1500


async def test_C03_one_hot_merchant_loses_nothing(region):
    payers = [uuid4() for _ in range(40)]
    payments = [f.pay(payer, f.BAKERY, 1 + number) for payer in payers for number in range(25)]
    async with in_two_processes(region) as post:
        assert tally(await post([f.top_up(payer, 325) for payer in payers])) == {FIRST: 40}
        assert tally(await post(payments)) == {FIRST: 1000}
    assert await balance_of(region, f.takings()) == 40 * 325
    assert await ask(region, "SELECT count(*), sum(credits - debits) FROM account WHERE kind = 'wallet'") == (40, 0)


@in_processes
async def test_C04_a_household_cap_over_two_wallets_holds(region, posting):
    household = CounterKey("household", uuid4())
    await book(region, f.top_up(f.HANAKO, 5000), f.top_up(f.TARO, 5000))
    payments = [
        f.pay(wallet, f.BAKERY, 100, limits=(Limit(household, 100, day_max=1000),))
        for wallet in (f.HANAKO, f.TARO)
        for _ in range(20)
    ]
    random.Random(4).shuffle(payments)
    async with posting(region) as post:
        outcomes = await post(payments)
    assert tally(outcomes) == {FIRST: 10, "limit_day": 30}
    assert await ask(region, "SELECT day_used, month_used, total_used FROM limit_counter") == (1000, 1000, 1000)


@in_processes
async def test_C11_the_earliest_expiry_goes_first_under_20_parallel_payments(region, posting):
    soon, late, never = (
        f.lot(f.HANAKO, "yen", f.date(2090, 1, 31)),
        f.lot(f.HANAKO, "yen", f.date(2091, 1, 31)),
        f.lot(f.HANAKO),
    )
    await book(
        region,
        f.top_up(f.HANAKO, 400),
        f.top_up(f.HANAKO, 300, expires_on=late.expires_on),
        f.top_up(f.HANAKO, 300, expires_on=soon.expires_on),
    )
    async with posting(region) as post:
        assert tally(await post([f.pay(f.HANAKO, f.BAKERY, 40) for _ in range(20)])) == {FIRST: 20}
    assert [await balance_of(region, lot) for lot in (soon, late, never)] == [0, 0, 200]
    async with region.connect() as connection:
        cursor = await connection.execute(
            """SELECT expires_on, sum(amount) FROM (
                   SELECT coalesce(expires_on, 'infinity') AS expires_on, amount,
                          lag(coalesce(expires_on, 'infinity')) OVER (ORDER BY seq, line) AS before
                   FROM transfer JOIN account ON account.id = debit_account WHERE flow = 'payment'
               ) drawn WHERE before > expires_on GROUP BY expires_on"""
        )
        assert await cursor.fetchall() == [], "a later day was drawn before an earlier one"


@in_processes
async def test_C14_a_pot_of_100_000_is_never_exceeded_by_500_parallel_bonuses(region, posting):
    await book(region, f.fund(100_000, programme="premium"))
    async with posting(region) as post:
        outcomes = await post([f.bonus(uuid4(), 300, programme="premium") for _ in range(500)])
    assert tally(outcomes) == {FIRST: 333, "pot_exhausted": 167}
    assert await balance_of(region, f.pot("premium")) == 100


async def test_C16_a_refused_large_payment_does_not_make_the_later_small_one_of_its_batch_fail(region):
    await book(region, f.top_up(f.HANAKO, 1000))
    household = CounterKey("household", uuid4())
    limit = {"limits": (Limit(household, 700, day_max=700),)}
    async with region.bookkeeper() as bookkeeper:
        outcomes = await post_all(
            bookkeeper,
            [
                f.pay(f.HANAKO, f.BAKERY, 1001, **limit),
                f.pay(f.HANAKO, f.BAKERY, 700, **limit),
                f.pay(f.HANAKO, f.BAKERY, 301),
                f.pay(f.HANAKO, f.BAKERY, 300),
            ],
        )
    assert outcomes == ["insufficient_funds", FIRST, "insufficient_funds", FIRST]
    assert await ask(region, "SELECT count(*) FROM checkpoint") == (2,), "they were one batch"


@in_processes
async def test_D01_parallel_part_refunds_never_pass_the_payment(region, posting):
    paid = f.pay(f.HANAKO, f.BAKERY, 1000)
    await book(region, f.top_up(f.HANAKO, 1000), f.top_up(f.TARO, 9000), paid, f.pay(f.TARO, f.BAKERY, 9000))
    async with posting(region) as post:
        outcomes = await post([f.refund(paid, 300) for _ in range(20)])
        assert tally(outcomes) == {FIRST: 3, "refund_exceeds_payment": 17}
        assert tally(await post([f.refund(paid, 100), f.refund(paid, 100)])) == {
            FIRST: 1,
            "refund_exceeds_payment": 1,
        }
    assert await balance_of(region, f.lot(f.HANAKO)) == 1000
    assert await balance_of(region, f.takings()) == 9000


async def test_D01_a_refund_and_a_settlement_at_the_same_time_take_no_yen_twice(region):
    paid = f.pay(f.HANAKO, f.BAKERY, 1000)
    await book(region, f.top_up(f.HANAKO, 1000), paid)
    async with in_two_processes(region) as post:
        outcomes = await post([f.settle(), f.refund(paid, 1000), f.settle(), f.refund(paid, 1000)])
    assert tally(outcomes[1::2]) == {FIRST: 1, "refund_exceeds_payment": 1}
    paid_out, owed = await balance_of(region, f.payout()), await balance_of(region, f.receivable())
    assert (paid_out, owed, await balance_of(region, f.takings())) in {(1000, 1000, 0), (0, 0, 0)}
    assert await balance_of(region, f.lot(f.HANAKO)) == 1000


async def test_C18_a_wallet_frozen_while_its_payment_waits_in_the_queue_is_refused(region):
    await make_freeze_table(region)
    await book(region, f.top_up(f.HANAKO, 1000), f.top_up(f.TARO, 1000))
    async with region.bookkeeper(clearance=FreezeClearance()) as bookkeeper:
        assert (await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 1))).entry
        async with book_locked(region):
            waiting = [asyncio.create_task(bookkeeper.post(f.pay(w, f.BAKERY, 100))) for w in (f.HANAKO, f.TARO)]
            await wait_for_waiters(region)
            await freeze(region, f.HANAKO)
        frozen, other = await asyncio.gather(*waiting, return_exceptions=True)
    assert frozen.code == "wallet_frozen_in_tests"
    assert other.entry.transfers


async def test_C18_a_wallet_frozen_while_its_payment_waits_in_another_processes_queue_is_refused(region):
    await make_freeze_table(region)
    await book(region, f.top_up(f.HANAKO, 1000), f.top_up(f.TARO, 1000))
    with BookkeeperProcess(region, "freezes") as process:
        assert await process.post_all([f.pay(f.HANAKO, f.BAKERY, 1)]) == [FIRST]
        async with book_locked(region):
            answers = asyncio.create_task(
                process.post_all([f.pay(f.HANAKO, f.BAKERY, 100), f.pay(f.TARO, f.BAKERY, 100)])
            )
            await wait_for_waiters(region)
            await freeze(region, f.HANAKO)
        assert await answers == ["wallet_frozen_in_tests", FIRST]


async def test_a_freeze_in_the_middle_of_a_stream_stops_all_that_comes_later(region):
    await make_freeze_table(region)
    await book(region, f.top_up(f.HANAKO, 1000))
    with BookkeeperProcess(region, "freezes") as process:
        payments = [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(300)]
        answers = asyncio.create_task(process.post_all(payments))
        await freeze(region, f.HANAKO)
        last_before = (await ask(region, "SELECT seq FROM book"))[0]
        outcomes = await answers
    first_refused = (
        outcomes.index("wallet_frozen_in_tests") if "wallet_frozen_in_tests" in outcomes else len(outcomes)
    )
    assert set(outcomes[first_refused:]) <= {"wallet_frozen_in_tests"}
    # The batch that ran while the freeze was committed may still count; nothing after it.
    booked_later = await ask(
        region, "SELECT count(DISTINCT at) FROM entry WHERE seq > %s AND kind = 'payment'", last_before
    )
    assert booked_later[0] <= 1


async def test_A03_two_terminals_one_code_at_the_same_instant_200_rounds_exactly_one_wins(region):
    await book(region, f.top_up(f.HANAKO, 100_000))
    pairs = [
        [
            f.pay(f.HANAKO, merchant, 100, single_use=f.single_use(f"code {number}"), caller=f"terminal:{merchant}")
            for merchant in (f.BAKERY, f.GREENGROCER)
        ]
        for number in range(200)
    ]
    async with in_two_processes(region) as post:
        # Every pair goes to both processes, and who comes first in which changes.
        outcomes = await post([one for pair in pairs for one in pair])
    assert tally(outcomes) == {FIRST: 200, "code_used": 200}
    for first, second in zip(outcomes[0::2], outcomes[1::2], strict=True):
        assert {first, second} == {FIRST, "code_used"}
    assert await balance_of(region, f.lot(f.HANAKO)) == 80_000


async def test_B01_the_same_instruction_100_times_at_once_makes_one_entry(region):
    await book(region, f.top_up(f.HANAKO, 1000))
    paid = f.pay(f.HANAKO, f.BAKERY, 300)
    async with in_two_processes(region) as post:
        assert tally(await post([paid] * 100)) == {FIRST: 1, REPLAY: 99}
        assert tally(await post([paid] * 10)) == {REPLAY: 10}
    assert await balance_of(region, f.takings()) == 300
