"""Up, down and up again: a schema is at its revision whole or as it was, and data keeps its balances."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from currency.regions.commands import RegionExists
from currency.regions.queries import read_regions
from database.connections import region_schema
from database.engines import open_engine
from ledger.programme_commands import open_programme
from ledger.trial_balance import read_trial_balances
from migrations.upgrading import (
    SchemaOutdated,
    create_region,
    current_revision,
    newest_revision,
    require_newest,
    upgrade_all,
    upgrade_region,
    upgrade_shared,
)
from tests.ledger import ledger_factories as f
from tests.ledger.random_history import live_through
from tests.region_under_test import PREMIUM, TWO_PEOPLE, YEN, RegionUnderTest

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BOOK, MARKS = "2026_11_23_book", "2026_11_23_marks"


def region_of(urls, code):
    return RegionUnderTest(urls, urls.owner, code=code)


def revision_of(urls, code):
    with open_engine(urls.owner).connect() as connection:
        return current_revision(connection, region_schema(code))


def schema_of(urls, code):
    """All that a schema consists of, as the catalogue tells it: to compare two of them."""
    with psycopg.connect(urls.owner) as connection:
        connection.execute(f'SET search_path = "{region_schema(code)}"')
        return {
            name: sorted(connection.execute(query, [region_schema(code)]).fetchall())
            for name, query in {
                "columns": """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                                  coalesce(pg_get_expr(d.adbin, d.adrelid), ''), c.reloptions::text,
                                  coalesce(a.attacl::text, ''), coalesce(c.relacl::text, '')
                              FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
                              LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
                              WHERE relnamespace = %s::regnamespace AND attnum > 0 AND relkind = 'r'""",
                "constraints": """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
                                  FROM pg_constraint WHERE connamespace = %s::regnamespace""",
                "indexes": """SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %s""",
                "functions": """SELECT proname, pg_get_functiondef(oid), coalesce(proacl::text, '') FROM pg_proc
                                WHERE pronamespace = %s::regnamespace""",
                "triggers": """SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t
                               JOIN pg_class c ON c.oid = tgrelid
                               WHERE relnamespace = %s::regnamespace AND NOT tgisinternal""",
            }.items()
        }


@pytest.fixture
def urls(empty_database):
    return empty_database


@pytest.fixture
def komorebi(urls):
    """A region whose schema is the newest, with an empty book and no programme."""
    create_region(urls, code="komorebi", name="こもれび市", now=NOW)
    return region_of(urls, "komorebi")


def test_a_new_region_is_at_the_newest_revision(urls, komorebi):
    assert komorebi.code == "komorebi"
    assert revision_of(urls, "komorebi") == newest_revision("region") == MARKS
    require_newest(urls, "komorebi")
    assert [(one.code, one.name, one.created_at) for one in read_regions(urls.application)] == [
        ("komorebi", "こもれび市", NOW)
    ]


def test_G09_up_down_and_up_makes_the_same_schema(urls, komorebi):
    assert komorebi.code == "komorebi"
    first = schema_of(urls, "komorebi")
    assert len(first["functions"]) > 10
    for down_to in (BOOK, "base"):
        down = upgrade_region(urls, "komorebi", revision=down_to)
        assert (down.before, down.error) == (MARKS, None)
        assert down.after == (None if down_to == "base" else down_to)
        up = upgrade_region(urls, "komorebi")
        assert (up.before, up.after, up.error) == (down.after, MARKS, None)
        second = schema_of(urls, "komorebi")
        for part, rows in first.items():
            assert second[part] == rows, part


def test_G09_down_to_nothing_leaves_nothing(urls, komorebi):
    assert komorebi.code == "komorebi"
    upgrade_region(urls, "komorebi", revision="base")
    left = schema_of(urls, "komorebi")
    assert {row[0] for row in left["columns"]} == {"alembic_version"}
    assert left["functions"] == left["triggers"] == []


def test_an_upgrade_of_what_is_newest_does_nothing(urls, komorebi):
    assert komorebi.code == "komorebi"
    upgrade = upgrade_region(urls, "komorebi")
    assert (upgrade.before, upgrade.after, upgrade.error) == (MARKS, MARKS, None)
    assert upgrade_shared(urls).before == upgrade_shared(urls).after


def test_a_schema_that_is_not_newest_is_not_worked_on(urls, komorebi):
    assert komorebi.code == "komorebi"
    upgrade_region(urls, "komorebi", revision=BOOK)
    with pytest.raises(SchemaOutdated) as outdated:
        require_newest(urls, "komorebi")
    assert outdated.value.schema == "region_komorebi"


# --- With data ----------------------------------------------------------------------------------------------------


async def fill(region, *, seed):
    async with region.connect() as connection:
        for terms in (YEN, PREMIUM):
            await open_programme(connection, terms, people=TWO_PEOPLE, at=NOW)
    await live_through(region, seed=seed)


async def trial_balances(region):
    async with region.connect() as connection:
        return await read_trial_balances(connection)


async def marks(region):
    async with region.connect() as connection:
        return await (await connection.execute("SELECT * FROM account_mark ORDER BY account, seq")).fetchall()


def test_G09_data_keeps_its_balances_and_the_marks_made_anew_are_those_that_posting_wrote(urls, komorebi):
    asyncio.run(fill(komorebi, seed=23))
    balances, written = asyncio.run(trial_balances(komorebi)), asyncio.run(marks(komorebi))
    assert len(written) >= 2
    assert upgrade_region(urls, "komorebi", revision=BOOK).error is None
    assert asyncio.run(trial_balances(komorebi)) == balances
    assert upgrade_region(urls, "komorebi").error is None
    assert asyncio.run(marks(komorebi)) == written
    assert asyncio.run(trial_balances(komorebi)) == balances
    assert asyncio.run(komorebi.verify()).is_clean


def test_G09_what_is_booked_before_the_marks_came_and_after_makes_one_book(urls, komorebi):
    upgrade_region(urls, "komorebi", revision=BOOK)
    asyncio.run(fill(komorebi, seed=5))
    assert upgrade_region(urls, "komorebi").error is None
    before = asyncio.run(marks(komorebi))
    asyncio.run(live_through(komorebi, seed=6))
    after = asyncio.run(marks(komorebi))
    assert set(before) < set(after)
    assert asyncio.run(komorebi.verify()).is_clean
    # Made anew in one go, they are the same.
    upgrade_region(urls, "komorebi", revision=BOOK)
    upgrade_region(urls, "komorebi")
    assert asyncio.run(marks(komorebi)) == after


def test_C13_a_book_with_entries_cant_be_taken_back(urls, komorebi):
    async def one_entry():
        async with komorebi.connect() as connection:
            await open_programme(connection, YEN, people=TWO_PEOPLE, at=NOW)
        async with komorebi.bookkeeper() as bookkeeper:
            await bookkeeper.post(f.top_up(f.HANAKO, 1))

    asyncio.run(one_entry())
    upgrade = upgrade_region(urls, "komorebi", revision="base")
    assert "can't be taken back" in upgrade.error
    assert upgrade.before == upgrade.after == MARKS == revision_of(urls, "komorebi")
    assert asyncio.run(komorebi.verify()).is_clean


# --- Many regions -------------------------------------------------------------------------------------------------


def three_old_regions(urls):
    for code in ("aoba", "komorebi", "minato"):
        create_region(urls, code=code, name=code, now=NOW)
        upgrade_region(urls, code, revision=BOOK)


def test_a_region_that_fails_stays_as_it_was_and_the_others_go_on(urls):
    three_old_regions(urls)
    with psycopg.connect(urls.owner) as connection:
        # In the way of the revision's own table.
        connection.execute("CREATE TABLE region_komorebi.account_mark (in_the_way int)")
    before = schema_of(urls, "komorebi")
    upgrades = {one.schema: one for one in upgrade_all(urls)}
    assert list(upgrades) == ["meguri", "region_aoba", "region_komorebi", "region_minato"]
    assert [upgrades[f"region_{code}"].after for code in ("aoba", "komorebi", "minato")] == [MARKS, BOOK, MARKS]
    failed = upgrades["region_komorebi"]
    assert failed.before == BOOK
    assert "account_mark" in failed.error
    assert [one.error for one in upgrades.values() if one is not failed] == [None] * 3
    assert schema_of(urls, "komorebi") == before
    with psycopg.connect(urls.owner) as connection:
        connection.execute("DROP TABLE region_komorebi.account_mark")
    assert {one.schema: one.error for one in upgrade_all(urls)} == dict.fromkeys(upgrades)
    require_newest(urls, "komorebi")


def test_a_region_that_is_in_use_is_given_up_after_four_seconds_and_payments_go_on(urls):
    three_old_regions(urls)
    with psycopg.connect(urls.owner) as reader:
        reader.execute("LOCK TABLE region_komorebi.account IN ACCESS EXCLUSIVE MODE")
        upgrades = {one.schema: one for one in upgrade_all(urls)}
    assert "lock timeout" in upgrades["region_komorebi"].error
    assert revision_of(urls, "komorebi") == BOOK
    assert revision_of(urls, "minato") == MARKS


def test_regions_do_not_see_each_other(urls):
    for code in ("aoba", "minato"):
        create_region(urls, code=code, name=code, now=NOW)
    upgrade_region(urls, "aoba", revision="base")
    assert revision_of(urls, "minato") == MARKS
    assert asyncio.run(region_of(urls, "minato").verify()).is_clean


def test_a_region_is_made_whole_or_not_at_all(urls, komorebi):
    assert komorebi.code == "komorebi"
    with pytest.raises(RegionExists):
        create_region(urls, code="komorebi", name="もうひとつ", now=NOW)
    with psycopg.connect(urls.owner) as connection:
        connection.execute("CREATE SCHEMA region_minato")
    with pytest.raises(ProgrammingError, match="region_minato"):
        create_region(urls, code="minato", name="みなと市", now=NOW)
    assert [one.code for one in read_regions(urls.application)] == ["komorebi"]


def test_codes_that_would_share_a_schema_can_be_told_apart(urls):
    """`-` is the only character that changes, and `_` is none that a code may have."""
    create_region(urls, code="ao-ba", name="a", now=NOW)
    assert revision_of(urls, "ao-ba") == MARKS
    assert asyncio.run(region_of(urls, "ao-ba").verify()).is_clean
