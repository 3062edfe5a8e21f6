"""I01: whatever an administrator changes behind the book's back, `verify` names the row.

With `session_replication_role = replica` neither triggers nor foreign keys run, as for somebody who means it. Each
case is a statement, and the row that is named first.
"""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from ledger.instructions import CounterKey, Limit
from ledger.verify import CHUNK_ENTRIES, verify_book
from tests.ledger import ledger_factories as f
from tests.races.racing import post_all
from tests.region_under_test import region_under_test

FAR = f.NOON + timedelta(days=36500)
PAID = f.pay(f.HANAKO, f.BAKERY, 300, limits=(Limit(CounterKey("wallet", f.HANAKO), 300, day_max=9000),))
# Entries 1 to 12, in batches of one; then 300 more in two batches, so that the bakery has marks.
STORY = (
    f.top_up(f.HANAKO, 5000),
    f.top_up(f.TARO, 5000),
    PAID,
    f.pay(f.HANAKO, f.BAKERY, 200, single_use=f.single_use("spent", FAR), reason="lunch"),
    placed := f.hold(f.payment(f.TARO, f.BAKERY, 400), FAR),
    f.capture(placed, 100, releases_rest=False),
    f.refund(PAID, 50),
    f.fund(1000, programme="premium"),
    f.bonus(f.TARO, 70, programme="premium"),
    f.gift(f.HANAKO, f.TARO, 11),
    f.settle(amount=100, fee=5),
    f.pay(f.TARO, f.GREENGROCER, 9),
)
MANY = 290


