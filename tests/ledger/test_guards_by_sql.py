"""The database as the last guard: what raw SQL may do as the application, as the owner and as the superuser.

Nothing here goes through the planner. Every attempt is rolled back, so the book stays clean.
"""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from database.days import day_in_japan
from database.urls import APPLICATION_ROLE, OWNER_ROLE
from ledger.accounts import AccountKey
from ledger.chart import FLOWS, Funding, Kind
from ledger.instructions import CounterKey, Limit
from ledger.refusals import Refusal
from tests.ledger import ledger_factories as f
from tests.ledger.raw_book import RawBook, stopped_by
from tests.region_under_test import region_under_test

ROLES = ("application", "owner", "superuser")
ADMINISTRATORS = ("owner", "superuser")
JOURNAL = {
    "entry": "reason",
    "transfer": "amount",
    "hold": "flow",
    "hold_movement": "amount",
    "limit_count": "amount",
    "checkpoint": "hash",
    "refused_instruction": "code",
    "programme_flow_change": "is_on",
    "account_mark": "debits",
}
UNDOING = tuple(name for name, flow in FLOWS.items() if flow.undoes)
FAR = datetime(2099, 1, 1, tzinfo=UTC)
YESTERDAY = day_in_japan(datetime.now(UTC)) - timedelta(days=1)
HELD = f.hold(f.payment(f.TARO, f.BAKERY, 300), FAR)
PAID = f.pay(
    f.HANAKO,
    f.BAKERY,
    400,
    single_use=f.single_use("spent", FAR),
    limits=(Limit(CounterKey("wallet", f.HANAKO), 400),),
)
STOCK = (
    f.top_up(f.HANAKO, 1000),
    f.top_up(f.TARO, 1000),
    PAID,
    HELD,
    f.fund(5000, programme="premium"),
    f.bonus(f.HANAKO, 200, programme="premium"),
)
REFUSED = f.pay(f.HANAKO, f.BAKERY, 999_999)


@pytest.fixture(scope="module")
def book(cluster, region_template):
    """A book with something in it: lots, takings, a hold of 300, a pot, counters, a refusal.

    One for all tests: none of them leaves anything behind, and the book is proven at the end.
    """

    async def stock(region):
        async with region.bookkeeper() as bookkeeper:
            for one in STOCK:
                await bookkeeper.post(one)
            with pytest.raises(Refusal):
                await bookkeeper.post(REFUSED)

    with region_under_test(cluster, region_template) as region:
        asyncio.run(stock(region))
        yield region


@pytest.fixture(params=ROLES)
def raw(request, book):
    """The book as one of the roles sees it; whatever was written is rolled back."""
    with book.connect_sync(role=request.param) as connection:
        yield RawBook(connection)
        connection.rollback()


# --- What may move where ----------------------------------------------------------------------------------------

TRY_ALL = """
DO $$
DECLARE
    way text[];
    outcome text;
    broken text;
    outcomes text[] := '{}';
    debited bigint;
    credited bigint;
    ids constant jsonb := current_setting('test.accounts')::jsonb;
    undoing constant text[] := current_setting('test.undoing')::text[];
    entry_seq constant bigint := current_setting('test.seq')::bigint;
BEGIN
    FOR way IN
        SELECT ARRAY[flow, d, c] FROM unnest(current_setting('test.flows')::text[]) flow,
            unnest(current_setting('test.kinds')::text[]) d, unnest(current_setting('test.kinds')::text[]) c
    LOOP
        -- A kind that this funding can't have has no account: its number leads nowhere.
        debited := coalesce((ids -> way[2] ->> 0)::bigint, -1);
        credited := coalesce((ids -> way[3] ->> 1)::bigint, -2);
        BEGIN
            INSERT INTO transfer (seq, line, flow, debit_account, credit_account, debit_kind, credit_kind,
                                  programme, amount, undoes_seq, undoes_line)
            VALUES (entry_seq, 1, way[1], debited, credited, way[2], way[3],
                    current_setting('test.programme')::int2, 1,
                    CASE WHEN way[1] = ANY(undoing) THEN entry_seq END, CASE WHEN way[1] = ANY(undoing) THEN 1 END);
            RAISE EXCEPTION 'it was written' USING ERRCODE = 'MG001';
        EXCEPTION
            WHEN SQLSTATE 'MG001' THEN outcome := 'written';
            WHEN integrity_constraint_violation OR check_violation OR foreign_key_violation THEN
                GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
                outcome := broken;
        END;
        outcomes := outcomes || (array_to_string(way, ' ') || '=' || outcome);
    END LOOP;
    PERFORM set_config('test.outcomes', array_to_string(outcomes, ','), true);
END $$"""


