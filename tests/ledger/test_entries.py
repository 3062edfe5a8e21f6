"""Entries and the hash chain, recomputed here with hashlib and an encoder written by hand (RFC 8949 §4.2.1)."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256
from uuid import UUID

import pytest

from ledger.accounts import AccountKey
from ledger.chart import Kind
from ledger.entries import (
    Entry,
    Hold,
    HoldMovement,
    LimitCount,
    Line,
    Movement,
    Transfer,
    entry_bytes,
    first_hash,
    hash_prefix,
    instant_number,
    next_hash,
)
from ledger.instructions import CounterKey, Destination, SingleUse
from tests.ledger.ledger_factories import BAKERY, HANAKO, MemoryBook, pay, takings, top_up

ID = UUID("01234567-89ab-7def-8123-456789abcdef")
WALLET = UUID("11111111-1111-4111-8111-111111111111")
SHOP = UUID("22222222-2222-4222-8222-222222222222")
CLERK = UUID("33333333-3333-4333-8333-333333333333")
TREASURER = UUID("44444444-4444-4444-8444-444444444444")
AT = datetime(2026, 11, 23, 3, 0, 0, 1, tzinfo=UTC)
# Microseconds since 1970 of AT: 1,795,402,800 seconds and one microsecond.
AT_NUMBER = 1_795_402_800_000_001


def encode(value: object) -> bytes:
    """Deterministic CBOR of what an entry is made of, as the RFC's tables give it."""
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    assert isinstance(value, list)
    return head(4, len(value)) + b"".join(encode(part) for part in value)


def head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * width:
            return bytes([major << 5 | info]) + number.to_bytes(width, "big")
    raise OverflowError(number)


LOT = AccountKey(Kind.WALLET, WALLET, "yen", date(2026, 12, 31))
TAKINGS = AccountKey(Kind.TAKINGS, SHOP, "yen")
SMALL = Entry(
    seq=1,
    at=AT,
    id=ID,
    kind="payment",
    fingerprint=b"f" * 24,
    transfers=(Transfer("payment", LOT, TAKINGS, 1200),),
)
FULL = Entry(
    seq=70_000,
    at=AT,
    id=ID,
    kind="refund",
    fingerprint=b"f" * 24,
    transfers=(
        Transfer("refund", TAKINGS, LOT._replace(grace=True), 999_999_999_999, Line(65_536, 300)),
        Transfer("top_up", AccountKey(Kind.RESERVE, CLERK, "事業"), LOT._replace(expires_on=None), 23),
    ),
    holds=(Hold(ID, WALLET, "payment", Destination(Kind.TAKINGS, SHOP), AT + timedelta(hours=1)),),
    hold_movements=(HoldMovement(ID, LOT, Movement.PLACED, 24), HoldMovement(ID, LOT, Movement.RELEASED, 255)),
    limit_counts=(LimitCount(CounterKey("household", WALLET), date(2026, 11, 23), -256),),
    single_use=SingleUse(AT, b"0123456789abcdef"),
    ordered_by=CLERK,
    approved_by=TREASURER,
    reason="小さい",
    evidence=bytes(range(32)),
)
LOT_PARTS = ["wallet", WALLET.bytes, "yen", "2026-12-31", False]
TAKINGS_PARTS = ["takings", SHOP.bytes, "yen", None, False]
SMALL_PARTS = [
    1, AT_NUMBER, ID.bytes, "payment",
    [["payment", LOT_PARTS, TAKINGS_PARTS, 1200, None]],
    [], [], [], None, [None, None], None, None,
]  # fmt: skip
FULL_PARTS = [
    70_000, AT_NUMBER, ID.bytes, "refund",
    [
        ["refund", TAKINGS_PARTS, [*LOT_PARTS[:4], True], 999_999_999_999, [65_536, 300]],
        ["top_up", ["reserve", CLERK.bytes, "事業", None, False], [*LOT_PARTS[:3], None, False], 23, None],
    ],
    [[ID.bytes, WALLET.bytes, "payment", ["takings", SHOP.bytes], AT_NUMBER + 3_600_000_000]],
    [[ID.bytes, LOT_PARTS, "placed", 24], [ID.bytes, LOT_PARTS, "released", 255]],
    [["household", WALLET.bytes, "2026-11-23", -256]],
    [AT_NUMBER, b"0123456789abcdef"],
    [CLERK.bytes, TREASURER.bytes],
    "小さい", bytes(range(32)),
]  # fmt: skip

# Written down once: a change of these means that no old book can be verified any more.
KNOWN = (
    "a07af331b8e3b9a6cd0fdd8b01077afbd8f77c7ebc0b56b5bbbc2aaa02696746",
    "7b5ef6a370cf0a9b82d77eb822e8484d47de746343dc5c98c7757f52ae75e1ed",
    "4ed2ac88104900ebc4a12264243855e0b36666df18294af3a6b06a0175797b9d",
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "00"), (23, "17"), (24, "1818"), (255, "18ff"), (256, "190100"), (1_000_000, "1a000f4240"),
        (1_000_000_000_000, "1b000000e8d4a51000"), (-1, "20"), (-500, "3901f3"), (b"\1\2", "420102"),
        ("水", "63e6b0b4"), ([1, [2, 3]], "8201820203"), (None, "f6"), (True, "f5"), (False, "f4"),
    ],
)  # fmt: skip
def test_the_encoder_of_this_test_fits_the_examples_of_rfc_8949(value, expected):
    assert encode(value).hex() == expected


