"""Writes journal rows by hand, past the planner, to see what the database alone stops."""

from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest

from ledger.chart import Kind

HASH = bytes(32)


@dataclass
class RawBook:
    """Writes rows as a hostile or careless person with SQL would; `post` then asks the database to accept them."""

    connection: psycopg.Connection

    def one(self, query, *values):
        return self.connection.execute(query, values).fetchone()

    def seq(self):
        return self.one("SELECT max(seq) FROM (SELECT seq FROM entry UNION ALL SELECT seq FROM book) s")[0] + 1

    def programme(self, code):
        return self.one("SELECT id FROM programme WHERE code = %s", code)[0]

    def find(self, key):
        found = self.one(
            """SELECT a.id FROM account a JOIN programme p ON p.id = programme
               WHERE kind = %s AND holder = %s AND p.code = %s AND expires_on IS NOT DISTINCT FROM %s
                 AND grace = %s""",
            *(key.kind.value, key.holder, key.programme, key.expires_on, key.grace),
        )
        return found[0] if found else None

    def account(self, key):
        """The account's number; it is opened if there is none."""
        found = self.find(key)
        if found is not None:
            return found
        number = self.one("SELECT coalesce(max(id), 0) + 1 FROM account")[0]
        self.connection.execute(
            "INSERT INTO account (id, kind, holder, programme, expires_on, grace, ceiling)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                *(number, key.kind.value, key.holder, self.programme(key.programme), key.expires_on, key.grace),
                {Kind.RECEIVABLE: 10_000, Kind.RISK: 5_000}.get(key.kind),
            ],
        )
        return number

    def entry(self, *, transfers=0, holds=0, counts=0, **columns):
        """An entry with nothing in it yet; its seq."""
        row = {
            "seq": self.seq(),
            "at": self.one("SELECT greatest(at, now()) FROM book")[0],
            "id": uuid4(),
            "hash_prefix": 0,
            "transfers": transfers,
            "hold_movements": holds,
            "limit_counts": counts,
            "kind": "raw",
            "fingerprint": bytes(24),
        } | columns
        self.insert("entry", **row)
        return row["seq"]

    def transfer(self, flow, debit, credit, amount, *, seq, line=1, undoes=(None, None), **columns):
        row = {
            "seq": seq,
            "line": line,
            "flow": flow,
            "debit_account": self.account(debit),
            "credit_account": self.account(credit),
            "debit_kind": debit.kind.value,
            "credit_kind": credit.kind.value,
            "programme": self.programme(debit.programme),
            "amount": amount,
            "undoes_seq": undoes[0],
            "undoes_line": undoes[1],
        } | columns
        self.insert("transfer", **row)

    def move(self, flow, debit, credit, amount, *, undoes=(None, None), entry=(), **columns):
        """An entry of one transfer; its seq."""
        seq = self.entry(transfers=1, **dict(entry))
        self.transfer(flow, debit, credit, amount, seq=seq, undoes=undoes, **columns)
        return seq

    def insert(self, table, **row):
        places = ", ".join(["%s"] * len(row))
        self.connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values()))

    def post(self, last=None, last_hash=HASH, accounts=None, counters=None):
        numbers = self.one(
            "SELECT coalesce((SELECT max(id) FROM account), 0), coalesce((SELECT max(id) FROM limit_counter), 0)"
        )
        self.connection.execute(
            "SELECT post_batch(%s, %s, %s, %s)",
            [
                self.seq() - 1 if last is None else last,
                last_hash,
                numbers[0] if accounts is None else accounts,
                numbers[1] if counters is None else counters,
            ],
        )

    def seq_of(self, instruction):
        return self.one("SELECT seq FROM entry WHERE id = %s", instruction.id)[0]


@contextmanager
def stopped_by(*constraints):
    with pytest.raises(psycopg.Error) as caught:
        yield
    assert caught.value.diag.constraint_name in constraints, caught.value
