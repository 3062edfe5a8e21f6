"""Where value goes that comes back: its own lot, one grace lot, or nowhere."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.restoring import choose_restored_lot
from tests.ledger.ledger_factories import TODAY, lot, yen

PAST = TODAY - timedelta(days=5)


@pytest.mark.parametrize(
    "of", [lot(), lot(expires_on=TODAY), lot(expires_on=date(2027, 1, 31)), lot(expires_on=TODAY, grace=True)]
)
def test_what_lives_comes_back_into_the_very_lot(of):
    assert choose_restored_lot(yen(extension_days_max=0), of, today=TODAY, grace_days=14) == of


def test_D03_what_has_ended_comes_back_for_some_days_of_grace():
    of = lot(expires_on=PAST)
    restored = choose_restored_lot(yen(), of, today=TODAY, grace_days=14)
    assert restored == lot(expires_on=TODAY + timedelta(days=14), grace=True)


@pytest.mark.parametrize(
    ("of", "extension", "grace_days"),
    [
        (lot(expires_on=PAST, grace=True), None, 14),
        (lot(expires_on=PAST), None, 0),
        (lot(expires_on=PAST), 0, 14),
        (lot(expires_on=PAST), 4, 14),
    ],
)
def test_D03_F08_what_may_not_live_again_comes_back_nowhere(of, extension, grace_days):
    terms = yen(extension_days_max=extension)
    assert choose_restored_lot(terms, of, today=TODAY, grace_days=grace_days) is None


def test_F08_the_last_legal_day_itself_is_a_day_of_use():
    restored = choose_restored_lot(yen(extension_days_max=5), lot(expires_on=PAST), today=TODAY, grace_days=14)
    assert restored == lot(expires_on=TODAY, grace=True)


@given(
    gone=st.integers(-400, 400),
    extension=st.none() | st.integers(0, 3660),
    grace_days=st.integers(0, 366),
    grace=st.booleans(),
)
def test_F08_nothing_is_restored_past_its_last_legal_day_or_twice(gone, extension, grace_days, grace):
    of = lot(expires_on=TODAY - timedelta(days=gone), grace=grace)
    terms = yen(extension_days_max=extension)
    restored = choose_restored_lot(terms, of, today=TODAY, grace_days=grace_days)
    if restored is None:
        assert gone > 0
        assert grace or grace_days == 0 or terms.last_legal_day(of.expires_on) < TODAY
    elif restored != of:
        assert not of.grace
        assert restored.grace
        assert TODAY <= restored.expires_on <= TODAY + timedelta(days=grace_days)
        assert restored.expires_on <= terms.last_legal_day(of.expires_on)
    else:
        assert gone <= 0