@pytest.mark.parametrize(("entry", "parts"), [(SMALL, SMALL_PARTS), (FULL, FULL_PARTS)])
def test_an_entry_is_the_deterministic_cbor_of_its_parts_in_order(entry, parts):
    assert entry_bytes(entry) == encode(parts)


@pytest.mark.parametrize(("entry", "parts"), [(SMALL, SMALL_PARTS), (FULL, FULL_PARTS)])
def test_V7_an_entrys_hash_is_sha256_of_the_one_before_and_its_bytes(entry, parts):
    before = sha256(b"meguri book hinode-shi").digest()
    assert first_hash("hinode-shi") == before
    assert next_hash(before, entry) == sha256(before + encode(parts)).digest()


def test_V7_a_known_answer_never_changes():
    assert sha256(b"meguri book hinode-shi").hexdigest() == KNOWN[0]
    assert next_hash(first_hash("hinode-shi"), SMALL).hex() == KNOWN[1]
    assert next_hash(next_hash(first_hash("hinode-shi"), SMALL), FULL).hex() == KNOWN[2]


def test_the_fingerprint_is_no_part_of_the_hash_because_a_servers_key_made_it():
    assert entry_bytes(replace(FULL, fingerprint=b"g" * 24)) == entry_bytes(FULL)


CHANGES = {
    "seq": FULL.seq + 1,
    "at": FULL.at + timedelta(microseconds=1),
    "id": WALLET,
    "kind": "payment",
    "transfers": FULL.transfers[::-1],
    "holds": (FULL.holds[0]._replace(expires_at=AT),),
    "hold_movements": FULL.hold_movements[::-1],
    "limit_counts": (),
    "single_use": None,
    "ordered_by": TREASURER,
    "approved_by": None,
    "reason": "",
    "evidence": bytes(32),
}


def test_every_field_but_the_fingerprint_has_a_change_here():
    assert set(CHANGES) | {"fingerprint"} == set(Entry.__dataclass_fields__)


@pytest.mark.parametrize("name", CHANGES)
def test_V7_any_changed_field_changes_the_hash(name):
    changed = replace(FULL, **{name: CHANGES[name]})
    assert next_hash(bytes(32), changed) != next_hash(bytes(32), FULL)


@pytest.mark.parametrize(
    "change",
    [
        {"flow": "refund_advance"},
        {"debit": LOT},
        {"credit": TAKINGS},
        {"amount": 1},
        {"undoes": None},
        {"undoes": Line(65_536, 301)},
        {"undoes": Line(65_537, 300)},
        {"credit": LOT},
        {"credit": LOT._replace(grace=True, expires_on=date(2027, 1, 1))},
        {"credit": LOT._replace(grace=True, programme="other")},
        {"credit": LOT._replace(grace=True, holder=SHOP)},
    ],
)
def test_V7_any_changed_part_of_a_transfer_changes_the_hash(change):
    transfers = (FULL.transfers[0]._replace(**change), FULL.transfers[1])
    assert entry_bytes(replace(FULL, transfers=transfers)) != entry_bytes(FULL)


@pytest.mark.parametrize(
    "change",
    [
        {"id": SHOP},
        {"wallet": SHOP},
        {"flow": "gift"},
        {"credit": Destination(Kind.WALLET, SHOP)},
        {"credit": Destination(Kind.TAKINGS, WALLET)},
    ],
)
def test_V7_any_changed_part_of_a_hold_changes_the_hash(change):
    assert entry_bytes(replace(FULL, holds=(FULL.holds[0]._replace(**change),))) != entry_bytes(FULL)


def test_V7_the_order_of_two_entries_is_in_the_hash():
    second = replace(SMALL, seq=2, id=WALLET)
    forward = next_hash(next_hash(bytes(32), SMALL), second)
    assert forward != next_hash(next_hash(bytes(32), second), SMALL)


def test_two_regions_with_the_same_entries_have_other_hashes():
    assert first_hash("hinode-shi") != first_hash("hinode-cho")


def test_an_instant_counts_the_same_in_every_time_zone():
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    assert instant_number(tokyo) == instant_number(AT) == AT_NUMBER
    assert entry_bytes(replace(FULL, at=tokyo)) == entry_bytes(FULL)


def test_an_instant_is_exact_to_the_microsecond_far_away():
    assert instant_number(datetime(2999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == 32_503_679_999_999_999
    assert instant_number(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


@pytest.mark.parametrize(("first_bytes", "number"), [("00000001", 1), ("7fffffff", 2**31 - 1), ("ffffffff", -1)])
def test_the_prefix_of_a_hash_is_a_signed_number_of_four_bytes(first_bytes, number):
    assert hash_prefix(bytes.fromhex(first_bytes) + bytes(28)) == number


def test_V7_the_book_chains_what_the_planner_made():
    book = MemoryBook()
    book.post(top_up(HANAKO, 1000))
    book.post(pay(HANAKO, BAKERY, 300))
    last = first_hash("hinode-shi")
    for one in book.booked:
        last = sha256(last + entry_bytes(one.entry)).digest()
        assert one.hash == last
    assert book.hash == last
    assert book.balance(takings()) == 300
