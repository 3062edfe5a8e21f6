"""The planner: ids first, then spent codes, the closed region, limits, and last the moves; it changes nothing."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ledger.chart import Kind
from ledger.entries import Entry
from ledger.instructions import BalanceCeiling, CounterKey, Destination, Draw, Limit, Move
from ledger.planner import find_first_answer, plan, plan_give_up
from ledger.programmes import ExpiryBucket
from ledger.refusals import (
    FlowOff,
    IdGivenUp,
    IdReused,
    InstructionInvalid,
    InsufficientFunds,
    NotFound,
    RegionClosed,
    SecondPersonNeeded,
    SingleUseKeySpent,
)
from ledger.state import Refused, Settled
from tests.ledger.ledger_factories import (
    AGENT,
    BAKERY,
    CLERK,
    HANAKO,
    MONTH_END,
    NOON,
    TARO,
    TODAY,
    TREASURER,
    TWO_PEOPLE,
    MemoryBook,
    book_with,
    fund,
    give_up,
    grant,
    instruction,
    lot,
    move,
    new_state,
    pay,
    pot,
    replayed,
    reserve,
    single_use,
    stock,
    takings,
    top_up,
    yen,
)
from tests.properties.book_checks import check_book, snapshot


def test_an_entry_is_what_was_asked_for_at_the_next_place_and_the_batchs_instant():
    asked = top_up(HANAKO, 1000, reason="at the counter", evidence=bytes(32), single_use=single_use(), **TWO_PEOPLE)
    state = replace(new_state(), seq=41)
    entry = plan(state, asked)
    assert isinstance(entry, Entry)
    assert (entry.seq, entry.at, entry.id, entry.kind) == (42, NOON, asked.id, "top_up")
    assert (entry.ordered_by, entry.approved_by) == (CLERK, TREASURER)
    assert (entry.reason, entry.evidence, entry.single_use) == ("at the counter", bytes(32), single_use())
    assert entry.fingerprint == asked.fingerprint


@pytest.mark.parametrize("asked", [pay(HANAKO, BAKERY, 500), pay(HANAKO, BAKERY, 5000), pay(TARO, BAKERY, 1)])
def test_V12_planning_leaves_the_state_as_it_was(asked):
    state = book_with(top_up(HANAKO, 1000)).state
    before = snapshot(state)
    assert plan(state, asked) == plan(state, asked)
    assert snapshot(state) == before


def test_V12_an_instruction_that_fails_at_its_last_move_has_done_nothing():
    book = book_with(top_up(HANAKO, 1000))
    good = Move("top_up", reserve(), lot(), 500)
    bad = Draw("payment", HANAKO, 9999, Destination(Kind.TAKINGS, BAKERY))
    assert book.ask(instruction(good, good, bad)).code == "insufficient_funds"
    assert book.balance(lot()) == 1000
    assert book.balance(reserve()) == 1000
    check_book(book.state, book.booked)


# --- The order in which refusals are told -----------------------------------------------------------------------


def test_refusals_are_told_in_their_order():
    """All is wrong at first, and is put right one by one."""
    book = book_with(top_up(HANAKO, 100, single_use=single_use()))
    book.state.is_open = False
    limit = Limit(CounterKey("wallet", HANAKO), 10, day_max=5)
    full = BalanceCeiling(HANAKO, 10, 50)

    def asked(**rest):
        return pay(HANAKO, BAKERY, 5000, **rest)

    everything = {"single_use": single_use(), "limits": (limit,), "balance_ceilings": (full,)}
    assert book.ask(asked(**everything)).code == "code_used"
    del everything["single_use"]
    assert book.ask(asked(**everything)).code == "region_closed"
    book.state.is_open = True
    assert book.ask(asked(**everything)).code == "limit_day"
    del everything["limits"]
    assert book.ask(asked(**everything)).code == "limit_balance"
    assert book.ask(asked()).code == "insufficient_funds"


def test_a_closed_region_books_nothing_but_still_gives_first_answers_and_lets_ids_be_given_up():
    settled = top_up(HANAKO, 100)
    book = book_with(settled)
    book.state.is_open = False
    with pytest.raises(RegionClosed):
        book.post(top_up(HANAKO, 1))
    assert replayed(book.ask(settled))
    assert book.ask(give_up(top_up(HANAKO, 1))).code == "id_given_up"
    assert len(book.entries) == 1


# --- Ids and codes ----------------------------------------------------------------------------------------------


def test_B01_the_same_again_is_the_first_entry_and_books_nothing():
    asked = top_up(HANAKO, 100)
    book = book_with(asked)
    again = book.ask(asked)
    assert replayed(again)
    assert again.entry == book.entries[0]
    assert again.hash is None
    assert book.balance(lot()) == 100


def test_B01_the_first_answer_holds_whatever_has_changed_since():
    asked = pay(HANAKO, BAKERY, 100)
    book = book_with(top_up(HANAKO, 100))
    book.post(asked)
    book.switch("yen", off="payment")
    book.move_time(date(2030, 1, 1))
    assert replayed(book.ask(asked))


def test_B09_a_refusal_is_the_first_answer_too_even_when_it_would_succeed_now():
    asked = pay(HANAKO, BAKERY, 100)
    book = book_with()
    first = book.ask(asked)
    book.post(top_up(HANAKO, 1000))
    assert book.ask(asked) == first == InsufficientFunds(available=0)
    assert book.balance(takings()) == 0


def test_B09_a_refusal_that_is_not_stored_leaves_the_id_free():
    asked = pay(HANAKO, BAKERY, 100, stores_refusal=False)
    book = book_with()
    assert book.ask(asked).code == "insufficient_funds"
    book.post(top_up(HANAKO, 100))
    assert book.post(asked).transfers[0].amount == 100


def test_B02_the_same_id_with_another_body_is_refused_and_says_nothing_of_the_first():
    asked = pay(HANAKO, BAKERY, 100)
    book = book_with(top_up(HANAKO, 1000), asked)
    refusal = book.ask(pay(HANAKO, BAKERY, 101, id=asked.id))
    assert refusal == IdReused()
    assert refusal.facts() == {}
    assert replayed(book.ask(asked))


def test_B14_another_callers_id_is_refused_and_says_nothing_of_the_first():
    settled, refused = pay(HANAKO, BAKERY, 100), pay(HANAKO, BAKERY, 100_000)
    book = book_with(top_up(HANAKO, 1000), settled)
    book.ask(refused)
    for asked in (settled, refused):
        theirs = pay(HANAKO, BAKERY, asked.moves[0].amount, id=asked.id, caller="terminal:2")
        assert book.ask(theirs) == IdReused()
        assert book.ask(give_up(asked, caller="terminal:2")) == IdReused()


def test_B12_an_id_given_up_never_settles():
    asked = top_up(HANAKO, 100)
    book = MemoryBook()
    assert book.ask(give_up(asked)) == IdGivenUp()
    assert book.ask(asked) == IdGivenUp()
    assert book.ask(top_up(HANAKO, 5, id=asked.id)) == IdGivenUp()
    assert book.ask(give_up(asked)) == IdGivenUp()
    assert book.entries == []


def test_B12_giving_up_what_settled_gives_its_entry_and_undoes_nothing():
    asked = top_up(HANAKO, 100)
    book = book_with(asked)
    answer = book.ask(give_up(asked))
    assert replayed(answer)
    assert answer.entry.id == asked.id
    assert book.balance(lot()) == 100


def test_B12_giving_up_what_was_refused_leaves_it_refused():
    asked = pay(HANAKO, BAKERY, 100)
    book = MemoryBook()
    book.ask(asked)
    assert book.ask(give_up(asked)) == IdGivenUp()
    book.post(top_up(HANAKO, 1000))
    assert book.ask(asked) == InsufficientFunds(available=0)


def test_B14_what_another_gave_up_is_refused_as_his():
    asked = top_up(HANAKO, 100)
    book = MemoryBook()
    book.ask(give_up(asked, caller="terminal:2"))
    assert book.ask(asked) == IdReused()


def test_first_answers_are_found_by_id_and_fingerprint():
    asked = top_up(HANAKO, 100)
    state = new_state()
    assert find_first_answer(state, asked) is None
    assert plan_give_up(state, give_up(asked)) == IdGivenUp()
    state.instructions[asked.id] = Refused(asked.fingerprint, RegionClosed())
    assert find_first_answer(state, asked) == RegionClosed()
    assert find_first_answer(state, replace(asked, fingerprint=bytes(24))) == IdReused()
    entry = plan(state, asked)
    state.instructions[asked.id] = Settled(entry)
    assert find_first_answer(state, asked) == Settled(entry)


def test_A01_a_code_is_spent_once_and_the_refusal_names_what_spent_it():
    first = pay(HANAKO, BAKERY, 100, single_use=single_use())
    book = book_with(top_up(HANAKO, 1000), first)
    assert book.ask(pay(HANAKO, BAKERY, 100, single_use=single_use())) == SingleUseKeySpent(instruction_id=first.id)
    for other in (single_use("another"), single_use(expires_at=NOON + timedelta(seconds=1))):
        book.post(pay(HANAKO, BAKERY, 100, single_use=other))


def test_A20_a_refused_payment_leaves_its_code_unspent():
    book = book_with(top_up(HANAKO, 1000))
    assert book.ask(pay(HANAKO, BAKERY, 5000, single_use=single_use())).code == "insufficient_funds"
    book.post(pay(HANAKO, BAKERY, 500, single_use=single_use()))


# --- Moves ------------------------------------------------------------------------------------------------------


def test_C10_value_never_crosses_programmes():
    book = book_with(fund(1000))
    for debit, credit in ((pot(), lot()), (reserve(), lot(programme="grant")), (pot(), lot(programme="unknown"))):
        for flow in ("top_up", "benefit", "bonus"):
            assert book.ask(move(flow, debit, credit, 1)).code == "request_invalid"


def test_an_unknown_programme_is_not_found():
    for expires_on in (None, MONTH_END):
        with pytest.raises(NotFound):
            MemoryBook().post(top_up(HANAKO, 1, programme="unknown", expires_on=expires_on))


def test_an_unknown_flow_and_a_flow_switched_off_are_off():
    book = MemoryBook(new_state(yen(without=("top_up",)), grant()))
    for asked in (top_up(HANAKO, 1), move("unheard_of", reserve(), lot(), 1)):
        with pytest.raises(FlowOff) as refused:
            book.post(asked)
        assert refused.value.programme == "yen"


def test_a_flow_that_is_switched_on_counts_from_then():
    book = MemoryBook(new_state(yen(without=("top_up",))))
    assert book.ask(top_up(HANAKO, 1)).code == "flow_off"
    book.switch("yen", on="top_up")
    book.post(top_up(HANAKO, 1))


def test_a_chart_way_that_does_not_fit_the_funding_is_off_even_if_its_name_is_on():
    book = MemoryBook(new_state(grant(also=("top_up",)), yen(also=("fund",))))
    assert book.ask(move("top_up", reserve(programme="grant"), lot(programme="grant"), 1)).code == "flow_off"
    assert book.ask(move("fund", reserve(), pot("yen"), 1)).code == "flow_off"


def test_an_account_cannot_pay_itself():
    book = book_with(top_up(HANAKO, 100), pay(HANAKO, BAKERY, 100))
    assert book.ask(move("supply", takings(), takings(), 1)).code == "request_invalid"


def test_only_a_wallets_value_has_a_day():
    book = book_with(top_up(HANAKO, 100), pay(HANAKO, BAKERY, 100))
    dated = takings(TARO)._replace(expires_on=MONTH_END)
    assert book.ask(move("supply", takings(), dated, 1)).code == "request_invalid"
    assert book.ask(move("top_up", reserve()._replace(expires_on=MONTH_END), lot(), 1)).code == "request_invalid"


@pytest.mark.parametrize(
    "flow", ["refund", "gift_back", "top_up_cancel", "payment", "lawful_return", "settle", "expire"]
)
def test_J01_what_knows_its_own_lots_is_not_asked_for_by_naming_two_accounts(flow):
    book = book_with(top_up(HANAKO, 100))
    with pytest.raises(InstructionInvalid):
        book.post(move(flow, lot(), reserve(), 1, **TWO_PEOPLE))


def test_D03_nobody_can_top_up_a_grace_lot():
    with pytest.raises(InstructionInvalid):
        MemoryBook().post(move("top_up", reserve(), lot(expires_on=MONTH_END, grace=True), 1))


@pytest.mark.parametrize(
    ("bucket", "expires_on"),
    [
        (ExpiryBucket.DAY, date(2026, 12, 10)),
        (ExpiryBucket.MONTH_END, date(2026, 12, 31)),
        (ExpiryBucket.PREVIOUS_MONTH_END, date(2026, 11, 30)),
    ],
)
def test_value_arrives_in_the_lot_of_its_programmes_bucket(bucket, expires_on):
    book = MemoryBook(new_state(yen(expiry_bucket=bucket)))
    book.post(top_up(HANAKO, 100, expires_on=date(2026, 12, 10)))
    assert book.balance(lot(expires_on=expires_on)) == 100


def test_F08_value_that_a_bucket_would_end_before_today_does_not_arrive():
    book = MemoryBook(new_state(yen(expiry_bucket=ExpiryBucket.PREVIOUS_MONTH_END)))
    assert book.ask(top_up(HANAKO, 100, expires_on=TODAY)).code == "request_invalid"


def test_two_people_are_two_even_where_one_would_do():
    same = {"ordered_by": CLERK, "approved_by": CLERK}
    assert MemoryBook().ask(top_up(HANAKO, 100, **same)).code == "second_person_needed"


def test_a_flow_that_needs_two_people_is_refused_for_one():
    book = book_with(move("float_buy", reserve(AGENT), stock(), 100))
    back = ("float_back", stock(), reserve(AGENT), 100)
    with pytest.raises(SecondPersonNeeded) as refused:
        book.post(move(*back, ordered_by=CLERK))
    assert refused.value.flow == "float_back"
    book.post(move(*back, **TWO_PEOPLE))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (move("float_sell", stock(), lot(), 1), "funds_short"),
        (move("redeem", pot("yen"), lot(), 1), "pot_exhausted"),
        (move("supply", takings(), takings(TARO), 1), "merchant_funds_short"),
        (move("recover", takings(), takings()._replace(kind=Kind.RECEIVABLE), 1), "merchant_funds_short"),
        (move("collect", reserve(), lot()._replace(kind=Kind.RECEIVABLE), 1), "ceiling_reached"),
    ],
)
def test_V3_an_account_that_has_nothing_gives_nothing(asked, code):
    assert MemoryBook().ask(asked).code == code


def test_C14_a_pot_is_never_exceeded():
    book = book_with(fund(1000))
    for _ in range(3):
        book.ask(move("bonus", pot(), lot(programme="grant"), 400))
    assert book.balance(pot()) == 200


def test_500_moves_are_one_entry():
    book = MemoryBook()
    entry = book.post(instruction(*(Move("top_up", reserve(), lot(), 1),) * 500))
    assert len(entry.transfers) == 500
    assert book.balance(lot()) == 500
    check_book(book.state, book.booked)
