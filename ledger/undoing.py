"""Undoing: the mirror of a named entry, never more than it moved nor than is left where it went (pure)."""

from typing import Final
from uuid import UUID

from database.days import day_in_japan
from ledger.accounts import AccountKey
from ledger.chart import ASSETS, FLOWS, Kind
from ledger.draft import Draft
from ledger.entries import Entry, LimitCount, Line, Transfer
from ledger.instructions import AMOUNT_MAX, Undo
from ledger.refusals import InstructionInvalid, NotFound, NothingToMove, PastLegalLimit, RefundExceedsPayment
from ledger.restoring import choose_restored_lot
from ledger.state import Settled, lines_of

# What a bank reports happens by itself: one person may book it.
REPORTED_BY_BANK: Final = frozenset({"payout_failed", "paid_back"})
# These are asked for by `Refund`, which knows the order of lots.
REFUND_FLOWS: Final = frozenset({"refund", "refund_advance"})


def plan_undo(draft: Draft, undo: Undo) -> None:
    """Adds the mirror of one transfer to the draft.

    Raises:
        NotFound: no such entry or line.
        InstructionInvalid: the flow undoes nothing, or not what the named line did.
        SecondPersonNeeded: two people are needed.
        RefundExceedsPayment: more than is left to undo.
        NothingToMove: no amount was named, and nothing is left.
        PastLegalLimit: expired value whose last legal day has passed.
        FlowOff, InsufficientFunds, MerchantFundsShort, PotExhausted, FundsShort: as `Draft.transfer`.
    """
    original = find_original(draft, undo.original)
    line, undone_transfer = find_line(original, undo.line)
    flow = FLOWS.get(undo.flow)
    if flow is None or undo.flow in REFUND_FLOWS or undone_transfer.flow not in flow.undoes:
        raise InstructionInvalid(detail=f"{undo.flow} does not undo {undone_transfer.flow}.")
    if not _may_be_one_person(draft, undo, original):
        draft.require_two_people(undo.flow)
    left = undone_transfer.amount - draft.undone(line)
    amount = min(left, _left_there(draft, undone_transfer.credit)) if undo.amount is None else undo.amount
    if amount > left:
        raise RefundExceedsPayment(left=left)
    if amount == 0:
        raise NothingToMove
    release_limits(draft, original, undone_transfer.flow, amount)
    way_back = _way_back(draft, undo, undone_transfer)
    draft.transfer(undo.flow, undone_transfer.credit, way_back, amount, undoes=line)
    if undone_transfer.flow == "float_sell":
        # An agent's wrong sale: what he had sold is his stock again.
        draft.transfer("float_buy", way_back, undone_transfer.debit, amount)


def find_original(draft: Draft, instruction_id: UUID) -> Entry:
    """The entry that an instruction names by the id of the instruction that made it.

    Raises:
        NotFound: that id has not settled.
    """
    settled = draft.state.instructions.get(instruction_id)
    if not isinstance(settled, Settled):
        raise NotFound(what=f"entry of instruction {instruction_id}")
    return settled.entry


def find_line(original: Entry, number: int) -> tuple[Line, Transfer]:
    """One transfer of an entry, by its line number from 1.

    Raises:
        NotFound: the entry has no such line.
    """
    if not 1 <= number <= len(original.transfers):
        raise NotFound(what=f"line {number} of entry {original.seq}")
    return Line(original.seq, number), original.transfers[number - 1]


def release_limits(draft: Draft, original: Entry, flow: str, amount: int) -> None:
    """Takes an undone amount off the limits that the original counted, in proportion, rounded down; the last yen
    undone takes off all that is left. Call it before the undoing transfers.

    What an entry counts belongs to the flow of its first transfer (a payment's, not that of a bonus beside it), so
    that nothing is taken off twice.

    Args:
        draft: of the undoing entry.
        original: the entry that counted.
        flow: the flow that is undone.
        amount: how much of it is undone now, in yen.
    """
    if flow != original.transfers[0].flow:
        return
    lines = [(line, transfer.amount) for line, transfer in lines_of(original) if transfer.flow == flow]
    total = sum(moved for _, moved in lines)
    undone = sum(draft.undone(line) for line, _ in lines)
    for counted in original.limit_counts:
        released = counted.amount * (undone + amount) // total - counted.amount * undone // total
        if released > 0:
            draft.count_limit(LimitCount(counted.counter, counted.day, -released))


def _left_there(draft: Draft, key: AccountKey) -> int:
    # An asset shrank by what came to it, so nothing of it can be missing there.
    return AMOUNT_MAX if key.kind in ASSETS else max(0, draft.account(key).available)


def _may_be_one_person(draft: Draft, undo: Undo, original: Entry) -> bool:
    # A clerk may take back his own slip while the cash of that day is still in front of him.
    is_same_day_slip = undo.flow == "top_up_cancel" and day_in_japan(original.at) == draft.state.today
    return is_same_day_slip or undo.flow in REPORTED_BY_BANK


def _way_back(draft: Draft, undo: Undo, undone_transfer: Transfer) -> AccountKey:
    if undone_transfer.flow == "float_sell":
        return undone_transfer.debit._replace(kind=Kind.RESERVE)
    if undo.flow != "expire_back":
        return undone_transfer.debit
    lot = undone_transfer.debit
    restored = choose_restored_lot(
        draft.programme(lot.programme), lot, today=draft.state.today, grace_days=undo.grace_days
    )
    if restored is None:
        raise PastLegalLimit
    return restored
