"""Endings: a lot whose last day has passed, and a wallet or merchant that another succeeds (pure)."""

from ledger.accounts import NOBODY, Account, AccountKey, is_usable
from ledger.chart import Kind
from ledger.draft import Draft
from ledger.instructions import AMOUNT_MAX, Expire, Succeed
from ledger.refusals import InstructionInvalid, NotExpired, NotFound, NothingToMove
from ledger.settling import recover_debt


def plan_expire(draft: Draft, expire: Expire) -> None:
    """Moves what is left in an expired lot to the programme's expired value; held value stays until it is freed.

    Raises:
        InstructionInvalid: not a wallet's lot.
        NotFound: no such lot.
        NotExpired: its last day has not passed, or it never expires.
        NothingToMove: it is empty.
    """
    lot = expire.lot
    if lot.kind is not Kind.WALLET:
        raise InstructionInvalid(detail="Only a wallet's lot expires.")
    if lot not in {account.key for account in draft.accounts_of(Kind.WALLET, lot.holder)}:
        raise NotFound(what="lot")
    if is_usable(lot, draft.state.today):
        raise NotExpired
    available = draft.account(lot).available
    if available <= 0:
        raise NothingToMove
    expired = AccountKey(Kind.EXPIRED, NOBODY, lot.programme)
    draft.transfer("expire", lot, expired, min(available, AMOUNT_MAX))


def plan_succeed(draft: Draft, succeed: Succeed) -> None:
    """Moves everything available to the successor, each lot into one of the same programme and day.

    Of takings, what is left when what is owed is paid.

    Raises:
        InstructionInvalid: neither wallets nor takings, or oneself as successor.
        NothingToMove: nothing is there.
        SecondPersonNeeded, FlowOff: as `Draft.transfer`.
    """
    if succeed.kind not in {Kind.WALLET, Kind.TAKINGS}:
        raise InstructionInvalid(detail="Wallets and takings have successors, nothing else.")
    if succeed.holder == succeed.successor:
        raise InstructionInvalid(detail="Nobody succeeds himself.")
    moved = [account for account in _accounts_of(draft, succeed) if account.available > 0]
    if not moved:
        raise NothingToMove
    for account in moved:
        if succeed.kind is Kind.TAKINGS:
            recover_debt(draft, account.key)
        if left := min(account.available, AMOUNT_MAX):
            draft.transfer("succession", account.key, account.key._replace(holder=succeed.successor), left)


def _accounts_of(draft: Draft, succeed: Succeed) -> list[Account]:
    accounts = draft.accounts_of(succeed.kind, succeed.holder)
    return [account for account in accounts if is_usable(account.key, draft.state.today)]