@pytest.mark.parametrize("funding", Funding)
@pytest.mark.parametrize("role", ROLES)
def test_C12_of_all_kinds_by_kinds_by_flows_exactly_the_charts_ways_can_be_written(book, role, funding):
    code = "yen" if funding is Funding.YEN else "premium"
    with book.connect_sync(role=role) as connection:
        outcomes = try_every_way(RawBook(connection), code, funding)
        connection.rollback()
    assert len(outcomes) == 13 * 13 * 44
    written = {way for way, outcome in outcomes.items() if outcome == "written"}
    assert written == {
        f"{flow.name} {debit} {credit}"
        for flow in FLOWS.values()
        for debit, credit in flow.pairs
        if flow.allows(funding, debit, credit)
    }
    charted = {f"{flow.name} {debit} {credit}" for flow in FLOWS.values() for debit, credit in flow.pairs}
    stopped_by_chart = {way for way, outcome in outcomes.items() if outcome == "transfer_flow_is_charted"}
    assert stopped_by_chart == outcomes.keys() - charted
    # What the chart knows and this funding does not, fails on the flow's switch or on the account that can't exist.
    rest = Counter(outcomes[way] for way in charted - written)
    assert rest.keys() <= {
        "transfer_flow_is_known",
        "transfer_debits_its_programme",
        "transfer_credits_its_programme",
    }


def try_every_way(raw, code, funding):
    foreign = Kind.GRANT if funding is Funding.YEN else Kind.RESERVE
    if funding is Funding.YEN:
        # Off, but known: whether a flow is on is asked when a batch is posted.
        raw.connection.execute(
            "SELECT switch_flow('yen', 'lawful_return', false, %s, %s, now())", [UUID(int=1), UUID(int=2)]
        )
    accounts = {
        kind.value: [raw.account(AccountKey(kind, uuid4(), code)), raw.account(AccountKey(kind, uuid4(), code))]
        for kind in Kind
        if kind is not foreign
    }
    settings = {
        "accounts": json.dumps(accounts),
        "undoing": "{" + ",".join(UNDOING) + "}",
        "flows": "{" + ",".join(FLOWS) + "}",
        "kinds": "{" + ",".join(Kind) + "}",
        "programme": str(raw.programme(code)),
        "seq": str(raw.entry(transfers=1)),
    }
    for name, value in settings.items():
        raw.connection.execute("SELECT set_config(%s, %s, true)", [f"test.{name}", value])
    raw.connection.execute(TRY_ALL)
    return dict(one.split("=") for one in raw.one("SELECT current_setting('test.outcomes')")[0].split(","))


@pytest.mark.parametrize(("code", "kind"), [("yen", Kind.GRANT), ("premium", Kind.RESERVE)])
def test_C12_a_programme_has_no_account_of_the_other_fundings_kind(raw, code, kind):
    with stopped_by("account_kind_fits_funding"):
        raw.account(AccountKey(kind, uuid4(), code))


def test_C12_a_kind_that_the_chart_does_not_know_has_no_account(raw):
    with stopped_by("account_kind_is_charted"):
        raw.insert("account", id=99, kind="bank", holder=uuid4(), programme=1)


def test_C10_a_transfer_cant_credit_another_programme(raw):
    seq = raw.entry(transfers=1)
    with stopped_by("transfer_credits_its_programme"):
        raw.transfer("payment", f.lot(f.HANAKO), f.takings(f.BAKERY, "premium"), 10, seq=seq)


def test_C10_a_transfer_cant_debit_another_programme(raw):
    seq = raw.entry(transfers=1)
    with stopped_by("transfer_debits_its_programme"):
        raw.transfer(
            "payment",
            f.lot(f.HANAKO),
            f.takings(f.BAKERY, "premium"),
            10,
            seq=seq,
            programme=raw.programme("premium"),
        )


def test_a_transfer_cant_lie_about_an_accounts_kind(raw):
    seq = raw.entry(transfers=1)
    with stopped_by("transfer_credits_its_programme"):
        # Wallet to wallet, called a payment.
        raw.transfer("payment", f.lot(f.HANAKO), f.lot(f.TARO), 10, seq=seq, credit_kind="takings")


@pytest.mark.parametrize("amount", [0, -1, 1_000_000_000_000, 2**53, 2**63 - 1])
def test_C06_an_amount_is_1_to_999_999_999_999(raw, amount):
    seq = raw.entry(transfers=1)
    with stopped_by("transfer_amount_is_positive"):
        raw.transfer("payment", f.lot(f.HANAKO), f.takings(), amount, seq=seq)


