"""Draws: which lots a payment takes from, and in which order."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from ledger.chart import Kind
from ledger.draws import destination_account
from ledger.instructions import Destination, Draw
from ledger.refusals import FlowOff, InstructionInvalid, InsufficientFunds, NotFound, SecondPersonNeeded
from tests.ledger.ledger_factories import (
    BAKERY,
    BANK,
    CITY,
    HANAKO,
    MONTH_END,
    NEXT_MONTH_END,
    TARO,
    TODAY,
    TWO_PEOPLE,
    benefit,
    book_with,
    fund,
    gift,
    grant,
    instruction,
    lawful_return,
    lot,
    move,
    pay,
    risk,
    takings,
    top_up,
    yen,
)


def drawn(book, asked):
    return [(one.debit, one.amount) for one in book.post(asked).transfers]


def test_C11_the_earliest_day_is_spent_first_and_value_without_a_day_last():
    book = book_with(
        top_up(HANAKO, 100),
        top_up(HANAKO, 100, expires_on=NEXT_MONTH_END),
        top_up(HANAKO, 100, expires_on=TODAY),
        top_up(HANAKO, 100, expires_on=MONTH_END),
    )
    assert drawn(book, pay(HANAKO, BAKERY, 350)) == [
        (lot(expires_on=TODAY), 100),
        (lot(expires_on=MONTH_END), 100),
        (lot(expires_on=NEXT_MONTH_END), 100),
        (lot(), 50),
    ]


def test_C11_of_one_day_the_most_restricted_programme_is_spent_first():
    book = book_with(
        top_up(HANAKO, 100, expires_on=MONTH_END),
        fund(100),
        benefit(HANAKO, 100, expires_on=MONTH_END),
        programmes=(yen(rank=2), grant(rank=1)),
    )
    assert drawn(book, pay(HANAKO, BAKERY, 150)) == [
        (lot(programme="grant", expires_on=MONTH_END), 100),
        (lot(expires_on=MONTH_END), 50),
    ]


def test_C11_a_day_counts_before_a_rank():
    book = book_with(
        fund(100),
        benefit(HANAKO, 100, expires_on=NEXT_MONTH_END),
        top_up(HANAKO, 100, expires_on=MONTH_END),
        programmes=(yen(rank=9), grant(rank=0)),
    )
    assert drawn(book, pay(HANAKO, BAKERY, 100)) == [(lot(expires_on=MONTH_END), 100)]


def test_C11_of_one_day_and_rank_the_older_account_is_spent_first():
    programmes = (yen("b-yen", id=1), yen("a-yen", id=2))
    book = book_with(
        top_up(HANAKO, 100, programme="b-yen"), top_up(HANAKO, 100, programme="a-yen"), programmes=programmes
    )
    assert drawn(book, pay(HANAKO, BAKERY, 150)) == [(lot(programme="b-yen"), 100), (lot(programme="a-yen"), 50)]


def test_C11_the_order_does_not_depend_on_how_accounts_were_read():
    book = book_with(top_up(HANAKO, 100, expires_on=MONTH_END), top_up(HANAKO, 100, expires_on=TODAY))
    other = book_with()
    other.state.account_id, other.state.seq = book.state.account_id, book.state.seq
    for account in reversed(book.state.accounts.values()):
        other.state.add_account(replace(account))
    asked = pay(HANAKO, BAKERY, 150)
    assert other.post(asked).transfers == book.post(asked).transfers


def test_each_lot_is_paid_into_the_merchants_takings_of_its_own_programme():
    book = book_with(top_up(HANAKO, 100), fund(50), benefit(HANAKO, 50))
    book.post(pay(HANAKO, BAKERY, 150))
    assert book.balance(takings()) == 100
    assert book.balance(takings(programme="grant")) == 50


def test_exactly_all_can_be_spent_and_one_yen_more_is_refused_with_what_there_is():
    book = book_with(top_up(HANAKO, 100), top_up(HANAKO, 100, expires_on=MONTH_END))
    with pytest.raises(InsufficientFunds) as refused:
        book.post(pay(HANAKO, BAKERY, 201))
    assert refused.value.available == 200
    book.post(pay(HANAKO, BAKERY, 200))
    assert book.balance(takings()) == 200


def test_an_unknown_wallet_has_nothing():
    with pytest.raises(InsufficientFunds) as refused:
        book_with().post(pay(HANAKO, BAKERY, 1))
    assert refused.value.available == 0


def test_only_the_programmes_named_are_drawn():
    book = book_with(top_up(HANAKO, 100, expires_on=TODAY), fund(100), benefit(HANAKO, 100))
    assert drawn(book, pay(HANAKO, BAKERY, 60, programmes=("grant",))) == [(lot(programme="grant"), 60)]
    with pytest.raises(InsufficientFunds):
        book.post(pay(HANAKO, BAKERY, 60, programmes=("grant",)))


def test_a_programme_named_twice_is_drawn_once():
    book = book_with(top_up(HANAKO, 100))
    with pytest.raises(InsufficientFunds) as refused:
        book.post(pay(HANAKO, BAKERY, 150, programmes=("yen", "yen")))
    assert refused.value.available == 100


def test_a_programme_that_has_payments_off_is_left_out_and_none_at_all_is_a_refusal():
    book = book_with(
        top_up(HANAKO, 100), fund(100), benefit(HANAKO, 100), programmes=(yen(without=("payment",)), grant())
    )
    assert drawn(book, pay(HANAKO, BAKERY, 100)) == [(lot(programme="grant"), 100)]
    with pytest.raises(FlowOff):
        book.post(pay(HANAKO, BAKERY, 100, programmes=("yen",)))
    with pytest.raises(FlowOff):
        book.post(pay(HANAKO, BAKERY, 100, programmes=()))


def test_an_unknown_programme_is_not_found():
    with pytest.raises(NotFound):
        book_with(top_up(HANAKO, 100)).post(pay(HANAKO, BAKERY, 1, programmes=("yen", "unknown")))


# The last day ends at midnight in Japan: 15:00 UTC.
@pytest.mark.parametrize(
    ("at", "is_usable"),
    [
        (datetime(2026, 11, 30, 14, 59, 59, 999_999, tzinfo=UTC), True),
        (datetime(2026, 11, 30, 15, 0, tzinfo=UTC), False),
        (datetime(2026, 12, 1, 3, 0, tzinfo=UTC), False),
    ],
)
def test_F01_F05_value_is_usable_to_the_end_of_its_day_in_japan(at, is_usable):
    book = book_with(top_up(HANAKO, 100, expires_on=MONTH_END))
    book.move_time(at)
    if is_usable:
        book.post(pay(HANAKO, BAKERY, 100))
        assert book.balance(takings()) == 100
    else:
        with pytest.raises(InsufficientFunds) as refused:
            book.post(pay(HANAKO, BAKERY, 1))
        assert refused.value.available == 0


def test_F08_ended_value_can_be_neither_given_nor_returned_nor_taken_for_an_overlap():
    book = book_with(
        top_up(HANAKO, 100, expires_on=TODAY),
        move("overlap", risk(), takings(), 100),
        programmes=(yen(also=("lawful_return",), risk_max=1000),),
    )
    book.move_time(TODAY + timedelta(days=1))
    overlap_back = Draw("overlap_back", HANAKO, 1, Destination(Kind.RISK, CITY))
    for asked in (gift(HANAKO, TARO, 1), lawful_return(HANAKO, 1, **TWO_PEOPLE), instruction(overlap_back)):
        with pytest.raises(InsufficientFunds):
            book.post(asked)


def test_a_gift_keeps_programme_and_day_of_every_lot():
    book = book_with(top_up(HANAKO, 100, expires_on=MONTH_END), top_up(HANAKO, 100))
    book.post(gift(HANAKO, TARO, 150))
    assert book.balance(lot(TARO, expires_on=MONTH_END)) == 100
    assert book.balance(lot(TARO)) == 50


def test_a_gift_to_oneself_is_refused():
    book = book_with(top_up(HANAKO, 100))
    with pytest.raises(InstructionInvalid):
        book.post(gift(HANAKO, HANAKO, 50))


def test_a_grace_lot_that_is_given_stays_a_grace_lot():
    of = lot(HANAKO, expires_on=date(2026, 12, 1), grace=True)
    assert destination_account(Destination(Kind.WALLET, TARO), of) == of._replace(holder=TARO)
    assert destination_account(Destination(Kind.TAKINGS, BAKERY), of) == takings()


@pytest.mark.parametrize("flow", ["top_up", "refund", "succession", "expire", "gift_back", "unheard_of", ""])
def test_a_flow_that_does_not_draw_is_refused(flow):
    draw = Draw(flow, HANAKO, 1, Destination(Kind.TAKINGS, BAKERY))
    with pytest.raises(InstructionInvalid):
        book_with(top_up(HANAKO, 100)).post(instruction(draw))


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.TAKINGS])
def test_J01_a_payment_goes_to_takings_and_nowhere_else(kind):
    draw = Draw("payment", HANAKO, 1, Destination(kind, BAKERY))
    with pytest.raises(FlowOff):
        book_with(top_up(HANAKO, 100)).post(instruction(draw))


def test_J01_a_lawful_return_is_off_unless_switched_on():
    with pytest.raises(FlowOff):
        book_with(top_up(HANAKO, 100)).post(lawful_return(HANAKO, 100, **TWO_PEOPLE))


def test_J01_a_lawful_return_takes_two_people_and_one_of_its_reasons():
    book = book_with(top_up(HANAKO, 100), programmes=(yen(also=("lawful_return",)),))
    with pytest.raises(SecondPersonNeeded):
        book.post(lawful_return(HANAKO, 40))
    for reason in (None, "because", "Small"):
        with pytest.raises(InstructionInvalid):
            book.post(lawful_return(HANAKO, 40, reason=reason, **TWO_PEOPLE))
    for reason in ("small", "cannot_use"):
        book.post(lawful_return(HANAKO, 40, reason=reason, **TWO_PEOPLE))
    assert book.balance(lot()) == 20


def test_J01_no_lawful_return_exists_in_a_grant_programme():
    book = book_with(fund(100), benefit(HANAKO, 100), programmes=(grant(also=("lawful_return",)),))
    for kind, holder in ((Kind.RESERVE, BANK), (Kind.GRANT, CITY)):
        draw = Draw("lawful_return", HANAKO, 100, Destination(kind, holder))
        with pytest.raises(FlowOff):
            book.post(instruction(draw, reason="wind_down", **TWO_PEOPLE))


def test_an_overlap_is_taken_back_no_further_than_the_risk_that_was_run():
    book = book_with(top_up(HANAKO, 500), move("overlap", risk(), takings(), 300), programmes=(yen(risk_max=300),))
    over = Draw("overlap_back", HANAKO, 301, Destination(Kind.RISK, CITY))
    assert book.ask(instruction(over)).code == "ceiling_reached"
    book.post(instruction(Draw("overlap_back", HANAKO, 300, Destination(Kind.RISK, CITY))))
    assert book.balance(risk()) == 0


def test_an_overlap_never_passes_its_ceiling():
    book = book_with(programmes=(yen(risk_max=300),))
    assert book.ask(move("overlap", risk(), takings(), 301)).code == "ceiling_reached"
    book.post(move("overlap", risk(), takings(), 300))
    assert book.ask(move("overlap", risk(), takings(), 1)).code == "ceiling_reached"
