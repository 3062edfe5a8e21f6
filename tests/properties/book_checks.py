"""What must hold of every book: the scenarios' V1 to V8, and what the database's CHECKs and functions demand.

Everything is added up again from the entries, never read from the state that is being judged.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

from ledger.accounts import Account, AccountKey
from ledger.entries import Booked, Entry, Line, Transfer, entry_bytes, first_hash
from ledger.programmes import Programme
from ledger.refusals import IdGivenUp
from ledger.state import Refused, Settled, State
from tests.properties.naive_model import AFTER_THE_END, ASSETS, LIABILITIES, TWO_PEOPLE, UNDOES, WAYS

AMOUNT_MAX = 999_999_999_999


def snapshot(state: State) -> str:
    """All that a state says, as text: equal snapshots, equal states."""
    return repr({field.name: getattr(state, field.name) for field in dataclasses.fields(state)})


def without_answer(state: State, instruction_id: object) -> str:
    """A snapshot that leaves out what became of one instruction."""
    known = dict(state.instructions)
    known.pop(instruction_id, None)
    return snapshot(dataclasses.replace(state, instructions=known))


# --- Every entry ------------------------------------------------------------------------------------------------


def check_entry(entry: Entry, state: State, entries: Sequence[Entry]) -> None:
    """An entry fits the chart, the flows that are on, and every CHECK of the journal."""
    assert entry.transfers or entry.hold_movements
    assert entry.ordered_by is None or entry.ordered_by != entry.approved_by
    for transfer in entry.transfers:
        _check_transfer(entry, transfer, state.programmes, state.today)
    for movement in entry.hold_movements:
        assert 1 <= movement.amount <= AMOUNT_MAX
    for counted in entry.limit_counts:
        assert counted.amount != 0
    _check_undoing(entry, state.programmes, entries)
    _check_no_ended_value_arrives(entry, state.today)


def _check_transfer(entry: Entry, transfer: Transfer, programmes: Mapping[str, Programme], today: date) -> None:
    debit, credit = transfer.debit, transfer.credit
    programme = programmes[debit.programme]
    assert 1 <= transfer.amount <= AMOUNT_MAX
    assert debit != credit
    assert debit.programme == credit.programme
    assert (str(programme.funding), debit.kind, credit.kind) in WAYS[transfer.flow]
    assert transfer.flow in programme.flows
    for key in (debit, credit):
        assert key.kind == "wallet" or (key.expires_on is None and not key.grace)
        assert not key.grace or key.expires_on
    if transfer.flow in TWO_PEOPLE:
        assert entry.ordered_by
        assert entry.approved_by
    if debit.kind == "wallet" and debit.expires_on and debit.expires_on < today:
        assert transfer.flow in AFTER_THE_END
    if debit.kind == credit.kind == "wallet":
        assert debit[3:] == credit[3:]
    assert (transfer.flow in UNDOES) == (transfer.undoes is not None)


def _check_undoing(entry: Entry, programmes: Mapping[str, Programme], entries: Sequence[Entry]) -> None:
    for transfer in entry.transfers:
        if transfer.undoes is None:
            continue
        done = entries[transfer.undoes.seq - 1].transfers[transfer.undoes.line - 1]
        assert done.flow in UNDOES[transfer.flow]
        stands_in = transfer.flow == "refund_advance" and transfer.debit.holder == done.credit.holder
        assert transfer.debit == done.credit or stands_in
        into, out_of = transfer.credit, done.debit
        is_agents_sale = done.flow == "float_sell" and into.holder == out_of.holder
        if into == out_of or is_agents_sale:
            continue
        # Only what had ended comes back into another lot: once, and never past its last legal day.
        assert into[:3] == out_of[:3]
        assert into.grace
        assert not out_of.grace
        extension = programmes[into.programme].extension_days_max
        assert extension is None or into.expires_on <= out_of.expires_on + timedelta(days=extension)


def _check_no_ended_value_arrives(entry: Entry, today: date) -> None:
    arrived: dict[AccountKey, int] = defaultdict(int)
    for transfer in entry.transfers:
        for key, amount in ((transfer.credit, transfer.amount), (transfer.debit, -transfer.amount)):
            if key.kind == "wallet" and key.expires_on and key.expires_on < today and transfer.flow != "gift_back":
                arrived[key] += amount
    assert all(amount <= 0 for amount in arrived.values())


# --- The whole book ---------------------------------------------------------------------------------------------


def check_book(state: State, booked: Sequence[Booked]) -> None:
    """V1 to V8 over the whole book, added up again from its entries."""
    entries = [one.entry for one in booked]
    check_chain(state, booked)
    accounts = _rebuild_accounts(entries, state.programmes)
    _check_balances(accounts)
    assert accounts == state.accounts
    assert state.account_id == len(accounts)
    _check_undone(state, entries)
    _check_holds(state, entries)
    _check_counters(state, entries)
    _check_answers(state, entries)


def check_chain(state: State, booked: Sequence[Booked]) -> None:
    """V7: `seq` without a gap, time never back, and the chain recomputes."""
    last = first_hash(state.region)
    for number, one in enumerate(booked, start=1):
        assert one.entry.seq == number
        last = sha256(last + entry_bytes(one.entry)).digest()
        assert one.hash == last
    instants = [one.entry.at for one in booked]
    assert instants == sorted(instants)
    assert state.seq == len(booked)


def _rebuild_accounts(entries: Sequence[Entry], programmes: Mapping[str, Programme]) -> dict[AccountKey, Account]:
    accounts: dict[AccountKey, Account] = {}

    def account(key: AccountKey) -> Account:
        terms = programmes[key.programme]
        ceiling = {"receivable": terms.receivable_max, "risk": terms.risk_max}.get(key.kind)
        return accounts.setdefault(key, Account(len(accounts) + 1, key, ceiling=ceiling))

    for entry in entries:
        for transfer in entry.transfers:
            account(transfer.debit).debits += transfer.amount
            account(transfer.credit).credits += transfer.amount
        for movement in entry.hold_movements:
            account(movement.account).held += movement.amount if movement.movement == "placed" else -movement.amount
    return accounts


def _check_balances(accounts: Mapping[AccountKey, Account]) -> None:
    """V1, V2, V3."""
    assets: dict[str, int] = defaultdict(int)
    others: dict[str, int] = defaultdict(int)
    for key, account in accounts.items():
        if key.kind in ASSETS:
            assets[key.programme] += account.debits - account.credits
        else:
            others[key.programme] += account.credits - account.debits
        if key.kind in LIABILITIES:
            assert account.credits - account.debits - account.held >= 0
        if account.ceiling is not None:
            assert 0 <= account.debits - account.credits <= account.ceiling
        assert account.held >= 0
        assert account.held == 0 or key.kind == "wallet"
    assert dict(assets) | {code: 0 for code in others if code not in assets} == dict(others) | {
        code: 0 for code in assets if code not in others
    }


def _check_undone(state: State, entries: Sequence[Entry]) -> None:
    """V4 and V6: nothing is undone beyond what it moved."""
    undone: dict[Line, int] = defaultdict(int)
    for entry in entries:
        for transfer in entry.transfers:
            if transfer.undoes:
                undone[transfer.undoes] += transfer.amount
    assert undone == state.undone
    for line, amount in undone.items():
        assert 1 <= amount <= entries[line.seq - 1].transfers[line.line - 1].amount


def _check_holds(state: State, entries: Sequence[Entry]) -> None:
    held: dict[Any, dict[str, int]] = {}
    for entry in entries:
        assert all(hold.id == entry.id for hold in entry.holds)
        for movement in entry.hold_movements:
            sums = held.setdefault((movement.hold, movement.account), defaultdict(int))
            sums[movement.movement] += movement.amount
    live = {
        (hold.id, line.account): {"placed": line.placed, "captured": line.captured, "released": line.released}
        for hold, lines in state.holds.values()
        for line in lines
    }
    assert held.keys() == live.keys()
    for of, sums in held.items():
        assert {name: sums[name] for name in ("placed", "captured", "released")} == live[of]
        assert sums["placed"] >= sums["captured"] + sums["released"]
    placed = {hold.id: hold for entry in entries for hold in entry.holds}
    assert placed == {hold.id: hold for hold, _ in state.holds.values()}


def _check_counters(state: State, entries: Sequence[Entry]) -> None:
    counts = [count for entry in entries for count in entry.limit_counts]
    assert {count.counter for count in counts} == set(state.counters)
    month = (state.today.year, state.today.month)
    for key, counter in state.counters.items():
        ours = [count for count in counts if count.counter == key]
        today = sum(count.amount for count in ours if count.day == state.today)
        in_month = sum(count.amount for count in ours if (count.day.year, count.day.month) == month)
        assert counter.used_on(state.today) == (today, in_month, sum(count.amount for count in ours))
        assert min(counter.day_used, counter.month_used, counter.total_used) >= 0
    assert sorted(counter.id for counter in state.counters.values()) == list(range(1, state.counter_id + 1))


def _check_answers(state: State, entries: Sequence[Entry]) -> None:
    """V5 and V8: an id and a code are used once, and what was accepted is in the book."""
    assert len({entry.id for entry in entries}) == len(entries)
    spent = [entry.single_use for entry in entries if entry.single_use]
    assert len(set(spent)) == len(spent)
    assert set(spent) == set(state.single_use)
    settled = {one.entry.id: one.entry for one in state.instructions.values() if isinstance(one, Settled)}
    assert settled == {entry.id: entry for entry in entries}
    for one in state.instructions.values():
        if isinstance(one, Refused):
            assert one.refusal.is_stored or isinstance(one.refusal, IdGivenUp)
