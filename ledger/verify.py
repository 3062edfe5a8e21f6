"""Proves a book: recomputes the hash chain and rebuilds every counter, lot, hold, limit and mark from the journal.

Reads the stored counters in one short snapshot, then the journal up to that `seq` in short chunks: a long snapshot
would stop the server from pruning the hot rows. Memory grows with accounts and limits, not with the journal. It
needs no trust in the application's code paths: what it compares was written by others.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from database.connections import Connection
from database.days import day_in_japan
from ledger.book import Book, list_programmes, read_book
from ledger.chart import FLOWS
from ledger.entries import Entry, Movement, first_hash, hash_prefix, next_hash
from ledger.entry_reading import entries_between
from ledger.programmes import Programme
from ledger.refusals import Refusal
from ledger.stored_counters import StoredCounters, read_stored_counters
from ledger.trial_balance import read_trial_balances

CHUNK_ENTRIES: Final = 2000
FINDINGS_MAX: Final = 50


class BookNotClean(Refusal):
    """A region's book does not hold; this is its first bad row."""

    code = "book_not_clean"
    region: str
    row: str
    says: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold: which row, and what is wrong with it."""

    row: str
    says: str


@dataclass(slots=True)
class Verification:
    """What a verification found. The first finding is the first bad row in the book's order."""

    region: str
    entries: int
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything holds."""
        return not self.findings

    def find(self, row: str, says: str) -> None:
        """Adds a finding; beyond a number that nobody reads, they are dropped."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(row, says))


@dataclass(slots=True)
class _Journal:
    """What the journal read so far comes to."""

    verification: Verification
    programmes: dict[str, Programme]
    rebuilt: StoredCounters
    hash: bytes
    is_chain_broken: bool = False
    at: datetime | None = None
    checkpoint: int = 0