def test_C06_an_amount_beyond_64_bits_is_refused(raw):
    seq = raw.entry(transfers=1)
    with pytest.raises(errors.NumericValueOutOfRange):
        raw.transfer("payment", f.lot(f.HANAKO), f.takings(), 2**63, seq=seq)


def test_a_transfer_has_two_accounts(raw):
    seq = raw.entry(transfers=1)
    with stopped_by("transfer_has_two_accounts"):
        raw.transfer("gift", f.lot(f.HANAKO), f.lot(f.HANAKO), 10, seq=seq)


def test_a_flow_that_is_switched_off_is_refused_when_posted(raw):
    raw.connection.execute("SELECT switch_flow('yen', 'payment', false, %s, %s, now())", [UUID(int=1), UUID(int=2)])
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 10)
    with stopped_by("transfer_flow_is_on"):
        raw.post()


def test_a_flow_that_was_never_switched_on_is_refused(raw):
    seq = raw.entry(transfers=1, ordered_by=f.CLERK, approved_by=f.TREASURER)
    with stopped_by("transfer_flow_is_known"):
        raw.transfer("lawful_return", f.lot(f.HANAKO), f.reserve(), 10, seq=seq)


@pytest.mark.parametrize(
    "people", [{}, {"ordered_by": f.CLERK}, {"approved_by": f.CLERK}], ids=["nobody", "orderer", "approver"]
)
@pytest.mark.parametrize(
    ("flow", "debit", "credit"),
    [
        ("succession", f.lot(f.HANAKO), f.lot(f.TARO)),
        ("succession", f.takings(f.BAKERY), f.takings(f.GREENGROCER)),
        ("float_back", f.stock(), f.reserve()),
    ],
)
def test_H03_what_needs_two_people_is_refused_with_fewer(raw, flow, debit, credit, people):
    raw.move("float_buy", f.reserve(), f.stock(), 50)
    raw.move(flow, debit, credit, 10, entry=people.items())
    with stopped_by("entry_needs_two_people"):
        raw.post()


def test_H03_nobody_approves_his_own_order(raw):
    with stopped_by("entry_two_people_differ"):
        raw.entry(transfers=1, ordered_by=f.CLERK, approved_by=f.CLERK)


def test_H03_nobody_switches_a_flow_or_closes_the_book_alone(raw):
    with stopped_by("programme_flow_by_two_people"), raw.connection.transaction():
        raw.connection.execute("SELECT switch_flow('yen', 'gift', false, %s, %s, now())", [f.CLERK, f.CLERK])
    with stopped_by("book_change_by_two_people"), raw.connection.transaction():
        raw.connection.execute("SELECT open_or_close_book(false, %s, %s, now())", [f.CLERK, f.CLERK])
    for pair in ([f.CLERK, None], [None, f.CLERK]):
        with pytest.raises(errors.NotNullViolation), raw.connection.transaction():
            raw.connection.execute("SELECT switch_flow('yen', 'gift', false, %s, %s, now())", pair)
        with pytest.raises(errors.NotNullViolation), raw.connection.transaction():
            raw.connection.execute("SELECT open_or_close_book(false, %s, %s, now())", pair)


def test_a_closed_book_takes_nothing_by_sql_either(raw):
    raw.connection.execute("SELECT open_or_close_book(false, %s, %s, now())", [f.CLERK, f.TREASURER])
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1)
    with stopped_by("book_is_open"):
        raw.post()


# --- Funds ------------------------------------------------------------------------------------------------------


def test_an_overdraft_of_one_yen_is_refused(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 601)
    with stopped_by("account_is_not_overdrawn"):
        raw.post()


def test_held_value_cant_be_spent(raw):
    raw.move("payment", f.lot(f.TARO), f.takings(), 701)
    with stopped_by("account_is_not_overdrawn"):
        raw.post()


def test_more_cant_be_held_than_there_is(raw):
    seq = raw.entry(holds=1)
    hold = place(raw, seq, f.HANAKO, 601)
    assert hold
    with stopped_by("account_is_not_overdrawn"):
        raw.post()


def test_C14_a_pot_cant_be_overdrawn(raw):
    raw.move("bonus", f.pot("premium"), f.lot(f.HANAKO, "premium"), 4801)
    with stopped_by("account_is_not_overdrawn"):
        raw.post()


def test_a_ceiling_is_kept(raw):
    raw.move("overlap", f.risk(), f.takings(), 5001)
    with stopped_by("account_ceiling_is_kept"):
        raw.post()


def test_a_receivable_never_falls_below_nothing(raw):
    raw.move("recover", f.takings(), f.receivable(), 1)
    with stopped_by("account_ceiling_is_kept"):
        raw.post()