@pytest.fixture(scope="module")
def told_database(cluster, region_template):
    """The story told once; every test spoils a copy of its own."""
    with region_under_test(cluster, region_template) as region:

        async def tell():
            async with region.bookkeeper() as bookkeeper:
                for one in STORY:
                    await bookkeeper.post(one)
                for _ in range(2):
                    await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(MANY // 2)])

        asyncio.run(tell())
        yield region


@pytest.fixture
def told(told_database, cluster):
    name = told_database.urls.application.rsplit("/", 1)[1].split("?")[0]
    with region_under_test(cluster, name) as region:
        region.is_tampered = True
        yield region


def spoil(region, statement):
    with region.connect_sync(role="superuser") as connection:
        connection.execute("SET session_replication_role = replica")
        rows = [connection.execute(one).rowcount for one in statement.split(";") if one.strip()]
    assert all(rows), "the statement changed nothing"


def findings_of(region):
    return [(one.row, one.says) for one in asyncio.run(region.verify()).findings]


def test_I01_an_untouched_book_is_clean(told):
    verification = asyncio.run(told.verify())
    assert verification.is_clean
    assert verification.entries == len(STORY) + MANY


def test_I01_an_empty_book_is_clean(region):
    assert asyncio.run(region.verify()).is_clean


CASES = {
    "line_renumbered": ("UPDATE transfer SET line = 7 WHERE seq = 11 AND line = 2", "entry 11"),
    "book_closed_by_nobody": ("UPDATE book SET is_open = false", "book"),
    "book_lost_count": ("UPDATE book SET counter_id = counter_id + 5", "book"),
    "flow_switched_by_nobody": (
        "UPDATE programme_flow SET is_on = false WHERE flow = 'gift' AND programme = 1",
        "flow yen gift",
    ),
    "mark_before_the_beginning": (
        "INSERT INTO account_mark (account, seq, debits, credits) VALUES (1, -1, 5, 5)",
        "entry -1",
    ),
    "instant_of_the_book": ("UPDATE book SET at = at + interval '1 second'", "book"),
    "amount": ("UPDATE transfer SET amount = 301 WHERE seq = 3", "entry 3 (payment"),
    "amount_in_a_batch": ("UPDATE transfer SET amount = 2 WHERE seq = 100", "entry 100 (payment"),
    "amount_of_the_first": ("UPDATE transfer SET amount = 1 WHERE seq = 1", "entry 1 (top_up"),
    "amount_of_the_last": ("UPDATE transfer SET amount = 2 WHERE seq = 302", "entry 302 (payment"),
    "amount_with_its_counters": (
        """UPDATE transfer SET amount = 10 WHERE seq = 12;
           UPDATE account SET debits = debits + 1
               WHERE id = (SELECT debit_account FROM transfer WHERE seq = 12);
           UPDATE account SET credits = credits + 1
               WHERE id = (SELECT credit_account FROM transfer WHERE seq = 12)""",
        "entry 12 (payment",
    ),
    "debtor": (
        "UPDATE transfer SET debit_account = (SELECT debit_account FROM transfer WHERE seq = 12) WHERE seq = 4",
        "entry 4 (payment",
    ),
    "direction": (
        "UPDATE transfer SET debit_account = credit_account, credit_account = debit_account WHERE seq = 10",
        "entry 10 (gift",
    ),
    "account_that_is_not_there": ("UPDATE transfer SET credit_account = 4000 WHERE seq = 4", "entry 4 (payment"),
    "programme": ("UPDATE transfer SET programme = 2 WHERE seq = 4", "entry 4 (payment"),
    "undone_line": ("UPDATE transfer SET undoes_seq = 4 WHERE seq = 7", "entry 7 (refund"),
    "deleted_transfer": ("DELETE FROM transfer WHERE seq = 4", "entry 4 (payment"),
    "deleted_line_of_two": ("DELETE FROM transfer WHERE seq = 11 AND line = 2", "entry 11 (settle"),
    "inserted_line": (
        """INSERT INTO transfer SELECT seq, debit_account, credit_account, 5, undoes_seq, undoes_line, 2, programme,
               flow, debit_kind, credit_kind FROM transfer WHERE seq = 12""",
        "entry 12 (payment",
    ),
    "instant": ("UPDATE entry SET at = at + interval '1 microsecond' WHERE seq = 4", "entry 4 (payment"),
    "id": ("UPDATE entry SET id = gen_random_uuid() WHERE seq = 4", "entry 4 (payment"),
    "kind": ("UPDATE entry SET kind = 'gift' WHERE seq = 4", "entry 4 (gift"),
    "reason": ("UPDATE entry SET reason = 'dinner' WHERE seq = 4", "entry 4 (payment"),
    "reason_removed": ("UPDATE entry SET reason = NULL WHERE seq = 4", "entry 4 (payment"),
    "people": (f"UPDATE entry SET ordered_by = '{f.CLERK}' WHERE seq = 4", "entry 4 (payment"),
    "evidence": ("UPDATE entry SET evidence = sha256('x') WHERE seq = 4", "entry 4 (payment"),
    "single_use": (
        "UPDATE entry SET single_use_digest = NULL, single_use_expires_at = NULL WHERE seq = 4",
        "entry 4 (payment",
    ),
    "hash_prefix": ("UPDATE entry SET hash_prefix = hash_prefix # 1 WHERE seq = 4", "entry 4 (payment"),
    "number_of_lines": ("UPDATE entry SET transfers = 2 WHERE seq = 4", "entry 4 (payment"),
    "deleted_entry": ("DELETE FROM entry WHERE seq = 4; DELETE FROM transfer WHERE seq = 4", "entry 4"),
    "deleted_entry_in_a_batch": ("DELETE FROM entry WHERE seq = 100", "entry 100"),
    "deleted_last_entry": ("DELETE FROM entry WHERE seq = 302; DELETE FROM transfer WHERE seq = 302", "entry 302"),
    "deleted_first_entry": ("DELETE FROM entry WHERE seq = 1; DELETE FROM transfer WHERE seq = 1", "entry 1"),
    "swapped_entries": (
        """UPDATE entry SET seq = -seq WHERE seq IN (3, 4); UPDATE transfer SET seq = -seq WHERE seq IN (3, 4);
           UPDATE limit_count SET seq = -seq WHERE seq = 3;
           UPDATE entry SET seq = 7 + seq WHERE seq < 0; UPDATE transfer SET seq = 7 + seq WHERE seq < 0;
           UPDATE limit_count SET seq = 7 + seq WHERE seq < 0""",
        "entry 3 (payment",
    ),
    "entry_beyond_the_end": (
        """INSERT INTO entry SELECT 303, at, gen_random_uuid(), NULL, NULL, NULL, 0, 1, 0, 0, 'payment',
               fingerprint, NULL, NULL, NULL FROM entry WHERE seq = 302""",
        "entry 303",
    ),
    "transfer_beyond_the_end": (
        """INSERT INTO transfer SELECT 303, debit_account, credit_account, amount, undoes_seq, undoes_line, line,
               programme, flow, debit_kind, credit_kind FROM transfer WHERE seq = 302""",
        "entry 303",
    ),
    "transfer_before_the_beginning": (
        """INSERT INTO transfer SELECT 0, debit_account, credit_account, amount, undoes_seq, undoes_line, line,
               programme, flow, debit_kind, credit_kind FROM transfer WHERE seq = 302""",
        "entry 0",
    ),
    "holder": (
        f"UPDATE account SET holder = '{uuid4()}' WHERE holder = '{f.TARO}' AND programme = 1",
        "entry 2 (top_up",
    ),
    "last_day": (f"UPDATE account SET expires_on = '2099-01-01' WHERE holder = '{f.TARO}'", "entry 2 (top_up"),
    "limit_count_amount": ("UPDATE limit_count SET amount = 30 WHERE seq = 3", "entry 3 (payment"),
    "limit_count_day": ("UPDATE limit_count SET day = day - 1 WHERE seq = 3", "entry 3 (payment"),
    "limit_count_deleted": ("DELETE FROM limit_count WHERE seq = 3", "entry 3 (payment"),
    "limit_subject": ("UPDATE limit_counter SET subject = gen_random_uuid()", "entry 3 (payment"),
    "hold_end": ("UPDATE hold SET expires_at = expires_at + interval '1 day'", "entry 5 (hold"),
    "hold_destination": (f"UPDATE hold SET credit_holder = '{uuid4()}'", "entry 5 (hold"),
    "hold_movement": ("UPDATE hold_movement SET amount = 101 WHERE seq = 6", "entry 6 (capture"),
    "hold_deleted": ("DELETE FROM hold", "entry 5 (hold"),
    "book_hash": ("UPDATE book SET hash = sha256('x')", "book"),
    "checkpoint": ("UPDATE checkpoint SET hash = sha256('x') WHERE seq = 4", "checkpoint 4"),
    "checkpoint_of_a_batch": (
        "UPDATE checkpoint SET hash = sha256('x') WHERE seq > 100 AND seq < 200",
        "checkpoint 157",
    ),
    "checkpoint_instant": ("UPDATE checkpoint SET at = at - interval '1 hour' WHERE seq = 4", "checkpoint 4"),
    "checkpoint_deleted": ("DELETE FROM checkpoint WHERE seq = 4", "checkpoint 4"),
    "mark": ("UPDATE account_mark SET credits = credits + 1", "mark of account"),
    "mark_made_up": (
        "INSERT INTO account_mark SELECT id, 4, debits, credits + 1 FROM account WHERE kind = 'reserve'",
        "mark of account 1 at entry 4",
    ),
    "deleted_account": (
        "DELETE FROM account WHERE id = 2",
        "entry 1 (top_up",
    ),
    "deleted_last_account": ("DELETE FROM account WHERE id = (SELECT max(id) FROM account)", "entry 12 (payment"),
}


@pytest.mark.parametrize("case", CASES)
def test_I01_the_changed_row_is_named_first(told, case):
    statement, row = CASES[case]
    spoil(told, statement)
    findings = findings_of(told)
    assert findings, "nothing was found"
    # The sum of the programme comes before the rows of the book; it names no row by itself.
    rows = [named for named, _ in findings if not named.startswith("programme ")]
    assert rows[0] == row or rows[0].startswith(row), findings[:4]


COUNTERS = {
    "credits": ("UPDATE account SET credits = credits + 1 WHERE id = 2", "account 2"),
    "both": ("UPDATE account SET debits = debits + 7, credits = credits + 7 WHERE id = 2", "account 2"),
    "held": ("UPDATE account SET held = held - 1 WHERE held > 0", "account 3"),
    "transfers": ("UPDATE account SET transfers = 0 WHERE id = 2", "account 2"),
    "hold": ("UPDATE hold_line SET released = released + 1", f"hold {placed.id} on account 3"),
    "hold_line_deleted": ("DELETE FROM hold_line", f"hold {placed.id} on account 3"),
    "limit_counter_day": ("UPDATE limit_counter SET day_used = 0", "limit counter 1"),
    "limit_counter_total": ("UPDATE limit_counter SET total_used = total_used - 1", "limit counter 1"),
    "limit_counter_moved_day": ("UPDATE limit_counter SET day = day - 1", "limit counter 1"),
    "undone": ("UPDATE undone SET undone = 10", "undone of entry 3, line 1"),
    "undone_deleted": ("DELETE FROM undone", "undone of entry 3, line 1"),
    "undone_amount": ("UPDATE undone SET amount = 3000", "undone of entry 3, line 1"),
    "account_beside_the_book": (
        "INSERT INTO account (id, holder, programme, kind) VALUES (90, gen_random_uuid(), 1, 'wallet')",
        "account 90",
    ),
}


@pytest.mark.parametrize("case", COUNTERS)
def test_I01_a_changed_counter_is_named_and_nothing_else_is(told, case):
    statement, row = COUNTERS[case]
    spoil(told, statement)
    rows = {named for named, _ in findings_of(told) if not named.startswith("programme ")}
    assert rows == {row}


def test_I01_value_out_of_nothing_is_seen_in_the_programmes_backing_too(told):
    spoil(told, "UPDATE account SET credits = credits + 1000000 WHERE id = 2")
    assert findings_of(told)[0][0] == "programme yen"


def test_I01_one_changed_row_does_not_accuse_the_batches_after_it(told):
    spoil(told, "UPDATE entry SET reason = 'dinner' WHERE seq = 4")
    findings = findings_of(told)
    assert len(findings) == 1
    assert "hash differs" in findings[0][1]


def test_I01_two_changed_rows_in_two_batches_are_both_named(told):
    spoil(told, "UPDATE entry SET reason = 'dinner' WHERE seq IN (4, 200)")
    assert [row.split(" (")[0] for row, _ in findings_of(told)] == ["entry 4", "entry 200"]


def test_the_fingerprint_depends_on_a_servers_key_and_is_not_part_of_the_chain(told):
    spoil(told, "UPDATE entry SET fingerprint = substr(sha256('x'), 1, 24)")
    assert findings_of(told) == []


def test_I01_findings_do_not_grow_without_end(told):
    spoil(told, "UPDATE account SET debits = debits + 1; DELETE FROM transfer")
    assert 0 < len(findings_of(told)) <= 50


async def verify_with_progress(region):
    said = []
    async with region.connect() as connection:
        verification = await verify_book(connection, report_progress=lambda done, of: said.append((done, of)))
    return verification, said


def test_a_book_of_5000_entries_is_read_in_chunks_and_proven_within_seconds(region):
    wallets = [uuid4() for _ in range(100)]

    async def grow():
        async with region.bookkeeper() as bookkeeper:
            await post_all(bookkeeper, [f.top_up(wallet, 1000) for wallet in wallets])
            for _ in range(7):
                await post_all(bookkeeper, [f.pay(wallet, f.BAKERY, 1) for wallet in wallets * 7])
        return await verify_with_progress(region)

    verification, said = asyncio.run(grow())
    assert verification.is_clean
    assert verification.entries == 5000
    assert said == [(CHUNK_ENTRIES, 5000), (2 * CHUNK_ENTRIES, 5000), (5000, 5000)]
    region.is_tampered = True
    spoil(region, "UPDATE transfer SET amount = 2 WHERE seq = 4321")
    assert findings_of(region)[0][0].startswith("entry 4321 (payment")


def test_verify_reads_while_payments_go_on(region):
    async def both():
        async with region.bookkeeper() as bookkeeper:
            await bookkeeper.post(f.top_up(f.HANAKO, 100_000))
            stop = asyncio.Event()

            async def pay_on():
                while not stop.is_set():
                    await post_all(bookkeeper, [f.pay(f.HANAKO, f.BAKERY, 1) for _ in range(20)])

            till = asyncio.create_task(pay_on())
            verifications = [await region.verify() for _ in range(10)]
            stop.set()
            await till
            return verifications

    verifications = asyncio.run(both())
    assert all(one.is_clean for one in verifications)
    assert verifications[-1].entries > verifications[0].entries
