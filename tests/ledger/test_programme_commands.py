"""Opening programmes, switching their flows, closing the book: by two people, from the next batch on everywhere."""

import asyncio
from uuid import uuid4

import pytest

from ledger.book import list_programmes, read_book
from ledger.chart import FLOWS, OFF_BY_DEFAULT, Funding, flows_of
from ledger.programme_commands import open_or_close_book, open_programme, switch_flow
from ledger.programmes import ExpiryBucket, ProgrammeTerms, TwoPeople
from ledger.refusals import FlowOff, InstructionInvalid, NotFound, RegionClosed, SecondPersonNeeded
from tests.ledger import ledger_factories as f
from tests.races.racing import FIRST, BookkeeperProcess, ask, book_locked, post_all, wait_for_waiters
from tests.region_under_test import TWO_PEOPLE

pytestmark = pytest.mark.anyio
ALONE = TwoPeople(f.CLERK, f.CLERK)
TERMS = {"code": "childcare", "funding": Funding.GRANT}


async def programme(connection, code):
    return {one.code: one for one in await list_programmes(connection)}[code]


async def test_a_programme_has_the_terms_it_was_opened_with(region):
    terms = ProgrammeTerms(
        code="childcare-2026",
        funding=Funding.GRANT,
        rank=3,
        expiry_bucket=ExpiryBucket.PREVIOUS_MONTH_END,
        extension_days_max=17,
        receivable_max=123,
        risk_max=45,
    )
    async with region.connect() as connection:
        await open_programme(connection, terms, people=TWO_PEOPLE, at=f.NOON)
        made = await programme(connection, terms.code)
    assert {name: getattr(made, name) for name in ProgrammeTerms.__slots__} == {
        name: getattr(terms, name) for name in ProgrammeTerms.__slots__
    }
    assert made.id == 3


@pytest.mark.parametrize("funding", Funding)
async def test_by_default_every_flow_of_its_funding_is_on_but_the_lawful_return(region, funding):
    async with region.connect() as connection:
        await open_programme(connection, ProgrammeTerms(code="new", funding=funding), people=TWO_PEOPLE, at=f.NOON)
        made = await programme(connection, "new")
        assert made.flows == set(flows_of(funding)) - OFF_BY_DEFAULT
        cursor = await connection.execute(
            "SELECT count(*), count(DISTINCT flow), bool_and(is_on) FROM programme_flow_change WHERE programme = 3"
        )
        assert await cursor.fetchone() == (len(made.flows), len(made.flows), True)


async def test_only_the_chosen_flows_are_on(region):
    async with region.connect() as connection:
        await open_programme(
            connection, ProgrammeTerms(**TERMS), people=TWO_PEOPLE, at=f.NOON, flows=("fund", "benefit", "payment")
        )
        assert (await programme(connection, "childcare")).flows == {"fund", "benefit", "payment"}


@pytest.mark.parametrize("flow", ["top_up", "lawful_return", "no_such_flow", ""])
async def test_C12_a_flow_of_the_other_funding_makes_no_programme_at_all(region, flow):
    async with region.connect() as connection:
        with pytest.raises(FlowOff) as refused:
            await open_programme(
                connection, ProgrammeTerms(**TERMS), people=TWO_PEOPLE, at=f.NOON, flows=("payment", flow)
            )
        assert refused.value.facts() == {"flow": flow, "programme": "childcare"}
        assert len(await list_programmes(connection)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"code": "yen"},
        {"code": "Childcare"},
        {"code": ""},
        {"code": "x" * 33},
        {"code": "子育て"},
        {"rank": -1},
        {"rank": 40_000},
        {"rank": 2**31},
        {"extension_days_max": -1},
        {"receivable_max": -1},
        {"risk_max": 2**63},
    ],
    ids=str,
)
async def test_terms_out_of_range_are_refused_and_leave_nothing(region, change):
    async with region.connect() as connection:
        before = await read_book(connection)
        with pytest.raises(InstructionInvalid):
            await open_programme(connection, ProgrammeTerms(**TERMS | change), people=TWO_PEOPLE, at=f.NOON)
        assert len(await list_programmes(connection)) == 2
        assert await read_book(connection) == before


async def test_H03_nobody_decides_alone(region):
    async with region.connect() as connection:
        before = await list_programmes(connection), await read_book(connection)
        for alone in (
            open_programme(connection, ProgrammeTerms(**TERMS), people=ALONE, at=f.NOON),
            switch_flow(connection, "yen", "gift", is_on=False, people=ALONE, at=f.NOON),
            open_or_close_book(connection, is_open=False, people=ALONE, at=f.NOON),
        ):
            with pytest.raises(SecondPersonNeeded):
                await alone
        assert (await list_programmes(connection), await read_book(connection)) == before