def test_a_ceiling_is_the_programmes_and_not_the_inserters(raw):
    with stopped_by("account_ceiling_is_the_programmes"), raw.connection.transaction():
        raw.insert("account", id=99, kind="risk", holder=uuid4(), programme=1, ceiling=999_999_999)


def test_an_instant_that_nobody_can_live_to_see_is_refused(raw):
    for at in ("infinity", "9999-01-01T00:00Z"):
        with stopped_by("entry_at_check"), raw.connection.transaction():
            raw.entry(transfers=1, at=at)


def test_a_receivable_has_a_ceiling_and_a_wallet_has_none(raw):
    with stopped_by("account_ceiling_is_kept"), raw.connection.transaction():
        raw.insert("account", id=99, kind="receivable", holder=uuid4(), programme=1)
    with stopped_by("account_ceiling_is_kept"), raw.connection.transaction():
        raw.insert("account", id=99, kind="wallet", holder=uuid4(), programme=1, ceiling=5)


@pytest.mark.parametrize(
    ("flow", "credit", "entry"),
    [
        ("payment", f.takings(), {}),
        ("gift", f.lot(f.TARO, "yen", YESTERDAY), {}),
        ("succession", f.lot(f.TARO, "yen", YESTERDAY), f.TWO_PEOPLE),
        ("overlap_back", f.risk(), {}),
        ("lawful_return", f.reserve(), f.TWO_PEOPLE),
        ("top_up_cancel", f.reserve(), f.TWO_PEOPLE),
    ],
)
def test_F08_value_is_unusable_after_its_day(raw, flow, credit, entry):
    raw.connection.execute(
        "SELECT switch_flow('yen', 'lawful_return', true, %s, %s, now())", [UUID(int=1), UUID(int=2)]
    )
    ended = f.lot(f.HANAKO, "yen", YESTERDAY)
    undoes = (raw.move("top_up", f.reserve(), ended, 50), 1) if flow == "top_up_cancel" else (None, None)
    raw.move("top_up", f.reserve(), ended, 50)
    raw.move("overlap", f.risk(), f.takings(), 50)
    raw.move(flow, ended, credit, 10, undoes=undoes, entry=entry.items())
    with stopped_by("transfer_value_is_alive"):
        raw.post()


@pytest.mark.parametrize(
    "target",
    [f.lot(f.TARO), f.lot(f.TARO, "yen", f.NEXT_MONTH_END), f.lot(f.TARO, "yen", f.MONTH_END, grace=True)],
    ids=["never", "later", "grace"],
)
def test_F08_a_gift_never_changes_the_last_day(raw, target):
    source = f.lot(f.HANAKO, "yen", f.MONTH_END)
    raw.move("top_up", f.reserve(), source, 50)
    raw.move("gift", source, target, 10)
    with stopped_by("transfer_keeps_the_day"):
        raw.post()


def test_only_wallets_have_days_and_grace_has_one(raw):
    with stopped_by("account_only_wallets_expire"), raw.connection.transaction():
        raw.account(AccountKey(Kind.TAKINGS, uuid4(), "yen", f.MONTH_END))
    with stopped_by("account_only_wallets_expire"), raw.connection.transaction():
        raw.account(AccountKey(Kind.TAKINGS, uuid4(), "yen", f.MONTH_END, grace=True))
    with stopped_by("account_grace_expires"), raw.connection.transaction():
        raw.account(AccountKey(Kind.WALLET, uuid4(), "yen", None, grace=True))


def test_an_account_exists_once(raw):
    raw.account(f.takings(f.GREENGROCER))
    with stopped_by("account_natural_key"):
        raw.insert("account", id=99, kind="takings", holder=f.GREENGROCER, programme=raw.programme("yen"))


# --- Undoing ----------------------------------------------------------------------------------------------------


def test_V6_more_is_never_undone_than_was_moved(raw):
    payment = raw.seq_of(PAID)
    raw.move("refund", f.takings(), f.lot(f.HANAKO), 300, undoes=(payment, 1))
    raw.post()
    raw.move("refund", f.takings(), f.lot(f.HANAKO), 101, undoes=(payment, 1))
    with stopped_by("undone_not_more_than_moved"):
        raw.post()


def test_V6_two_refunds_in_one_batch_do_not_pass_the_payment_together(raw):
    payment = raw.seq_of(PAID)
    raw.move("payment", f.lot(f.TARO), f.takings(), 500)
    raw.move("refund", f.takings(), f.lot(f.HANAKO), 300, undoes=(payment, 1))
    raw.move("refund", f.takings(), f.lot(f.HANAKO), 101, undoes=(payment, 1))
    with stopped_by("undone_not_more_than_moved"):
        raw.post()


