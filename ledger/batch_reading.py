"""Reads, under the book's lock, all that the planner needs to know for a batch of instructions.

A handful of bulk queries, whatever the batch's size; those with nothing to ask for are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from database.connections import Connection
from database.days import day_in_japan
from ledger.accounts import NOBODY, Account, AccountKey
from ledger.book import Book
from ledger.chart import Kind
from ledger.entries import Entry, Hold, Line
from ledger.entry_reading import entries_by_instruction
from ledger.instructions import (
    CaptureHold,
    CounterKey,
    Destination,
    Draw,
    Expire,
    ExpireHold,
    GiveUp,
    Instruction,
    Move,
    PlaceHold,
    ReleaseHold,
    Settle,
    SingleUse,
    Succeed,
    named_originals,
)
from ledger.programmes import Programme
from ledger.refusals import stored_refusal
from ledger.state import Counter, HoldLine, Refused, Settled, State


@dataclass(slots=True)
class Needs:
    """What a batch refers to.

    Attributes:
        instructions: ids whose first answer is needed: the batch's own, and those it names as originals.
        holders: whose accounts are needed.
        accounts: accounts needed by their key, also where they are no living lot.
    """

    instructions: set[UUID] = field(default_factory=set)
    single_use: set[SingleUse] = field(default_factory=set)
    holders: set[UUID] = field(default_factory=lambda: {NOBODY})
    accounts: set[AccountKey] = field(default_factory=set)
    holds: set[UUID] = field(default_factory=set)
    counters: set[CounterKey] = field(default_factory=set)

    def add(self, instruction: Instruction | GiveUp) -> None:
        """Adds what one instruction refers to."""
        self.instructions.add(instruction.id)
        if isinstance(instruction, GiveUp):
            return
        self.instructions.update(named_originals(instruction))
        if instruction.single_use:
            self.single_use.add(instruction.single_use)
        self.counters.update(limit.counter for limit in instruction.limits)
        self.holders.update(ceiling.wallet for ceiling in instruction.balance_ceilings)
        for move in instruction.moves:
            self._add_move(move)

    def add_entry(self, entry: Entry) -> None:
        """Adds the accounts and counters of an entry that may be undone."""
        for transfer in entry.transfers:
            self.accounts.update((transfer.debit, transfer.credit))
            self.holders.update((transfer.debit.holder, transfer.credit.holder))
        self.counters.update(count.counter for count in entry.limit_counts)

    def _add_move(self, move: object) -> None:
        match move:
            case Move(debit=debit, credit=credit):
                self.accounts.update((debit, credit))
                self.holders.update((debit.holder, credit.holder))
            case Draw(wallet=wallet, credit=credit) | PlaceHold(draw=Draw(wallet=wallet, credit=credit)):
                self.holders.update((wallet, credit.holder))
            case CaptureHold(hold=hold) | ReleaseHold(hold=hold) | ExpireHold(hold=hold):
                self.holds.add(hold)
                # The entry that placed it knows what was counted; a hold has the id of its instruction.
                self.instructions.add(hold)
            case Settle(merchant=merchant, payout=payout):
                self.holders.update((merchant, payout))
            case Expire(lot=lot):
                self.accounts.add(lot)
                self.holders.add(lot.holder)
            case Succeed(holder=holder, successor=successor):
                self.holders.update((holder, successor))


async def read_state(
    connection: Connection,
    book: Book,
    programmes: Sequence[Programme],
    instructions: Iterable[Instruction | GiveUp],
    *,
    at: datetime,
) -> State:
    """The state that the instructions are planned from. The caller holds the book's lock."""
    needs = Needs()
    for instruction in instructions:
        needs.add(instruction)
    state = State(
        region=book.region,
        is_open=book.is_open,
        at=at,
        today=day_in_japan(at),
        seq=book.seq,
        account_id=book.account_id,
        counter_id=book.counter_id,
        programmes={programme.code: programme for programme in programmes},
    )
    codes = {programme.id: programme.code for programme in programmes}
    await _read_instructions(connection, state, needs)
    await _read_single_use(connection, state, needs)
    await _read_holds(connection, state, needs, codes)
    await _read_accounts(connection, state, needs, codes)
    await _read_counters(connection, state, needs)
    return state


