"""A book with a random past, and the same past as a plain list from which everything can be recomputed."""

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ledger.accounts import AccountKey
from ledger.chart import ASSETS, Kind
from tests.ledger import ledger_factories as f
from tests.races.racing import FIRST, post_all

ENTRIES_ABOUT = 650
SHOPS = (f.BAKERY,) * 12 + (f.GREENGROCER,)
DAYS = (None, date(2027, 3, 31), date(2027, 6, 30))


@dataclass
class StepClock:
    """Moves on by a minute and a bit whenever it is read."""

    at: datetime = f.NOON

    def now(self):
        self.at += timedelta(seconds=61, microseconds=7)
        return self.at


@dataclass(frozen=True)
class Row:
    """One transfer as the journal has it."""

    seq: int
    line: int
    at: datetime
    entry_id: object
    kind: str
    flow: str
    debit: int
    credit: int
    amount: int


@dataclass
class History:
    """The journal as plain rows, and the accounts' keys by number."""

    rows: list
    keys: dict

    @property
    def end(self):
        return self.rows[-1].seq

    def counters(self, account, seq):
        """Debits and credits of an account after an entry, added up one by one."""
        rows = [row for row in self.rows if row.seq <= seq]
        return (
            sum(row.amount for row in rows if row.debit == account),
            sum(row.amount for row in rows if row.credit == account),
        )

    def balance(self, account, seq):
        debits, credits_ = self.counters(account, seq)
        return debits - credits_ if self.keys[account].kind in ASSETS else credits_ - debits

    def lines(self, account):
        """(row, amount as the account sees it, balance after it), oldest first."""
        sign = 1 if self.keys[account].kind in ASSETS else -1
        balance, lines = 0, []
        for row in self.rows:
            if account in {row.debit, row.credit}:
                amount = sign * (row.amount if row.debit == account else -row.amount)
                balance += amount
                lines.append((row, amount, balance))
        return lines

    def busiest(self):
        return max(self.keys, key=lambda account: len(self.lines(account)))


async def live_through(region, *, seed=7):
    """Books a random past in batches of 1 to 24."""
    chance = random.Random(seed)
    wallets = [f.person(f"wallet {number}") for number in range(6)]
    paid = []
    async with region.bookkeeper(clock=StepClock()) as bookkeeper:
        await post_all(bookkeeper, [f.top_up(one, 5000, expires_on=day) for one in wallets for day in DAYS])
        await post_all(bookkeeper, [f.fund(30_000, programme="premium")])
        booked = 0
        while booked < ENTRIES_ABOUT:
            asked = [_anything(chance, wallets, paid) for _ in range(chance.randint(1, 24))]
            words = await post_all(bookkeeper, asked)
            booked += words.count(FIRST)
            paid += [one for one, word in zip(asked, words, strict=True) if word == FIRST and one.kind == "payment"]


def _anything(chance, wallets, paid):
    wallet, other = chance.sample(wallets, 2)
    shop, amount = chance.choice(SHOPS), chance.randint(1, 90)
    dice = chance.random()
    if dice < 0.86 or not paid:
        return f.pay(wallet, shop, amount)
    if dice < 0.90:
        return f.refund(chance.choice(paid), chance.randint(1, 30))
    if dice < 0.93:
        return f.gift(wallet, other, amount)
    if dice < 0.96:
        return f.bonus(wallet, amount, programme="premium", expires_on=DAYS[1])
    if dice < 0.98:
        return f.instruction(
            f.payment(wallet, shop, amount),
            f.payment(other, shop, amount),
            f.payment(wallet, shop, 1),
            kind="shared",
        )
    return f.settle(fee=chance.randint(0, 3))


async def read_history(region):
    """The past as rows, read without any of the code under test."""
    async with region.connect() as connection:
        cursor = await connection.execute(
            """SELECT t.seq, line, at, id, kind, flow, debit_account, credit_account, amount
               FROM transfer t JOIN entry USING (seq) ORDER BY t.seq, line"""
        )
        rows = [Row(*row) for row in await cursor.fetchall()]
        cursor = await connection.execute(
            """SELECT a.id, kind, holder, code, expires_on, grace
               FROM account a JOIN programme p ON p.id = a.programme"""
        )
        keys = {row[0]: AccountKey(Kind(row[1]), *row[2:]) for row in await cursor.fetchall()}
    return History(rows, keys)