@pytest.mark.parametrize(
    ("flow", "debit", "credit"),
    [
        ("refund", f.takings(), f.lot(f.TARO)),
        ("refund", f.takings(), f.lot(f.HANAKO, "yen", f.NEXT_MONTH_END)),
        ("refund", f.takings(), f.lot(f.TARO, "yen", f.NEXT_MONTH_END, grace=True)),
        ("refund", f.takings(f.GREENGROCER), f.lot(f.HANAKO)),
        ("refund_advance", f.receivable(f.GREENGROCER), f.lot(f.HANAKO)),
        ("top_up_cancel", f.lot(f.HANAKO), f.reserve()),
        ("gift_back", f.lot(f.TARO), f.lot(f.HANAKO)),
    ],
    ids=["other_wallet", "other_day", "strangers_grace", "other_merchant", "other_debtor", "no_top_up", "no_gift"],
)
def test_V6_an_undoing_goes_back_the_way_the_value_came(raw, flow, debit, credit):
    raw.move("payment", f.lot(f.TARO), f.takings(f.GREENGROCER), 100)
    raw.post()
    raw.move(flow, debit, credit, 10, undoes=(raw.seq_of(PAID), 1), entry=f.TWO_PEOPLE.items())
    with stopped_by("transfer_mirrors_what_it_undoes"):
        raw.post()


def test_an_undoing_names_what_it_undoes_and_nothing_else_does(raw):
    seq = raw.entry(transfers=1)
    with stopped_by("transfer_undoing_names_its_line"), raw.connection.transaction():
        raw.transfer("refund", f.takings(), f.lot(f.HANAKO), 10, seq=seq)
    with stopped_by("transfer_undoing_names_its_line"), raw.connection.transaction():
        raw.transfer("payment", f.lot(f.HANAKO), f.takings(), 10, seq=seq, undoes=(3, 1))
    with stopped_by("transfer_undoing_names_its_line"), raw.connection.transaction():
        raw.transfer("refund", f.takings(), f.lot(f.HANAKO), 10, seq=seq, undoes=(3, None))
    with stopped_by("transfer_undoes_a_transfer"), raw.connection.transaction():
        raw.transfer("refund", f.takings(), f.lot(f.HANAKO), 10, seq=seq, undoes=(3, 2))


def test_a_transfer_cant_undo_itself(raw):
    seq = raw.entry(transfers=1)
    raw.transfer("refund", f.takings(), f.lot(f.HANAKO), 10, seq=seq, undoes=(seq, 1))
    with stopped_by("transfer_mirrors_what_it_undoes"):
        raw.post()


# --- Holds ------------------------------------------------------------------------------------------------------


def place(raw, seq, wallet, amount):
    hold = uuid4()
    raw.insert(
        "hold", id=hold, seq=seq, wallet=wallet, credit_holder=f.BAKERY, credit_kind="takings", flow="payment",
        expires_at=FAR,
    )  # fmt: skip
    account = raw.account(f.lot(wallet))
    raw.insert("hold_movement", seq=seq, account=account, amount=amount, hold=hold, line=1, movement="placed")
    return hold


@pytest.mark.parametrize("movement", ["captured", "released"])
def test_a_hold_gives_no_more_than_was_placed(raw, movement):
    seq = raw.entry(holds=1)
    raw.insert(
        "hold_movement",
        seq=seq,
        account=raw.find(f.lot(f.TARO)),
        amount=301,
        hold=HELD.id,
        line=1,
        movement=movement,
    )
    with stopped_by("hold_line_not_more_than_placed"):
        raw.post()


def test_a_hold_frees_nothing_on_an_account_where_it_holds_nothing(raw):
    seq = raw.entry(holds=1)
    raw.insert(
        "hold_movement",
        seq=seq,
        account=raw.find(f.lot(f.HANAKO)),
        amount=1,
        hold=HELD.id,
        line=1,
        movement="released",
    )
    with stopped_by("hold_movement_has_its_line"):
        raw.post()


def test_held_amounts_are_positive_and_their_hold_exists(raw):
    seq = raw.entry(holds=1)
    row = {"seq": seq, "account": raw.find(f.lot(f.TARO)), "hold": HELD.id, "line": 1, "movement": "placed"}
    for amount in (0, -1, 1_000_000_000_000):
        with stopped_by("hold_movement_amount_is_positive"), raw.connection.transaction():
            raw.insert("hold_movement", **row, amount=amount)
    with stopped_by("hold_movement_hold_fkey"), raw.connection.transaction():
        raw.insert("hold_movement", **(row | {"hold": uuid4()}), amount=1)


# --- Ids --------------------------------------------------------------------------------------------------------


