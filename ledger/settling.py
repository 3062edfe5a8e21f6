"""Settling: a merchant's takings on their way to his bank, what he owes first (pure).

What he owes comes first wherever his takings go: else he could pass them on to another merchant and leave his debt.
"""

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
    recovered = recover_debt(draft, takings)
    left = available - recovered
    leaving = min(left, AMOUNT_MAX) if settle.amount is None else settle.amount
    paid = leaving - settle.fee
    if settle.amount is not None and (leaving > left or paid <= 0):
        raise MerchantFundsShort(available=left)
    if paid > 0:
        _pay_out(draft, settle, takings, paid)
    elif not recovered:
        raise NothingToMove


def recover_debt(draft: Draft, takings: AccountKey) -> int:
    """Adds the transfer by which takings pay what their merchant owes, before they go anywhere; its yen, or 0.

    Raises:
        FlowOff: something is owed, and recovering it is off.
    """
    receivable = takings._replace(kind=Kind.RECEIVABLE)
    if receivable not in {account.key for account in draft.accounts_of(Kind.RECEIVABLE, takings.holder)}:
        return 0
    recovered = min(draft.account(takings).available, draft.account(receivable).balance, AMOUNT_MAX)
    if recovered <= 0:
        return 0
    draft.transfer("recover", takings, receivable, recovered)
    return recovered


def _pay_out(draft: Draft, settle: Settle, takings: AccountKey, paid: int) -> None:
    if settle.fee:
        draft.transfer("fee", takings, AccountKey(Kind.FEE, NOBODY, settle.programme), settle.fee)
    draft.transfer("settle", takings, AccountKey(Kind.PAYOUT, settle.payout, settle.programme), paid)
