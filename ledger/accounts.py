"""Accounts: their natural keys, and a snapshot of one with its growing counters.

A counter only grows; a balance is derived from two of them and is never stored.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple
from uuid import UUID

from ledger.chart import ASSETS, Kind

# Holder of what belongs to the programme as a whole: expired value, fees, suspense.
NOBODY: Final = UUID(int=0)


class AccountKey(NamedTuple):
    """What makes an account this one; a rebuilt region has the same keys under other numbers.

    Attributes:
        kind: what it holds.
        holder: wallet, merchant, bank account, cash desk, agent, budget; `NOBODY` for the programme's own.
        programme: the programme's short code.
        expires_on: last usable day in Japan of a lot; None: never expires. Wallets only.
        grace: whether it is a grace lot: value restored after its day, never restored again. Wallets only.
    """

    kind: Kind
    holder: UUID
    programme: str
    expires_on: date | None = None
    grace: bool = False


def wallet_lot(holder: UUID, programme: str, expires_on: date | None = None, *, grace: bool = False) -> AccountKey:
    """The key of one lot of a resident's wallet."""
    return AccountKey(Kind.WALLET, holder, programme, expires_on, grace)


def is_usable(key: AccountKey, today: date) -> bool:
    """Whether a lot's last day has not passed on this day in Japan."""
    return key.expires_on is None or today <= key.expires_on


@dataclass(slots=True)
class Account:
    """An account as it stands: counters in yen, all of them growing but `held`.

    Attributes:
        id: its number in this database, given in the book's order.
        ceiling: the most that a receivable or risk account may be used; None for all others.
    """

    id: int
    key: AccountKey
    debits: int = 0
    credits: int = 0
    held: int = 0
    ceiling: int | None = None

    @property
    def balance(self) -> int:
        """What it holds, seen from its own side: debits less credits for assets, else credits less debits."""
        if self.key.kind in ASSETS:
            return self.debits - self.credits
        return self.credits - self.debits

    @property
    def available(self) -> int:
        """What may leave it: the balance less what is set aside."""
        return self.balance - self.held
