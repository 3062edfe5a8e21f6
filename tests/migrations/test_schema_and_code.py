"""The newest schema says what `ledger.chart` says. Revisions are frozen and can't import it, so this compares."""

import re
from itertools import product

import pytest

from ledger.chart import CEILINGED, FLOWS, LIABILITIES, Funding, Kind
from ledger.instructions import AMOUNT_MAX

PEOPLE = re.compile(r"t\.flow IN \(([^)]*)\)\s*\) THEN\s*PERFORM refuse_batch\('entry_needs_two_people'")


@pytest.fixture
def database(region):
    with region.connect_sync(role="owner") as connection:
        yield connection


def constraint(database, name):
    """The expression of a CHECK, to be evaluated on values of ours."""
    (definition,) = database.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name]
    )
    return definition[0].removeprefix("CHECK ")


def function(database, name):
    (definition,) = database.execute("SELECT pg_get_functiondef(%s::regproc)", [name])
    return definition[0]


def quoted(text):
    return set(re.findall(r"'([a-z_]+)'", text))


def test_C12_the_schemas_chart_is_the_codes_chart_over_all_kinds_and_flows(database):
    rows = database.execute(
        f"""SELECT flow, debit_kind, credit_kind FROM unnest(%s::text[]) flow, unnest(%s::text[]) debit_kind,
                unnest(%s::text[]) credit_kind WHERE {constraint(database, "transfer_flow_is_charted")}""",
        [[*FLOWS, "no_such_flow", ""], list(Kind), list(Kind)],
    ).fetchall()
    assert sorted(rows) == sorted((flow.name, *pair) for flow in FLOWS.values() for pair in flow.pairs)


def test_C12_the_schema_names_no_flow_and_no_kind_that_the_code_does_not_know(database):
    assert quoted(constraint(database, "transfer_flow_is_charted")) == FLOWS.keys() | set(Kind)
    assert quoted(constraint(database, "account_kind_is_charted")) == set(Kind)


def test_C12_a_programme_may_switch_on_exactly_what_its_funding_knows(database):
    rows = database.execute(
        f"""SELECT funding, flow FROM unnest(%s::text[]) funding, unnest(%s::text[]) flow
            WHERE {constraint(database, "programme_flow_fits_funding")}""",
        [list(Funding), [*FLOWS, "no_such_flow"]],
    ).fetchall()
    assert sorted(rows) == sorted(
        (funding, flow.name) for funding, flow in product(Funding, FLOWS.values()) if funding in flow.fundings
    )


def test_V6_what_undoes_what_is_the_codes_chart(database):
    rows = database.execute(
        """SELECT undoing, undone FROM unnest(%s::text[]) undoing, unnest(%s::text[]) undone
           WHERE is_undone_by(undoing, undone)""",
        [[*FLOWS, "no_such_flow"], [*FLOWS, "no_such_flow"]],
    ).fetchall()
    assert sorted(rows) == sorted((flow.name, undone) for flow in FLOWS.values() for undone in flow.undoes)


def test_V6_exactly_the_undoing_flows_must_name_a_line(database):
    rows = database.execute(
        f"""SELECT flow FROM unnest(%s::text[]) flow, (VALUES (1, 1)) line (undoes_seq, undoes_line)
            WHERE {constraint(database, "transfer_undoing_names_its_line")}""",
        [list(FLOWS)],
    ).fetchall()
    assert {row[0] for row in rows} == {flow.name for flow in FLOWS.values() if flow.undoes}


def test_H03_the_flows_of_two_people_are_the_codes(database):
    (found,) = PEOPLE.findall(function(database, "check_transfers"))
    assert quoted(found) == {flow.name for flow in FLOWS.values() if flow.needs_two_people}


def test_F08_only_what_is_no_use_of_value_may_leave_a_lot_after_its_day(database):
    body = function(database, "check_transfers")
    (found,) = re.findall(
        r"t\.flow NOT IN \(([^)]*)\)\s*\) THEN\s*PERFORM refuse_batch\('transfer_value_is_alive'", body
    )
    from_wallets = {flow.name for flow in FLOWS.values() if any(debit is Kind.WALLET for debit, _ in flow.pairs)}
    assert quoted(found) == {"expire", "bonus_back", "benefit_back", "gift_back"} < from_wallets


def test_V3_the_accounts_that_may_not_be_overdrawn_are_the_credit_side(database):
    rows = database.execute(
        f"""SELECT kind FROM unnest(%s::text[]) kind, (VALUES (0, 1, 0)) c (credits, debits, held)
            WHERE NOT ({constraint(database, "account_is_not_overdrawn")})""",
        [list(Kind)],
    ).fetchall()
    assert {row[0] for row in rows} == LIABILITIES


def test_the_accounts_with_a_ceiling_are_the_codes(database):
    rows = database.execute(
        f"""SELECT kind FROM unnest(%s::text[]) kind, (VALUES (0, 0, NULL::bigint)) c (credits, debits, ceiling)
            WHERE NOT ({constraint(database, "account_ceiling_is_kept")})""",
        [list(Kind)],
    ).fetchall()
    assert {row[0] for row in rows} == CEILINGED


@pytest.mark.parametrize("name", ["transfer_amount_is_positive", "hold_movement_amount_is_positive"])
def test_C06_amounts_have_the_codes_range(database, name):
    rows = database.execute(
        f"SELECT amount FROM unnest(%s::bigint[]) amount WHERE {constraint(database, name)}",
        [[-1, 0, 1, AMOUNT_MAX, AMOUNT_MAX + 1, 2**63 - 1]],
    ).fetchall()
    assert [row[0] for row in rows] == [1, AMOUNT_MAX]