async def test_a_switch_names_who_when_and_keeps_the_history(region):
    async with region.connect() as connection:
        for is_on in (False, True, False):
            await switch_flow(connection, "yen", "gift", is_on=is_on, people=TWO_PEOPLE, at=f.NOON)
        cursor = await connection.execute(
            """SELECT is_on, ordered_by, approved_by, changed_at FROM programme_flow_change
               WHERE programme = 1 AND flow = 'gift' ORDER BY id"""
        )
        changes = await cursor.fetchall()
        assert [change[0] for change in changes] == [True, False, True, False]
        assert changes[-1][1:] == (*TWO_PEOPLE, f.NOON)
        assert "gift" not in (await programme(connection, "yen")).flows


async def test_what_does_not_exist_cant_be_switched(region):
    async with region.connect() as connection:
        with pytest.raises(NotFound):
            await switch_flow(connection, "gold", "gift", is_on=True, people=TWO_PEOPLE, at=f.NOON)
        for flow in ("bonus", "no_such_flow"):
            with pytest.raises(FlowOff):
                await switch_flow(connection, "yen", flow, is_on=True, people=TWO_PEOPLE, at=f.NOON)
        await switch_flow(connection, "yen", "gift", is_on=False, people=TWO_PEOPLE, at=f.NOON)


async def test_C12_every_flow_of_the_chart_can_be_switched_exactly_where_its_funding_knows_it(region):
    async with region.connect() as connection:
        for code, funding in (("yen", Funding.YEN), ("premium", Funding.GRANT)):
            for flow in FLOWS.values():
                switching = switch_flow(connection, code, flow.name, is_on=True, people=TWO_PEOPLE, at=f.NOON)
                if funding in flow.fundings:
                    await switching
                else:
                    with pytest.raises(FlowOff):
                        await switching


async def test_a_switch_counts_from_the_next_batch_also_in_a_process_that_has_seen_the_flow_on(region):
    def pay():
        return f.pay(f.HANAKO, f.BAKERY, 1, programmes=("yen",))

    with BookkeeperProcess(region) as other:
        assert await other.post_all([f.top_up(f.HANAKO, 100), pay()]) == [FIRST, FIRST]
        async with region.connect() as connection:
            async with book_locked(region):
                waiting = asyncio.create_task(other.post_all([pay()]))
                await wait_for_waiters(region)
                switching = asyncio.create_task(
                    switch_flow(connection, "yen", "payment", is_on=False, people=TWO_PEOPLE, at=f.NOON)
                )
                await wait_for_switch(region)
            # The payment stood first in the queue for the lock.
            assert await waiting == [FIRST]
            await switching
            assert await other.post_all([pay()]) == ["flow_off"]
            await switch_flow(connection, "yen", "payment", is_on=True, people=TWO_PEOPLE, at=f.NOON)
            assert await other.post_all([pay()]) == [FIRST]


async def wait_for_switch(region):
    async with region.connect(role="superuser") as connection, asyncio.timeout(20):
        await connection.set_autocommit(True)
        question = """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'SELECT switch_flow%'"""
        while (await (await connection.execute(question)).fetchone()) == (0,):  # noqa: ASYNC110 - the server's event
            await asyncio.sleep(0.01)


async def test_a_programme_opened_now_is_used_by_a_bookkeeper_that_runs(region):
    async with region.bookkeeper() as bookkeeper, region.connect() as connection:
        funding = f.fund(100, programme="childcare")
        assert await post_all(bookkeeper, [funding, f.top_up(f.HANAKO, 1)]) == ["not_found", FIRST]
        await open_programme(connection, ProgrammeTerms(**TERMS), people=TWO_PEOPLE, at=f.NOON)
        assert await post_all(bookkeeper, [funding]) == ["not_found"], "the first answer stays"
        assert await post_all(bookkeeper, [f.fund(100, programme="childcare")]) == [FIRST]


async def test_a_closed_book_takes_nothing_but_programmes_may_be_prepared(region):
    async with region.bookkeeper() as bookkeeper, region.connect() as connection:
        await open_or_close_book(connection, is_open=False, people=TWO_PEOPLE, at=f.NOON)
        assert not (await read_book(connection)).is_open
        with pytest.raises(RegionClosed):
            await bookkeeper.post(f.top_up(f.HANAKO, 1))
        await open_programme(connection, ProgrammeTerms(**TERMS), people=TWO_PEOPLE, at=f.NOON)
    assert await ask(region, "SELECT seq FROM book") == (0,)


async def test_two_who_open_the_same_programme_at_once_open_one(region):
    async with region.connect() as one, region.connect() as other:
        outcomes = await asyncio.gather(
            *(
                open_programme(connection, ProgrammeTerms(**TERMS), people=TwoPeople(uuid4(), uuid4()), at=f.NOON)
                for connection in (one, other)
            ),
            return_exceptions=True,
        )
    assert sorted(type(one).__name__ for one in outcomes) == ["InstructionInvalid", "NoneType"]