def test_A01_a_single_use_key_is_spent_once(raw):
    spent = PAID.single_use
    with stopped_by("entry_single_use_is_spent_once"), raw.connection.transaction():
        raw.entry(transfers=1, single_use_expires_at=spent.expires_at, single_use_digest=spent.digest)
    with stopped_by("entry_single_use_is_whole"), raw.connection.transaction():
        raw.entry(transfers=1, single_use_digest=spent.digest)


def test_V5_an_id_makes_one_entry(raw):
    with stopped_by("entry_id_is_used_once"):
        raw.entry(transfers=1, id=PAID.id)


def test_V8_an_id_that_settled_cant_be_refused(raw):
    with stopped_by("refused_instruction_never_settled"):
        raw.insert(
            "refused_instruction", id=PAID.id, at=FAR, caller="x", fingerprint=bytes(24), code="x", facts="{}"
        )


def test_V8_an_id_that_was_refused_cant_settle(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1, entry={"id": REFUSED.id}.items())
    with stopped_by("entry_id_was_not_refused"):
        raw.post()


# --- The order of the book --------------------------------------------------------------------------------------


def test_what_is_well_formed_is_posted(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 600)
    raw.post()
    assert raw.one("SELECT debits, credits FROM account WHERE id = %s", raw.find(f.lot(f.HANAKO))) == (1000, 1000)


def test_V7_an_entry_that_was_not_posted_is_refused_at_commit(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1)
    with stopped_by("entry_is_posted"):
        raw.connection.commit()


def test_V7_an_account_that_was_not_posted_is_refused_at_commit(raw):
    raw.account(f.takings(uuid4()))
    with stopped_by("account_is_posted"):
        raw.connection.commit()


def test_V7_a_counter_that_was_not_posted_is_refused_at_commit(raw):
    raw.insert("limit_counter", id=99, subject=uuid4(), day=f.TODAY, family="wallet")
    with stopped_by("limit_counter_is_posted"):
        raw.connection.commit()


@pytest.mark.parametrize("seq", [-1, 0, 1, 6])
def test_V7_the_book_only_grows_at_its_end(raw, seq):
    with stopped_by("entry_grows_at_the_end", "entry_pkey"):
        raw.entry(transfers=1, seq=seq)


def test_V7_a_posted_entry_gets_no_further_line(raw):
    seq = raw.seq_of(PAID)
    with stopped_by("transfer_grows_at_the_end"), raw.connection.transaction():
        raw.transfer("payment", f.lot(f.HANAKO), f.takings(), 1, seq=seq, line=2)
    with stopped_by("hold_movement_grows_at_the_end"), raw.connection.transaction():
        raw.insert(
            "hold_movement", seq=seq, account=raw.find(f.lot(f.TARO)), amount=1, hold=HELD.id, line=1,
            movement="released",
        )  # fmt: skip
    with stopped_by("hold_grows_at_the_end"), raw.connection.transaction():
        place(raw, seq, f.HANAKO, 1)
    with stopped_by("limit_count_grows_at_the_end"), raw.connection.transaction():
        raw.insert("limit_count", seq=seq, counter=1, amount=1, day=f.TODAY, line=2)


def test_V7_a_gap_is_refused(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1, entry={"seq": raw.seq() + 1}.items())
    with stopped_by("book_has_no_gap"):
        raw.post()


def test_V7_an_entry_has_the_lines_that_it_says(raw):
    seq = raw.entry(transfers=2)
    raw.transfer("payment", f.lot(f.HANAKO), f.takings(), 1, seq=seq)
    with stopped_by("entry_has_its_lines"):
        raw.post()


def test_an_entry_moves_something(raw):
    with stopped_by("entry_moves_something"):
        raw.entry(counts=1)


def test_V7_time_never_falls(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1, entry={"at": f.NOON - timedelta(days=999)}.items())
    with stopped_by("book_time_never_falls"):
        raw.post()


def test_F05_a_batch_has_one_instant(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1, entry={"at": FAR}.items())
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1, entry={"at": FAR + timedelta(microseconds=1)}.items())
    with stopped_by("book_time_never_falls"):
        raw.post()


def test_nothing_can_be_posted_when_nothing_was_written(raw):
    end = raw.one("SELECT seq FROM book")[0]
    for last in (end, end + 1, end - 1, 0, -1, 2**62):
        with stopped_by("book_has_no_gap"), raw.connection.transaction():
            raw.post(last)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_has_32_bytes(raw, length):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1)
    with stopped_by("checkpoint_hash_check", "book_hash_check"):
        raw.post(last_hash=bytes(length))


