"""Balances and statements, now and as of any `seq` or instant, with the running balance.

An old balance starts from the nearest mark (an account's counters every 256 transfers), so it costs the same as a
new one, however busy the account.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from database.connections import Connection
from ledger.accounts import AccountKey
from ledger.chart import ASSETS, Kind
from ledger.refusals import NotFound

STATEMENT_LINES_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account held after the entry `seq`, in yen.

    Attributes:
        seq: the last entry that is counted in.
        debits: all that was ever debited.
        credits: all that was ever credited.
        held: what is set aside now; None for a balance of the past.
    """

    account: int
    key: AccountKey
    seq: int
    debits: int
    credits: int
    held: int | None

    @property
    def balance(self) -> int:
        """Debits less credits for assets, else credits less debits."""
        return _balance(self.key.kind, self.debits, self.credits)


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One transfer as its account saw it; amounts in yen.

    Attributes:
        amount: above zero where the balance rose.
        balance: after this line.
        counterpart: the other account.
    """

    seq: int
    line: int
    at: datetime
    entry_id: UUID
    kind: str
    flow: str
    amount: int
    balance: int
    counterpart: AccountKey


async def find_seq_at(connection: Connection, instant: datetime) -> int:
    """The `seq` of the last entry booked at or before an instant; 0 where there was none."""
    # All entries of a batch share its instant, so the last checkpoint answers for entries too.
    cursor = await connection.execute(
        "SELECT seq FROM checkpoint WHERE at <= %s ORDER BY at DESC, seq DESC LIMIT 1", [instant]
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


async def require_seq(connection: Connection, seq: int) -> int:
    """The number of an entry that the book has; 0 stands for the empty book before the first.

    Raises:
        NotFound: the book ends before it.
    """
    cursor = await connection.execute("SELECT seq FROM book")
    row = await cursor.fetchone()
    last = row[0] if row else 0
    if seq > last:
        raise NotFound(what=f"entry {seq}; the book ends with {last}")
    return seq


async def find_accounts(connection: Connection, account_or_holder: int | UUID) -> list[int]:
    """The numbers of a holder's accounts, or the one number that was given.

    Raises:
        NotFound: the holder has no account.
    """
    if isinstance(account_or_holder, int):
        return [account_or_holder]
    cursor = await connection.execute("SELECT id FROM account WHERE holder = %s ORDER BY id", [account_or_holder])
    found = [row[0] for row in await cursor.fetchall()]
    if not found:
        raise NotFound(what=f"holder {account_or_holder}")
    return found


async def get_balance(connection: Connection, account: int, *, as_of: int | None = None) -> Balance:
    """What an account holds now, or held after the entry `as_of`.

    Raises:
        NotFound: no such account.
    """
    cursor = await connection.execute(
        """SELECT kind, holder, p.code, expires_on, grace, debits, credits, held, (SELECT seq FROM book)
           FROM account JOIN programme p ON p.id = programme WHERE account.id = %s""",
        [account],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(what=f"account {account}")
    key = AccountKey(Kind(row[0]), *row[1:5])
    debits, credits_, held, last = row[5:9]
    if as_of is None or as_of >= last:
        return Balance(account, key, last, debits, credits_, held)
    old_debits, old_credits = await _counters_after(connection, account, as_of)
    return Balance(account, key, as_of, old_debits, old_credits, None)


async def list_statement(
    connection: Connection,
    account: int,
    *,
    limit: int = STATEMENT_LINES_MAX,
    before: tuple[int, int] | None = None,
    as_of: int | None = None,
) -> list[StatementLine]:
    """An account's transfers, newest first, each with the balance after it.

    Args:
        connection: to the region's schema.
        account: the account's number.
        limit: how many lines at the most.
        before: the (seq, line) of the last line that is already known; None: from the newest on.
        as_of: leave out what was booked after this `seq`.

    Raises:
        NotFound: no such account.
    """
    end = before[0] if before and (as_of is None or before[0] <= as_of) else as_of
    balance = await get_balance(connection, account, as_of=end)
    is_asset = balance.key.kind in ASSETS
    running = balance.balance
    after = (balance.seq + 1, 0)
    if before and before[0] == balance.seq:
        # The page begins within an entry: its later lines are known already, so they come off.
        after = before
        running -= await _moved_from(connection, account, before, is_asset=is_asset)
    cursor = await connection.execute(
        _STATEMENT, {"account": account, "seq": after[0], "line": after[1], "end": balance.seq, "limit": limit}
    )
    lines = []
    for row in await cursor.fetchall():
        amount = row[6] if row[5] == is_asset else -row[6]
        lines.append(_line(row, amount, running))
        running -= amount
    return lines


def _line(row: tuple[Any, ...], amount: int, balance: int) -> StatementLine:
    return StatementLine(
        seq=row[0],
        line=row[1],
        at=row[2],
        entry_id=row[3],
        kind=row[4],
        flow=row[12],
        amount=amount,
        balance=balance,
        counterpart=AccountKey(Kind(row[7]), *row[8:12]),
    )


async def _moved_from(connection: Connection, account: int, first: tuple[int, int], *, is_asset: bool) -> int:
    """What the lines of one entry, from the given one on, added to an account's balance; yen."""
    cursor = await connection.execute(
        """SELECT coalesce(sum(CASE WHEN debit_account = %s THEN amount ELSE -amount END), 0) FROM transfer
           WHERE seq = %s AND line >= %s AND (debit_account = %s OR credit_account = %s)""",
        [account, *first, account, account],
    )
    row = await cursor.fetchone()
    debited = int(row[0]) if row else 0
    return debited if is_asset else -debited


_STATEMENT: Final = """
    SELECT t.seq, t.line, e.at, e.id, e.kind, t.is_debit, t.amount, o.kind, o.holder, p.code, o.expires_on, o.grace,
           t.flow
    FROM (
        (SELECT seq, line, true AS is_debit, amount, credit_account AS other, flow FROM transfer
         WHERE debit_account = %(account)s AND seq <= %(end)s AND (seq, line) < (%(seq)s, %(line)s)
         ORDER BY seq DESC, line DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT seq, line, false, amount, debit_account, flow FROM transfer
         WHERE credit_account = %(account)s AND seq <= %(end)s AND (seq, line) < (%(seq)s, %(line)s)
         ORDER BY seq DESC, line DESC LIMIT %(limit)s)
    ) t
    JOIN entry e ON e.seq = t.seq
    JOIN account o ON o.id = t.other
    JOIN programme p ON p.id = o.programme
    ORDER BY t.seq DESC, t.line DESC LIMIT %(limit)s"""


async def _counters_after(connection: Connection, account: int, seq: int) -> tuple[int, int]:
    cursor = await connection.execute(
        """WITH mark AS (
               SELECT seq, debits, credits FROM account_mark
               WHERE account = %(account)s AND seq <= %(seq)s ORDER BY seq DESC LIMIT 1
           ), start AS (
               SELECT seq, debits, credits FROM mark UNION ALL SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT FROM mark)
           )
           SELECT
               debits + (SELECT coalesce(sum(amount), 0) FROM transfer t
                         WHERE debit_account = %(account)s AND t.seq > start.seq AND t.seq <= %(seq)s),
               credits + (SELECT coalesce(sum(amount), 0) FROM transfer t
                          WHERE credit_account = %(account)s AND t.seq > start.seq AND t.seq <= %(seq)s)
           FROM start""",
        {"account": account, "seq": seq},
    )
    row = await cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _balance(kind: Kind, debits: int, credits_: int) -> int:
    return debits - credits_ if kind in ASSETS else credits_ - debits
