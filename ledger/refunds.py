"""Refunds: a payment goes back, whole or in part, into the very lots it came from, in reverse (pure).

What the merchant's takings no longer cover is advanced by his receivable up to its ceiling; he never gets cash and
the resident never waits. A bonus that the payment earned goes back to its pot in the same entry.
"""

from ledger.accounts import NOBODY, AccountKey, is_usable
from ledger.chart import Kind
from ledger.draft import Draft
from ledger.entries import Line, Transfer
from ledger.instructions import BonusBack, Refund
from ledger.refusals import FlowOff, InstructionInvalid, MerchantFundsShort, NothingToMove, RefundExceedsPayment
from ledger.restoring import choose_restored_lot
from ledger.state import lines_of
from ledger.undoing import find_line, find_original, release_limits


def plan_refund(draft: Draft, refund: Refund) -> None:
    """Adds a refund to the draft.

    Raises:
        NotFound: no such payment, or no such bonus.
        InstructionInvalid: the named entry is no payment, or the named bonus is none.
        FlowOff: refunds, or what they need, are off.
        RefundExceedsPayment: more than is left to refund, or to take back.
        NothingToMove: the spent bonus is as much as the refund.
        MerchantFundsShort: neither takings nor receivable cover it.
    """
    original = find_original(draft, refund.original)
    lines = [(line, transfer) for line, transfer in lines_of(original) if transfer.flow == "payment"]
    if not lines:
        raise InstructionInvalid(detail="What is to be refunded is not a payment.")
    for _, transfer in lines:
        if "refund" not in draft.programme(transfer.debit.programme).flows:
            # Advancing is a way to refund, not a way around it.
            raise FlowOff(flow="refund", programme=transfer.debit.programme)
    left = sum(transfer.amount - draft.undone(line) for line, transfer in lines)
    if refund.amount > left:
        raise RefundExceedsPayment(left=left)
    withheld = sum(_take_bonus_back(draft, bonus) for bonus in refund.bonus_back)
    amount = refund.amount - withheld
    if amount < 0 or (amount == 0 and not draft.transfers):
        raise NothingToMove
    release_limits(draft, original, "payment", amount)
    _restore(draft, refund, lines, amount)


def _restore(draft: Draft, refund: Refund, lines: list[tuple[Line, Transfer]], amount: int) -> None:
    left = amount
    for line, transfer in reversed(lines):
        share = min(left, transfer.amount - draft.undone(line))
        if share > 0:
            _restore_line(draft, refund, line, transfer, share)
            left -= share


def _restore_line(draft: Draft, refund: Refund, line: Line, paid: Transfer, amount: int) -> None:
    programme = draft.programme(paid.debit.programme)
    restored = choose_restored_lot(programme, paid.debit, today=draft.state.today, grace_days=refund.grace_days)
    lot = restored or paid.debit
    takings = paid.credit
    from_takings = min(amount, max(0, draft.account(takings).available))
    if from_takings:
        draft.transfer("refund", takings, lot, from_takings, undoes=line)
    if advanced := amount - from_takings:
        _advance(draft, takings, lot, advanced, line, covered=from_takings)
    if restored is None:
        # It may not become usable again, so it goes on at once to where expired value is.
        draft.transfer("expire", lot, AccountKey(Kind.EXPIRED, NOBODY, lot.programme), amount)


def _advance(draft: Draft, takings: AccountKey, lot: AccountKey, amount: int, line: Line, *, covered: int) -> None:
    receivable = draft.account(AccountKey(Kind.RECEIVABLE, takings.holder, takings.programme))
    is_on = "refund_advance" in draft.programme(takings.programme).flows
    room = (receivable.ceiling or 0) - receivable.balance if is_on else 0
    if amount > room:
        raise MerchantFundsShort(available=room + covered)
    draft.transfer("refund_advance", receivable.key, lot, amount, undoes=line)


def _take_bonus_back(draft: Draft, bonus: BonusBack) -> int:
    """Adds what is left of a bonus, and returns what was spent of it; yen."""
    line, given = find_line(find_original(draft, bonus.original), bonus.line)
    if given.flow != "bonus":
        raise InstructionInvalid(detail="What is to be taken back is not a bonus.")
    if bonus.amount > (left := given.amount - draft.undone(line)):
        raise RefundExceedsPayment(left=left)
    unspent = min(bonus.amount, max(0, draft.account(given.credit).available))
    if unspent:
        draft.transfer("bonus_back", given.credit, given.debit, unspent, undoes=line)
    # What expired unspent is the city's already; only what was spent is owed.
    return bonus.amount - unspent if is_usable(given.credit, draft.state.today) else 0
