"""The chart of accounts: nothing but what was meant, and no way from a wallet to its holder's bank."""

from collections.abc import Iterator, Mapping

import pytest

from ledger.accounts import Account, AccountKey
from ledger.chart import ASSETS, FLOWS, FOREIGN_KIND, LIABILITIES, OFF_BY_DEFAULT, Flow, Funding, Kind, flows_of
from ledger.entries import Entry
from ledger.planner import plan
from ledger.state import State
from tests.ledger.ledger_factories import TWO_PEOPLE, grant, move, new_state, person, yen
from tests.properties.naive_model import DRAWN, UNDOES, WAYS
from tests.properties.naive_model import TWO_PEOPLE as BY_TWO

Path = tuple[tuple[str, Kind], ...]
EXITS = {"top_up_cancel", "lawful_return"}
FUNDINGS = pytest.mark.parametrize("funding", list(Funding))


def paths_from_wallet(flows: Mapping[str, Flow], funding: Funding) -> Iterator[Path]:
    """Every way on from a wallet, breadth first: (flow, where it leads), again and again, no kind twice.

    An asset or `difference` ends a path.
    """
    queue: list[Path] = [()]
    for path in queue:
        here = path[-1][1] if path else Kind.WALLET
        been = {Kind.WALLET, *(kind for _, kind in path)}
        for flow in flows.values():
            for debit, credit in flow.pairs:
                if debit is not here or credit in been or not flow.allows(funding, debit, credit):
                    continue
                longer = (*path, (flow.name, credit))
                yield longer
                if credit not in ASSETS and credit is not Kind.DIFFERENCE:
                    queue.append(longer)


def is_lawful(path: Path) -> bool:
    """Whether a path from a wallet is one that is meant."""
    flows = [flow for flow, _ in path]
    kinds = [kind for _, kind in path]
    if Kind.TAKINGS in kinds:
        return kinds[0] is Kind.TAKINGS and flows[0] == "payment"
    match kinds[-1]:
        case Kind.RESERVE:
            return (len(flows) == 1 and flows[0] in EXITS) or flows == ["expire", "release"]
        case Kind.GRANT:
            return flows == ["expire", "release"] or (
                len(flows) == 2 and flows[0] in {"bonus_back", "benefit_back"} and flows[1] == "unfund"
            )
        case Kind.RISK:
            return flows == ["overlap_back"]
        case Kind.PAYOUT | Kind.RECEIVABLE | Kind.DIFFERENCE:
            return False
        case _:
            return True


def unlawful(flows: Mapping[str, Flow], funding: Funding) -> list[Path]:
    return [path for path in paths_from_wallet(flows, funding) if not is_lawful(path)]


@FUNDINGS
def test_V9_J01_no_path_leads_from_a_wallet_to_its_holders_bank(funding):
    assert unlawful(FLOWS, funding) == []


@FUNDINGS
def test_V9_the_search_does_see_the_ways_that_are_allowed(funding):
    ends = {kind for path in paths_from_wallet(FLOWS, funding) for _, kind in path}
    assert {Kind.TAKINGS, Kind.PAYOUT, Kind.EXPIRED, Kind.RISK} <= ends
    assert Kind(funding if funding is Funding.GRANT else "reserve") in ends


@pytest.mark.parametrize(
    ("debit", "credit"),
    [
        (Kind.WALLET, Kind.RESERVE),
        (Kind.WALLET, Kind.PAYOUT),
        (Kind.WALLET, Kind.FLOAT),
        (Kind.WALLET, Kind.SUSPENSE),
        (Kind.WALLET, Kind.POT),
        (Kind.WALLET, Kind.RECEIVABLE),
        (Kind.WALLET, Kind.DIFFERENCE),
        (Kind.EXPIRED, Kind.PAYOUT),
        (Kind.EXPIRED, Kind.TAKINGS),
        (Kind.EXPIRED, Kind.FLOAT),
        (Kind.EXPIRED, Kind.SUSPENSE),
        (Kind.WALLET, Kind.TAKINGS),
    ],
)
def test_V9_a_planted_wrong_flow_is_found(debit, credit):
    planted = {**FLOWS, "planted": Flow("planted", ((debit, credit),))}
    assert any("planted" in dict(path) for path in unlawful(planted, Funding.YEN))


@pytest.mark.parametrize("credit", [Kind.GRANT, Kind.PAYOUT])
def test_V9_a_planted_wrong_flow_is_found_in_a_grant_programme(credit):
    planted = {**FLOWS, "planted": Flow("planted", ((Kind.WALLET, credit),))}
    assert unlawful(planted, Funding.GRANT)


