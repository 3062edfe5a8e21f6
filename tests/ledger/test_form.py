"""The form of an instruction: what is not of its type, range and size never enters the queue (C06, C07)."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from ledger.accounts import AccountKey
from ledger.chart import Kind
from ledger.form import check_form
from ledger.instructions import (
    BalanceCeiling,
    BonusBack,
    CaptureHold,
    CounterKey,
    Destination,
    Expire,
    ExpireHold,
    GiveUp,
    Instruction,
    Limit,
    Move,
    PlaceHold,
    Refund,
    ReleaseHold,
    Settle,
    SingleUse,
    Succeed,
    Undo,
)
from ledger.refusals import InstructionInvalid
from tests.ledger.ledger_factories import (
    BAKERY,
    BAKERY_BANK,
    HANAKO,
    NOON,
    TARO,
    TODAY,
    TWO_PEOPLE,
    give_up,
    instruction,
    lot,
    payment,
    person,
    reserve,
)

MOVE = Move("top_up", reserve(), lot(expires_on=TODAY), 1000)
DRAW = payment(HANAKO, BAKERY, 1000, ("yen", "grant"))
MOVES = [
    MOVE,
    DRAW,
    Refund(person("x"), 1000, 0, (BonusBack(person("y"), 1, 5),)),
    Undo("gift_back", person("x"), 1, None),
    Undo("gift_back", person("x"), 1, 10, 0),
    PlaceHold(DRAW, NOON),
    CaptureHold(person("x")),
    CaptureHold(person("x"), 5, releases_rest=False),
    ReleaseHold(person("x"), 5),
    ExpireHold(person("x")),
    Settle(BAKERY, "yen", BAKERY_BANK, None, 0),
    Expire(lot(expires_on=TODAY)),
    Succeed(Kind.WALLET, HANAKO, TARO),
]
WHOLE = instruction(
    *MOVES,
    single_use=SingleUse(NOON, bytes(16)),
    limits=(Limit(CounterKey("wallet", HANAKO), 5, 0, None, 10),),
    balance_ceilings=(BalanceCeiling(HANAKO, 0, 0),),
    reason="小さい",
    evidence=bytes(32),
    request=object(),
    **TWO_PEOPLE,
)


def refused(asked: Any) -> str:
    with pytest.raises(InstructionInvalid) as refusal:
        check_form(asked)
    return refusal.value.detail


def with_move(move: Any) -> Instruction:
    return replace(WHOLE, moves=(move,))


@pytest.mark.parametrize("move", MOVES, ids=lambda move: type(move).__name__)
def test_a_move_of_every_kind_is_well_formed(move):
    check_form(with_move(move))


def test_an_instruction_with_everything_is_well_formed_and_so_is_giving_it_up():
    check_form(WHOLE)
    check_form(give_up(WHOLE))


# --- Amounts ----------------------------------------------------------------------------------------------------

BAD_AMOUNTS = [
    0, -1, 2**40 * 10, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**12,
    True, False, 1.0, 1e2, float("nan"), float("inf"), "100", "１００", b"1", None, [1], 1 + 0j,
]  # fmt: skip


@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=repr)
def test_C06_C07_an_amount_is_a_whole_number_of_yen_and_nothing_else(amount):
    assert refused(with_move(replace(MOVE, amount=amount))).startswith("amount:")
    assert refused(with_move(replace(DRAW, amount=amount))).startswith("amount:")
    refused(with_move(Refund(person("x"), amount)))
    refused(with_move(Refund(person("x"), 5, 14, (BonusBack(person("y"), 1, amount),))))
    refused(replace(WHOLE, limits=(Limit(CounterKey("wallet", HANAKO), amount),)))


@pytest.mark.parametrize("amount", [amount for amount in BAD_AMOUNTS if amount is not None], ids=repr)
def test_C06_an_amount_that_may_be_left_out_is_still_no_other_thing(amount):
    for move in (
        Undo("gift_back", person("x"), 1, amount),
        CaptureHold(person("x"), amount),
        ReleaseHold(person("x"), amount),
        Settle(BAKERY, "yen", BAKERY_BANK, amount),
    ):
        refused(with_move(move))


@pytest.mark.parametrize("amount", [1, 999_999_999_999])
def test_C06_the_smallest_and_the_largest_amount_are_well_formed(amount):
    check_form(with_move(replace(MOVE, amount=amount)))


@pytest.mark.parametrize("number", [-1, True, 1.0, "0", 2**63])
def test_C06_what_may_be_nothing_may_not_be_less_or_something_else(number):
    refused(with_move(Settle(BAKERY, "yen", BAKERY_BANK, None, number)))
    refused(with_move(Refund(person("x"), 5, number)))
    refused(replace(WHOLE, balance_ceilings=(BalanceCeiling(HANAKO, number, 0),)))
    for name in ("day_max", "month_max", "total_max"):
        refused(replace(WHOLE, limits=(replace(WHOLE.limits[0], **{name: number}),)))


@pytest.mark.parametrize("days", [10**4, 10**7, 10**9, 999_999_999_999])
def test_days_of_grace_that_no_calendar_holds_are_refused(days):
    refused(with_move(Refund(person("x"), 5, days)))
    refused(with_move(Undo("expire_back", person("x"), 1, None, days)))


@pytest.mark.parametrize("line", [0, -1, True, 1.0, "1", None])
def test_a_line_is_counted_from_one(line):
    refused(with_move(Undo("gift_back", person("x"), line, None)))


# --- Ids, kinds, days, text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [str(HANAKO), HANAKO.bytes, HANAKO.int, None, HANAKO.hex])
def test_text_for_an_id_is_refused_everywhere(wrong):
    refused(replace(WHOLE, id=wrong))
    refused(with_move(replace(MOVE, credit=lot(wrong))))
    refused(with_move(replace(DRAW, wallet=wrong)))
    refused(with_move(replace(DRAW, credit=Destination(Kind.TAKINGS, wrong))))
    refused(with_move(CaptureHold(wrong)))
    refused(with_move(Succeed(Kind.WALLET, wrong, TARO)))
    refused(GiveUp(wrong, "terminal:1", bytes(24)))
    if wrong is not None:
        refused(replace(WHOLE, ordered_by=wrong))


@pytest.mark.parametrize("kind", ["wallet", "WALLET", None, 1, "cash"])
def test_a_kind_is_one_of_the_charts_and_no_text(kind):
    refused(with_move(replace(MOVE, debit=AccountKey(kind, HANAKO, "yen"))))
    refused(with_move(Succeed(kind, HANAKO, TARO)))


@pytest.mark.parametrize("day", ["2026-11-30", datetime(2026, 11, 30, tzinfo=UTC), 20261130, date.min, date.max])
def test_a_day_is_a_calendar_day_of_these_times(day):
    assert "expires_on" in refused(with_move(Expire(lot(expires_on=day))))


@pytest.mark.parametrize(
    "instant", [NOON.replace(tzinfo=None), date(2026, 11, 30), "2026-11-30T00:00:00Z", 1795402800, None]
)
def test_an_instant_has_a_time_zone(instant):
    refused(with_move(PlaceHold(DRAW, instant)))
    refused(replace(WHOLE, single_use=SingleUse(instant, bytes(16))))


@pytest.mark.parametrize("flag", [0, 1, "true", None])
def test_a_flag_is_true_or_false(flag):
    refused(with_move(CaptureHold(person("x"), None, flag)))
    refused(replace(WHOLE, stores_refusal=flag))
    refused(with_move(replace(MOVE, debit=reserve()._replace(grace=flag))))


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "x" * 201, 5, b"yen"])
def test_text_that_cannot_be_stored_or_hashed_is_refused(text):
    refused(replace(WHOLE, reason=text))
    refused(replace(WHOLE, caller=text))
    refused(replace(WHOLE, limits=(Limit(CounterKey(text, HANAKO), 5),)))
    refused(with_move(replace(MOVE, flow=text)))
    refused(with_move(replace(MOVE, debit=reserve(programme=text))))
    refused(with_move(replace(DRAW, programmes=(text,))))
    refused(with_move(Settle(BAKERY, text, BAKERY_BANK)))


def test_empty_text_is_refused_where_something_must_be_said():
    refused(replace(WHOLE, reason=""))
    refused(replace(WHOLE, caller=""))
    refused(replace(WHOLE, kind=""))
    refused(replace(WHOLE, limits=(Limit(CounterKey("", HANAKO), 5),)))


@pytest.mark.parametrize(
    "kind", ["Payment", "pay-ment", "1st", "_x", "支払い", "x" * 33, "payment\n", "pay ment", None]
)
def test_what_an_instruction_is_called_is_lower_case_and_short(kind):
    refused(replace(WHOLE, kind=kind))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("fingerprint", bytes(23)), ("fingerprint", bytes(25)), ("fingerprint", "x" * 24), ("fingerprint", None),
        ("evidence", bytes(31)), ("evidence", bytes(33)), ("evidence", ""),
        ("single_use", SingleUse(NOON, bytes(15))), ("single_use", SingleUse(NOON, bytes(17))),
        ("single_use", (NOON, bytes(16))), ("moves", ()), ("moves", [MOVE]), ("moves", MOVE), ("moves", None),
        ("limits", None), ("limits", [WHOLE.limits[0]]), ("balance_ceilings", (1,)),
    ],
)  # fmt: skip
def test_a_part_of_the_wrong_size_or_shape_is_refused(name, wrong):
    refused(replace(WHOLE, **{name: wrong}))


@pytest.mark.parametrize(
    "stranger", [None, "payment", {"flow": "top_up"}, object(), (MOVE,), GiveUp(person("x"), "c", bytes(24))]
)
def test_what_is_no_move_is_refused(stranger):
    refused(with_move(stranger))


class Sneaky(Move):
    """A move that is not quite one."""


def test_a_subclass_of_a_move_is_no_move():
    refused(with_move(Sneaky("top_up", reserve(), lot(), 1)))


def test_500_moves_are_well_formed_and_one_more_or_ten_thousand_are_not():
    check_form(replace(WHOLE, moves=(MOVE,) * 500))
    assert refused(replace(WHOLE, moves=(MOVE,) * 501)).startswith("moves:")
    assert refused(replace(WHOLE, moves=(MOVE,) * 10_000)).startswith("moves:")


def test_500_limits_and_ceilings_are_well_formed_and_one_more_is_not():
    check_form(replace(WHOLE, limits=WHOLE.limits * 500, balance_ceilings=WHOLE.balance_ceilings * 500))
    refused(replace(WHOLE, limits=WHOLE.limits * 501))
    refused(replace(WHOLE, balance_ceilings=WHOLE.balance_ceilings * 501))


def test_what_is_wrong_is_named_and_never_repeated():
    detail = refused(replace(WHOLE, reason="my PIN is 4711" * 100))
    assert detail.startswith("reason")
    assert "4711" not in detail


def test_an_id_is_well_formed_whatever_its_version():
    for number in (0, 1, 2**128 - 1):
        check_form(replace(WHOLE, id=UUID(int=number)))
