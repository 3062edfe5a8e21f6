"""The trial balance: what every kind of account holds, per programme, and the proof that both sides agree.

Per programme: reserve + grant + receivable + risk = pot + wallet + takings + float + payout + fee + expired +
suspense, give or take `difference`.
"""

from collections import defaultdict
from dataclasses import dataclass

from database.connections import Connection
from ledger.book import read_book
from ledger.chart import ASSETS, LIABILITIES, Kind


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """All accounts of one kind in one programme, in yen.

    Attributes:
        accounts: how many there are.
        held: what is set aside of the balance now; 0 in a trial balance of the past.
    """

    kind: Kind
    accounts: int
    debits: int
    credits: int
    held: int

    @property
    def balance(self) -> int:
        """Debits less credits for assets, else credits less debits."""
        return self.debits - self.credits if self.kind in ASSETS else self.credits - self.debits


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """One programme's trial balance after the entry `seq`; lines in the chart's order."""

    programme: str
    seq: int
    lines: tuple[TrialBalanceLine, ...]

    @property
    def assets(self) -> int:
        """What stands behind the programme's value, in yen."""
        return sum(line.balance for line in self.lines if line.kind in ASSETS)

    @property
    def liabilities(self) -> int:
        """What the programme owes to everybody, in yen."""
        return sum(line.balance for line in self.lines if line.kind in LIABILITIES)

    @property
    def difference(self) -> int:
        """What counts of cash and bank found missing (below zero) or left over, in yen."""
        return sum(line.balance for line in self.lines if line.kind is Kind.DIFFERENCE)

    @property
    def is_balanced(self) -> bool:
        """Whether both sides agree."""
        return self.assets == self.liabilities + self.difference


async def read_trial_balances(connection: Connection, *, as_of: int | None = None) -> list[TrialBalance]:
    """The trial balance of every programme, now or after the entry `as_of`."""
    book = await read_book(connection)
    seq = book.seq if as_of is None else min(as_of, book.seq)
    cursor = await connection.execute(_TRIAL_BALANCE, {"seq": seq, "is_now": as_of is None or as_of >= book.seq})
    lines: dict[str, list[TrialBalanceLine]] = defaultdict(list)
    for programme, kind, accounts, *sums in await cursor.fetchall():
        if kind is None:
            lines[programme] = []
            continue
        lines[programme].append(TrialBalanceLine(Kind(kind), accounts, *(int(value) for value in sums)))
    order = list(Kind)
    return [
        TrialBalance(programme, seq, tuple(sorted(found, key=lambda line: order.index(line.kind))))
        for programme, found in lines.items()
    ]


# One statement, so one snapshot: what was booked after `seq` is taken off what the counters say.
_TRIAL_BALANCE = """
    SELECT p.code, a.kind, count(a.id), coalesce(sum(a.debits - coalesce(later.debits, 0)), 0),
           coalesce(sum(a.credits - coalesce(later.credits, 0)), 0),
           CASE WHEN %(is_now)s THEN coalesce(sum(a.held), 0) ELSE 0 END
    FROM programme p
    LEFT JOIN account a ON a.programme = p.id
    LEFT JOIN (
        SELECT account, sum(debit) AS debits, sum(credit) AS credits
        FROM (
            SELECT debit_account AS account, amount AS debit, 0 AS credit FROM transfer WHERE seq > %(seq)s
            UNION ALL
            SELECT credit_account, 0, amount FROM transfer WHERE seq > %(seq)s
        ) line GROUP BY account
    ) later ON later.account = a.id
    GROUP BY p.id, p.code, a.kind ORDER BY p.id"""
