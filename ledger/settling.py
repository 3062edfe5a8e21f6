"""Settling: a merchant's takings on their way to his bank, what he owes first (pure)."""

from ledger.accounts import NOBODY, AccountKey
from ledger.chart import Kind
from ledger.draft import Draft
from ledger.instructions import AMOUNT_MAX, Settle
from ledger.refusals import MerchantFundsShort, NothingToMove


def plan_settle(draft: Draft, settle: Settle) -> None:
    """Adds recovery, fee and payout of one merchant's takings in one programme to the draft.

    Where no amount is named and what is left does not exceed the fee, only what is owed is recovered.

    Raises:
        NotFound: no such programme.
        NothingToMove: no takings.
        MerchantFundsShort: the named amount is not there after recovery, or does not exceed the fee.
        FlowOff: one of the flows is off.
    """
    takings = AccountKey(Kind.TAKINGS, settle.merchant, settle.programme)
    available = draft.account(takings).available
    if available <= 0:
        raise NothingToMove
    receivable = draft.account(AccountKey(Kind.RECEIVABLE, settle.merchant, settle.programme))
    if recovered := min(available, receivable.balance, AMOUNT_MAX):
        draft.transfer("recover", takings, receivable.key, recovered)
    left = available - recovered
    leaving = min(left, AMOUNT_MAX) if settle.amount is None else settle.amount
    paid = leaving - settle.fee
    if settle.amount is not None and (leaving > left or paid <= 0):
        raise MerchantFundsShort(available=left)
    if paid > 0:
        _pay_out(draft, settle, takings, paid)
    elif not recovered:
        raise NothingToMove


def _pay_out(draft: Draft, settle: Settle, takings: AccountKey, paid: int) -> None:
    if settle.fee:
        draft.transfer("fee", takings, AccountKey(Kind.FEE, NOBODY, settle.programme), settle.fee)
    draft.transfer("settle", takings, AccountKey(Kind.PAYOUT, settle.payout, settle.programme), paid)