def test_a_batch_is_posted_whole(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1)
    raw.move("payment", f.lot(f.HANAKO), f.takings(), 1)
    with stopped_by("entry_is_posted"):
        raw.post(raw.seq() - 2)
        raw.connection.commit()


def test_accounts_and_counters_have_no_gap(raw):
    raw.move("payment", f.lot(f.HANAKO), f.takings(uuid4()), 1)
    accounts = raw.one("SELECT max(id) FROM account")[0]
    for wrong in (accounts - 1, accounts + 1):
        with stopped_by("book_numbers_have_no_gap"), raw.connection.transaction():
            raw.post(accounts=wrong)
    for wrong in (0, 2):
        with stopped_by("book_numbers_have_no_gap"), raw.connection.transaction():
            raw.post(counters=wrong)
    with pytest.raises(psycopg.Error), raw.connection.transaction():
        raw.post(last=None, accounts=0)


@pytest.mark.parametrize("further", [2, 10**15])
def test_an_account_number_that_leaves_some_out_is_refused(raw, further):
    """`verify` keeps an array of all numbers: one that lies far out would cost it all memory there is."""
    number = raw.one("SELECT max(id) FROM account")[0] + further
    merchant = uuid4()
    raw.insert("account", id=number, kind="takings", holder=merchant, programme=raw.programme("yen"))
    raw.move("payment", f.lot(f.HANAKO), f.takings(merchant), 1)
    with stopped_by("book_numbers_have_no_gap"):
        raw.post()


def test_a_limit_counter_never_falls_below_nothing(raw):
    seq = raw.entry(transfers=1, counts=1)
    raw.transfer("payment", f.lot(f.HANAKO), f.takings(), 1, seq=seq)
    day = raw.one("SELECT day FROM limit_counter WHERE id = 1")[0]
    raw.insert("limit_count", seq=seq, counter=1, amount=-401, day=day, line=1)
    with stopped_by("limit_counter_not_below_zero"):
        raw.post()


# --- History is append-only -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ADMINISTRATORS)
def test_C13_history_can_be_neither_changed_nor_deleted_by_an_administrator(book, role):
    with book.connect_sync(role=role) as connection:
        for (table, column), change in product(JOURNAL.items(), ("UPDATE", "DELETE", "TRUNCATE")):
            with pytest.raises(errors.RestrictViolation) as caught, connection.transaction():
                connection.execute(change_of(table, column, change))
            assert caught.value.diag.constraint_name.endswith("_is_append_only")
            if change != "TRUNCATE":
                assert caught.value.diag.constraint_name == f"{table}_is_append_only"


def test_C13_history_can_be_neither_changed_nor_deleted_by_the_application(book):
    with book.connect_sync() as connection:
        for (table, column), change in product(JOURNAL.items(), ("UPDATE", "DELETE", "TRUNCATE")):
            with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
                connection.execute(change_of(table, column, change))


def change_of(table, column, change):
    return {
        "UPDATE": f"UPDATE {table} SET {column} = {column}",
        "DELETE": f"DELETE FROM {table}",
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }[change]


# --- What the application's role may do -------------------------------------------------------------------------

PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"]
INSERTS = {"entry", "transfer", "hold", "hold_movement", "limit_count", "refused_instruction"}
COLUMN_INSERTS = {
    "account": {"id", "holder", "ceiling", "expires_on", "programme", "grace", "kind"},
    "limit_counter": {"id", "subject", "day", "family"},
}


def test_the_application_reads_all_adds_to_the_journal_and_may_do_nothing_else(book):
    with book.connect_sync(role="superuser") as connection:
        rows = connection.execute(
            """SELECT relname, privilege, has_table_privilege(%s, c.oid, privilege)
               FROM pg_class c, unnest(%s::text[]) privilege
               WHERE relnamespace = 'region_komorebi'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
                 AND relname <> 'alembic_version'""",
            [APPLICATION_ROLE, PRIVILEGES],
        ).fetchall()
        columns = connection.execute(
            """SELECT relname, attname, privilege FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid,
                    unnest(ARRAY['INSERT', 'UPDATE', 'REFERENCES']) privilege
               WHERE relnamespace = 'region_komorebi'::regnamespace AND relkind = 'r' AND attnum > 0
                 AND NOT attisdropped AND has_column_privilege(%s, c.oid, attnum, privilege)""",
            [APPLICATION_ROLE],
        ).fetchall()
    assert len({row[0] for row in rows}) >= 16
    for table, privilege, has in rows:
        assert has is (privilege == "SELECT" or (privilege == "INSERT" and table in INSERTS)), (table, privilege)
    assert {row[2] for row in columns} == {"INSERT"}
    for table, may in COLUMN_INSERTS.items():
        assert {column for of, column, _ in columns if of == table} == may


