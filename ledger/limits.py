"""Limits: counters with a ceiling and a period, checked and raised under the book's lock (pure)."""

from ledger.accounts import is_usable
from ledger.chart import Kind
from ledger.draft import Draft
from ledger.entries import LimitCount
from ledger.instructions import BalanceCeiling, Limit
from ledger.refusals import LimitBalance, LimitDay, LimitMonth, LimitTotal


def count_limits(draft: Draft, limits: tuple[Limit, ...]) -> None:
    """Adds the counts of an instruction's limits to the draft; the day's ceiling is checked first.

    Raises:
        LimitDay, LimitMonth, LimitTotal: the count would pass that ceiling.
    """
    for limit in limits:
        _require_below_ceilings(draft, limit)
        draft.count_limit(LimitCount(limit.counter, draft.state.today, limit.amount))


def require_balance_ceilings(draft: Draft, ceilings: tuple[BalanceCeiling, ...]) -> None:
    """Demands that wallets do not come to hold more usable value than they may.

    Raises:
        LimitBalance: one would.
    """
    for ceiling in ceilings:
        lots = draft.accounts_of(Kind.WALLET, ceiling.wallet)
        balance = sum(lot.balance for lot in lots if is_usable(lot.key, draft.state.today))
        if balance + ceiling.incoming > ceiling.ceiling:
            raise LimitBalance(ceiling=ceiling.ceiling, balance=balance)


def _require_below_ceilings(draft: Draft, limit: Limit) -> None:
    today = draft.state.today
    counter = draft.state.counters.get(limit.counter)
    day, month, total = counter.used_on(today) if counter else (0, 0, 0)
    # The same counter may be counted twice in one instruction.
    drafted = sum(count.amount for count in draft.limit_counts if count.counter == limit.counter)
    for used, ceiling, refusal in (
        (day, limit.day_max, LimitDay),
        (month, limit.month_max, LimitMonth),
        (total, limit.total_max, LimitTotal),
    ):
        if ceiling is not None and used + drafted + limit.amount > ceiling:
            raise refusal(family=limit.counter.family, ceiling=ceiling, used=used + drafted)