def test_the_chart_is_the_one_written_by_hand():
    assert set(FLOWS) == set(WAYS)
    assert {name for name, flow in FLOWS.items() if flow.needs_two_people} == BY_TWO
    assert {name: set(flow.undoes) for name, flow in FLOWS.items() if flow.undoes} == UNDOES
    assert all(flow.name == name for name, flow in FLOWS.items())


@FUNDINGS
def test_every_kind_to_every_kind_by_every_flow_is_allowed_as_written_by_hand(funding):
    for name, flow in FLOWS.items():
        for debit in Kind:
            for credit in Kind:
                assert flow.allows(funding, debit, credit) == ((str(funding), debit, credit) in WAYS[name])


def test_a_mirror_goes_back_the_way_the_value_came():
    # The other two: a merchant's debt stands in for his takings, and cash for an agent's stock.
    mirrors = {name: flow for name, flow in FLOWS.items() if flow.undoes}
    assert {"refund_advance", "top_up_cancel"} < set(mirrors)
    for name in set(mirrors) - {"refund_advance", "top_up_cancel"}:
        undone = {(credit, debit) for of in mirrors[name].undoes for debit, credit in FLOWS[of].pairs}
        assert set(mirrors[name].pairs) == undone


def test_every_kind_stands_on_one_side_but_difference():
    assert ASSETS | LIABILITIES | {Kind.DIFFERENCE} == set(Kind)
    assert ASSETS.isdisjoint(LIABILITIES)
    assert Kind.DIFFERENCE not in ASSETS | LIABILITIES


@FUNDINGS
def test_a_funding_knows_only_its_own_flows_and_kinds(funding):
    of_this = {name for name, ways in WAYS.items() if any(way[0] == funding for way in ways)}
    assert set(flows_of(funding)) == of_this
    assert not any(FOREIGN_KIND[funding] in way[1:] for ways in WAYS.values() for way in ways if way[0] == funding)


def test_only_the_lawful_return_is_off_until_two_people_switch_it_on():
    assert set(OFF_BY_DEFAULT) == {"lawful_return"}


def rich_state(funding: Funding) -> State:
    """A state in which every account has plenty, and every flow is on."""
    terms = {"receivable_max": 10_000, "risk_max": 10_000}
    programme = yen("all", also=("lawful_return",), **terms) if funding is Funding.YEN else grant("all", **terms)
    state = new_state(programme)
    for number, (kind, side) in enumerate(((k, s) for k in Kind for s in ("debit", "credit")), start=1):
        if kind is FOREIGN_KIND[funding]:
            continue
        is_asset = kind in ASSETS
        ceiling = 10_000 if kind in {Kind.RECEIVABLE, Kind.RISK} else None
        key = account_of(kind, side)
        state.add_account(Account(number, key, 5000 if is_asset else 0, 0 if is_asset else 5000, 0, ceiling))
    return state


def account_of(kind: Kind, side: str) -> AccountKey:
    return AccountKey(kind, person(f"{kind} {side}"), "all")


@FUNDINGS
def test_J01_C10_every_move_between_every_two_kinds_is_booked_or_refused_as_the_chart_says(funding):
    state = rich_state(funding)
    for name in [*FLOWS, "unheard_of"]:
        for debit in Kind:
            for credit in Kind:
                asked = move(name, account_of(debit, "debit"), account_of(credit, "credit"), 100, **TWO_PEOPLE)
                planned = plan(state, asked)
                if name in UNDOES or name in DRAWN | {"settle", "expire", "succession"}:
                    expected = "request_invalid"
                elif (str(funding), debit, credit) in WAYS.get(name, ()):
                    # The two accounts have two holders; only a merchant's own takings pay what he owes.
                    expected = "request_invalid" if name == "recover" else "booked"
                else:
                    expected = "flow_off"
                assert ("booked" if isinstance(planned, Entry) else planned.code) == expected


@FUNDINGS
def test_a_flow_that_needs_two_people_is_refused_for_one(funding):
    state = rich_state(funding)
    for name in BY_TWO - set(UNDOES) - DRAWN - {"succession"}:
        for of, debit, credit in WAYS[name]:
            if of == funding:
                asked = move(name, account_of(Kind(debit), "debit"), account_of(Kind(credit), "credit"), 100)
                assert plan(state, asked).code == "second_person_needed"