def test_the_application_may_call_five_functions_make_nothing_and_own_nothing(book):
    with book.connect_sync(role="superuser") as connection:
        functions = connection.execute(
            """SELECT proname FROM pg_proc WHERE pronamespace = 'region_komorebi'::regnamespace
               AND prorettype <> 'trigger'::regtype AND has_function_privilege(%s, oid, 'EXECUTE')""",
            [APPLICATION_ROLE],
        ).fetchall()
        assert sorted(row[0] for row in functions) == [
            *("lock_book", "open_or_close_book", "open_programme", "post_batch", "switch_flow"),
        ]
        for question in (
            "has_schema_privilege(%s, 'region_komorebi', 'CREATE')",
            "has_schema_privilege(%s, 'meguri', 'CREATE')",
            "has_database_privilege(%s, current_database(), 'CREATE')",
        ):
            assert connection.execute(f"SELECT {question}", [APPLICATION_ROLE]).fetchone() == (False,), question
        owned = "SELECT count(*) FROM pg_class WHERE relowner = %s::regrole"
        assert connection.execute(owned, [APPLICATION_ROLE]).fetchone() == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account SET credits = credits + 1000000",
        "UPDATE account SET debits = 0",
        "UPDATE account SET held = 0",
        "UPDATE account SET ceiling = 999999999",
        "UPDATE book SET seq = 0",
        "UPDATE book SET hash = hash",
        "UPDATE undone SET undone = 1",
        "UPDATE hold_line SET released = placed",
        "UPDATE limit_counter SET day_used = 0",
        "UPDATE programme_flow SET is_on = true",
        "UPDATE programme SET receivable_max = 999999999",
        "DELETE FROM account",
        "DELETE FROM refused_instruction",
        "DELETE FROM limit_counter",
        "INSERT INTO account (id, holder, programme, kind, credits) VALUES (99, gen_random_uuid(), 1, 'wallet', 5)",
        "INSERT INTO account (id, holder, programme, kind, held) VALUES (99, gen_random_uuid(), 1, 'wallet', -5)",
        "INSERT INTO limit_counter (id, subject, day, family, total_used) SELECT 9, id, at, 'x', 0 FROM entry",
        "INSERT INTO undone VALUES (3, 1, 400, 1)",
        "INSERT INTO hold_line (hold, account, number, placed) SELECT hold, 1, 9, 1 FROM hold_line",
        "INSERT INTO checkpoint VALUES (99, now(), decode(repeat('00', 32), 'hex'))",
        "INSERT INTO book (region, hash) VALUES ('x', decode(repeat('00', 32), 'hex'))",
        "INSERT INTO programme VALUES (9, 'mine', 'yen', 0, 'day', NULL, 0, 0)",
        "INSERT INTO programme_flow SELECT 1, 'yen', 'lawful_return', true, id, id, now() FROM entry",
        "SELECT post_accounts(1, 3)",
        "SELECT post_limits(1, 3, current_date)",
        "ALTER TABLE transfer DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SET ROLE meguri_owner",
    ],
)
def test_C12_the_application_has_no_right_to(book, statement):
    with book.connect_sync() as connection:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)
        connection.rollback()


@pytest.mark.parametrize("shadow", ["account", "programme_flow"])
def test_C12_a_temporary_table_of_the_same_name_does_not_stand_in_for_the_real_one(region, shadow):
    """A server that was named from outside lets everybody make temporary tables, unless its operator forbade it."""
    database = region.urls.application.rsplit("/", 1)[1].split("?")[0]
    with region.connect_sync(role="superuser") as connection:
        connection.execute(f"GRANT TEMPORARY ON DATABASE {database} TO {APPLICATION_ROLE}")
        connection.execute("SELECT switch_flow('yen', 'gift', false, %s, %s, now())", [UUID(int=1), UUID(int=2)])
    with region.connect_sync() as connection:
        raw = RawBook(connection)
        raw.move("top_up", f.reserve(), f.lot(f.HANAKO), 600)
        if shadow == "account":
            raw.move("payment", f.lot(f.HANAKO), f.takings(), 601)
        else:
            raw.move("gift", f.lot(f.HANAKO), f.lot(f.TARO), 1)
        connection.execute(f"CREATE TEMPORARY TABLE {shadow} AS TABLE {shadow}")
        connection.execute(f"GRANT ALL ON pg_temp.{shadow} TO {OWNER_ROLE}")
        connection.execute("UPDATE programme_flow SET is_on = true" if shadow == "programme_flow" else "SELECT 1")
        with stopped_by("account_is_not_overdrawn", "transfer_flow_is_on"):
            raw.post()
        connection.rollback()