async def _read_instructions(connection: Connection, state: State, needs: Needs) -> None:
    ids = list(needs.instructions)
    entries = await entries_by_instruction(connection, ids)
    for entry in entries:
        state.instructions[entry.id] = Settled(entry)
        needs.add_entry(entry)
    if entries:
        cursor = await connection.execute(
            "SELECT seq, line, undone FROM undone WHERE seq = ANY(%s)", [[entry.seq for entry in entries]]
        )
        state.undone.update({Line(seq, line): undone for seq, line, undone in await cursor.fetchall()})
    cursor = await connection.execute(
        "SELECT id, fingerprint, code, facts FROM refused_instruction WHERE id = ANY(%s)", [ids]
    )
    for instruction_id, fingerprint, code, facts in await cursor.fetchall():
        state.instructions[instruction_id] = Refused(fingerprint, stored_refusal(code, facts))


async def _read_single_use(connection: Connection, state: State, needs: Needs) -> None:
    if not needs.single_use:
        return
    keys = list(needs.single_use)
    cursor = await connection.execute(
        """SELECT single_use_expires_at, single_use_digest, id FROM entry
           JOIN unnest(%s::timestamptz[], %s::bytea[]) AS asked (expires_at, digest)
             ON single_use_expires_at = expires_at AND single_use_digest = digest""",
        [[key.expires_at for key in keys], [key.digest for key in keys]],
    )
    for expires_at, digest, instruction_id in await cursor.fetchall():
        state.single_use[SingleUse(expires_at, digest)] = instruction_id


async def _read_holds(connection: Connection, state: State, needs: Needs, codes: dict[int, str]) -> None:
    if not needs.holds:
        return
    ids = list(needs.holds)
    cursor = await connection.execute(
        "SELECT id, wallet, flow, credit_kind, credit_holder, expires_at FROM hold WHERE id = ANY(%s)", [ids]
    )
    for hold_id, wallet, flow, kind, holder, expires_at in await cursor.fetchall():
        destination = Destination(Kind(kind), holder)
        state.holds[hold_id] = (Hold(hold_id, wallet, flow, destination, expires_at), [])
        needs.holders.update((wallet, holder))
    cursor = await connection.execute(
        """SELECT hold, placed, captured, released, kind, holder, programme, expires_on, grace
           FROM hold_line JOIN account ON account.id = hold_line.account
           WHERE hold = ANY(%s) ORDER BY hold, number""",
        [ids],
    )
    for hold_id, placed, captured, released, *key in await cursor.fetchall():
        account = read_key(key, codes)
        state.holds[hold_id][1].append(HoldLine(account, placed, captured, released))
        needs.accounts.add(account)


async def _read_accounts(connection: Connection, state: State, needs: Needs, codes: dict[int, str]) -> None:
    cursor = await connection.execute(
        f"""{_SELECT_ACCOUNT}
            WHERE holder = ANY(%s) AND (kind <> 'wallet' OR expires_on IS NULL OR expires_on >= %s)""",
        [list(needs.holders), state.today],
        binary=True,
    )
    for row in await cursor.fetchall():
        state.add_account(_account(row, codes))
    ended = [key for key in needs.accounts if key.expires_on and key.expires_on < state.today]
    if not ended:
        return
    cursor = await connection.execute(
        f"""{_SELECT_ACCOUNT}
            JOIN unnest(%s::uuid[], %s::date[]) AS asked (of, ended) ON holder = of AND expires_on = ended
            WHERE kind = 'wallet'""",
        [[key.holder for key in ended], [key.expires_on for key in ended]],
    )
    for row in await cursor.fetchall():
        account = _account(row, codes)
        if account.key not in state.accounts:
            state.add_account(account)


async def _read_counters(connection: Connection, state: State, needs: Needs) -> None:
    if not needs.counters:
        return
    cursor = await connection.execute(
        """SELECT id, family, subject, day, day_used, month_used, total_used
           FROM limit_counter WHERE subject = ANY(%s)""",
        [list({counter.subject for counter in needs.counters})],
        binary=True,
    )
    for counter_id, family, subject, *used in await cursor.fetchall():
        state.counters[CounterKey(family, subject)] = Counter(counter_id, *used)


_SELECT_ACCOUNT = """SELECT id, debits, credits, held, ceiling, kind, holder, programme, expires_on, grace
                     FROM account"""


def _account(row: tuple[Any, ...], codes: dict[int, str]) -> Account:
    account_id, debits, credits_, held, ceiling, *key = row
    return Account(account_id, read_key(key, codes), debits, credits_, held, ceiling)


def read_key(columns: Sequence[Any], codes: dict[int, str]) -> AccountKey:
    """An account's key from the columns kind, holder, programme, expires_on, grace."""
    kind, holder, programme, expires_on, grace = columns
    return AccountKey(Kind(kind), holder, codes[programme], expires_on, grace)