async def verify_book(
    connection: Connection, *, report_progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Verification:
    """Verifies a region's book as it is now.

    Args:
        connection: to the region's schema; the application's role is enough.
        report_progress: called with the entries read and those there are.
    """
    await connection.rollback()
    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    book = await read_book(connection)
    stored = await read_stored_counters(connection, book)
    programmes = {programme.code: programme for programme in await list_programmes(connection)}
    # What is seen in the snapshot is told after the book's own rows.
    beside = [
        *await _find_rows_outside(connection, book),
        *await _find_undone_too_far(connection),
        *await _find_unbacked(connection),
        *await _find_undecided(connection),
    ]
    await connection.rollback()
    verification = Verification(book.region, book.seq)
    journal = _Journal(verification, programmes, StoredCounters.empty(len(stored.debits)), first_hash(book.region))
    for first in range(1, book.seq + 1, CHUNK_ENTRIES):
        last = min(first + CHUNK_ENTRIES - 1, book.seq)
        await _read_chunk(connection, journal, first, last)
        await connection.rollback()
        report_progress(last, book.seq)
    _compare_end(verification, book, journal)
    for finding in beside:
        verification.find(finding.row, finding.says)
    for row, says in stored.differences(journal.rebuilt):
        verification.find(row, says)
    return verification


async def _find_rows_outside(connection: Connection, book: Book) -> list[Finding]:
    findings = []
    for table in ("entry", "transfer", "hold", "hold_movement", "limit_count", "checkpoint", "account_mark"):
        cursor = await connection.execute(
            f"SELECT min(seq), count(*) FROM {table} WHERE seq > %s OR seq < 1", [book.seq]
        )
        row = await cursor.fetchone()
        if row and row[1]:
            says = f"lies outside the book, with {row[1]} rows of the table {table}"
            findings.append(Finding(f"entry {row[0]}", says))
    return findings


async def _find_undone_too_far(connection: Connection) -> list[Finding]:
    cursor = await connection.execute(
        """SELECT u.seq, u.line FROM undone u LEFT JOIN transfer t USING (seq, line)
           WHERE u.amount IS DISTINCT FROM t.amount OR u.undone > t.amount ORDER BY u.seq, u.line LIMIT %s""",
        [FINDINGS_MAX],
    )
    says = "does not fit the transfer that was undone"
    return [Finding(f"undone of entry {seq}, line {line}", says) for seq, line in await cursor.fetchall()]


async def _find_undecided(connection: Connection) -> list[Finding]:
    """What stands otherwise than it was last decided, or than the programme says."""
    findings = []
    for query, row, says in (
        (
            """SELECT p.code || ' ' || f.flow FROM programme_flow f JOIN programme p ON p.id = f.programme
               WHERE f.is_on IS DISTINCT FROM (
                   SELECT c.is_on FROM programme_flow_change c
                   WHERE c.programme = f.programme AND c.flow = f.flow ORDER BY c.id DESC LIMIT 1)""",
            "flow {}",
            "is not switched as it was last decided",
        ),
        (
            """SELECT a.id::text FROM account a JOIN programme p ON p.id = a.programme
               WHERE a.ceiling IS DISTINCT FROM
                   CASE a.kind WHEN 'receivable' THEN p.receivable_max WHEN 'risk' THEN p.risk_max END""",
            "account {}",
            "has another ceiling than its programme gives",
        ),
        (
            """SELECT '' FROM book WHERE is_open IS DISTINCT FROM
                   coalesce((SELECT is_open FROM book_change ORDER BY id DESC LIMIT 1), true)
                   OR counter_id <> coalesce((SELECT max(id) FROM limit_counter), 0)""",
            "book{}",
            "is not open as it was last decided, or has lost count of its counters",
        ),
    ):
        cursor = await connection.execute(query)
        findings += [Finding(row.format(found[0]), says) for found in await cursor.fetchall()]
    return findings


async def _find_unbacked(connection: Connection) -> list[Finding]:
    return [
        Finding(
            f"programme {balance.programme}",
            f"is not backed: assets {balance.assets:,}, liabilities {balance.liabilities:,}, "
            f"difference {balance.difference:,}",
        )
        for balance in await read_trial_balances(connection)
        if not balance.is_balanced
    ]


async def _read_chunk(connection: Connection, journal: _Journal, first: int, last: int) -> None:
    entries = {entry.seq: entry for entry in await entries_between(connection, first, last)}
    claims = await _rows(
        connection,
        """SELECT seq, transfers, hold_movements, limit_counts, hash_prefix, EXISTS (
               SELECT FROM transfer t JOIN account d ON d.id = debit_account JOIN account c ON c.id = credit_account
               WHERE t.seq = entry.seq AND (t.programme, t.programme, t.debit_kind, t.credit_kind)
                   <> (d.programme, c.programme, d.kind, c.kind))
           FROM entry WHERE seq BETWEEN %s AND %s""",
        first,
        last,
    )
    claimed = {row[0]: row[1:] for row in claims}
    found = await _rows(connection, "SELECT seq, hash, at FROM checkpoint WHERE seq BETWEEN %s AND %s", first, last)
    checkpoints = {row[0]: row[1:] for row in found}
    for seq in range(first, last + 1):
        if seq in entries:
            _check_entry(journal, entries[seq], claimed[seq])
        else:
            journal.verification.find(f"entry {seq}", "is missing: the book has a gap")
            journal.is_chain_broken = True
        if seq in checkpoints:
            _check_checkpoint(journal, seq, *checkpoints[seq])
    await _rebuild_chunk(connection, journal, entries, first, last)


def _check_entry(journal: _Journal, entry: Entry, claimed: tuple[Any, ...]) -> None:
    find = journal.verification.find
    row = f"entry {entry.seq} ({entry.kind}, {entry.id})"
    for name, parts, number in zip(
        ("transfers", "hold movements", "limit counts"),
        (entry.transfers, entry.hold_movements, entry.limit_counts),
        claimed,
        strict=False,
    ):
        if len(parts) != number:
            find(row, f"has {len(parts)} {name} where {number} were booked")
    if claimed[4]:
        find(row, "has a transfer of another programme or kind than its accounts")
    if not journal.is_chain_broken:
        journal.hash = next_hash(journal.hash, entry)
        if hash_prefix(journal.hash) != claimed[3]:
            find(row, "is not what was booked: its hash differs")
            journal.is_chain_broken = True
    if journal.at is not None and entry.at < journal.at:
        find(row, "is earlier than the entry before it")
    if journal.at is not None and entry.at != journal.at and journal.checkpoint != entry.seq - 1:
        find(f"checkpoint {entry.seq - 1}", "is missing: a batch has one instant and ends with a checkpoint")
    journal.at = entry.at
    _check_flows(journal, entry, row)


def _check_flows(journal: _Journal, entry: Entry, row: str) -> None:
    find = journal.verification.find
    for number, transfer in enumerate(entry.transfers, start=1):
        flow = FLOWS.get(transfer.flow)
        funding = journal.programmes[transfer.debit.programme].funding
        if flow is None or not flow.allows(funding, transfer.debit.kind, transfer.credit.kind):
            way = f"{transfer.flow} {transfer.debit.kind} → {transfer.credit.kind}"
            find(f"{row}, line {number}", f"the chart has no such flow: {way}")
        elif flow.needs_two_people and (entry.ordered_by is None or entry.approved_by is None):
            find(f"{row}, line {number}", f"{transfer.flow} needs two people")
        if transfer.debit.programme != transfer.credit.programme:
            find(f"{row}, line {number}", "crosses programmes")
        if transfer.undoes:
            undone = journal.rebuilt.undone
            undone[transfer.undoes] = undone.get(transfer.undoes, 0) + transfer.amount


def _check_checkpoint(journal: _Journal, seq: int, stored: bytes, at: datetime) -> None:
    if not journal.is_chain_broken and journal.hash != stored:
        journal.verification.find(f"checkpoint {seq}", "is not the hash of the entries before it")
    if journal.at is not None and at != journal.at:
        journal.verification.find(f"checkpoint {seq}", "has another instant than its entry")
    journal.checkpoint = seq
    # What comes after a bad row is judged from the next stored hash on, so that one row is named and not all.
    journal.hash = stored
    journal.is_chain_broken = False


async def _rebuild_chunk(
    connection: Connection, journal: _Journal, entries: dict[int, Entry], first: int, last: int
) -> None:
    rebuilt = journal.rebuilt
    marks = await _rows(
        connection,
        "SELECT seq, account, debits, credits FROM account_mark WHERE seq BETWEEN %s AND %s ORDER BY seq",
        first,
        last,
    )
    marks.reverse()
    before = (0, 0)
    for seq, line, debit, credit, amount in await _rows(
        connection,
        """SELECT seq, line, debit_account, credit_account, amount FROM transfer
           WHERE seq BETWEEN %s AND %s ORDER BY seq, line""",
        first,
        last,
    ):
        if line != (before[1] + 1 if seq == before[0] else 1):
            journal.verification.find(f"entry {seq}", f"has a line {line} that does not follow the one before it")
        before = (seq, line)
        while marks and marks[-1][0] < seq:
            _check_mark(journal, marks.pop())
        if rebuilt.knows(debit) and rebuilt.knows(credit):
            rebuilt.add_transfer(debit, credit, amount)
        else:
            journal.verification.find(f"entry {seq}", f"names an account outside the book: {debit} or {credit}")
    while marks:
        _check_mark(journal, marks.pop())
    for hold, account, movement, amount in await _rows(
        connection,
        """SELECT hold, account, movement, amount FROM hold_movement
           WHERE seq BETWEEN %s AND %s ORDER BY seq, line""",
        first,
        last,
    ):
        if rebuilt.knows(account):
            rebuilt.add_hold_movement(hold, account, Movement(movement), amount)
    for seq, counter, day, amount in await _rows(
        connection,
        "SELECT seq, counter, day, amount FROM limit_count WHERE seq BETWEEN %s AND %s ORDER BY seq, line",
        first,
        last,
    ):
        if seq in entries:
            rebuilt.add_limit_count(counter, day_in_japan(entries[seq].at), day, amount)


def _check_mark(journal: _Journal, mark: tuple[Any, ...]) -> None:
    seq, account, debits, credits_ = mark
    rebuilt = journal.rebuilt
    if not rebuilt.knows(account) or (rebuilt.debits[account], rebuilt.credits[account]) != (debits, credits_):
        journal.verification.find(f"mark of account {account} at entry {seq}", "differs from the journal")


def _compare_end(verification: Verification, book: Book, journal: _Journal) -> None:
    if book.seq and journal.checkpoint != book.seq:
        verification.find(f"checkpoint {book.seq}", "is missing: the book's last entry ends a batch")
    if not journal.is_chain_broken and journal.hash != book.hash:
        verification.find("book", "its hash is not that of its last entry")
    if journal.at is not None and book.at != journal.at:
        verification.find("book", "its instant is not that of its last entry")


async def _rows(connection: Connection, query: Any, first: int, last: int) -> list[tuple[Any, ...]]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(query, [first, last])
    return await cursor.fetchall()
