"""The list of regions: codes, names, and that nothing but a well-formed, new one gets on it."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

from currency.regions.commands import RegionCodeInvalid, RegionExists, RegionNameInvalid, register_region
from currency.regions.queries import RegionUnknown, find_region, get_region, list_regions, read_regions
from currency.regions.tables import RegionRow
from database.engines import open_engine
from migrations.upgrading import upgrade_shared

NOW = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)


@pytest.fixture
def connection(empty_database):
    upgrade_shared(empty_database)
    with open_engine(empty_database.owner).begin() as connection:
        yield connection


def register(connection, code="komorebi", name="こもれび市"):
    return register_region(connection, code=code, name=name, now=NOW)


def test_a_region_is_found_as_it_was_registered(connection):
    region = register(connection)
    assert (region.code, region.name, region.created_at) == ("komorebi", "こもれび市", NOW)
    assert find_region(connection, "komorebi") == get_region(connection, "komorebi") == region


def test_regions_are_listed_by_code(connection):
    for code in ("minato", "aoba", "komorebi"):
        register(connection, code)
    assert [one.code for one in list_regions(connection)] == ["aoba", "komorebi", "minato"]


def test_one_that_does_not_exist_is_none_or_a_refusal(connection):
    assert find_region(connection, "atlantis") is None
    with pytest.raises(RegionUnknown) as unknown:
        get_region(connection, "atlantis")
    assert unknown.value.facts() == {"region": "atlantis"}


def test_a_code_is_taken_once(connection):
    register(connection)
    with pytest.raises(RegionExists) as taken:
        register(connection, name="もうひとつ")
    assert taken.value.region == "komorebi"
    assert [one.name for one in list_regions(connection)] == ["こもれび市"]


@pytest.mark.parametrize(
    "code",
    [
        "",
        "a",
        "a" * 33,
        "Komorebi",
        "komo_rebi",
        "komo rebi",
        "こもれび",
        "komorebi\n",
        "komo.rebi",
        "ａｂｃ",
        "a'b",
        'a"b',
    ],
)
def test_a_code_of_another_form_is_refused(connection, code):
    with pytest.raises(RegionCodeInvalid):
        register(connection, code)


@pytest.mark.parametrize("code", ["ab", "a" * 32, "ao-ba", "13", "-a"])
def test_a_code_of_the_right_form_is_taken(connection, code):
    assert register(connection, code).code == code


@pytest.mark.parametrize(
    "name", ["", " ", "\u3000", "a" * 101, "a\x00b", "a\nb", "a\u200bb", "a\u202eb", "a\ud800b"]
)
def test_H12_a_name_that_cant_be_seen_is_refused(connection, name):
    with pytest.raises(RegionNameInvalid):
        register(connection, name=name)


def test_a_name_is_kept_composed_and_without_margins(connection):
    # か and a combining voiced mark, which look like one character.
    assert register(connection, name=" か\u3099す市 ").name == "がす市"


def test_the_database_refuses_what_the_code_would(connection):
    for code, name in (("Komorebi", "x"), ("a", "x"), ("komorebi", ""), ("komorebi", "x" * 101)):
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(RegionRow.__table__.insert().values(code=code, name=name, created_at=NOW))


def test_the_application_reads_the_list_and_does_not_write_it(empty_database):
    assert read_regions(empty_database.application) == [], "a database in which no region was ever made has none"
    upgrade_shared(empty_database)
    assert read_regions(empty_database.application) == []
    with (
        open_engine(empty_database.application).connect() as connection,
        pytest.raises(Exception, match="permission denied"),
    ):
        register(connection)
