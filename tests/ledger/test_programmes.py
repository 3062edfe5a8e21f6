"""Programmes: on which day value ends, and how long the law lets it live at all."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.programmes import ExpiryBucket
from tests.ledger.ledger_factories import yen

DAYS = st.dates(date(2000, 2, 1), date(2990, 12, 31))


@pytest.mark.parametrize(
    ("asked", "month_end", "previous_month_end"),
    [
        (date(2026, 11, 23), date(2026, 11, 30), date(2026, 10, 31)),
        (date(2026, 11, 30), date(2026, 11, 30), date(2026, 11, 30)),
        (date(2026, 12, 1), date(2026, 12, 31), date(2026, 11, 30)),
        (date(2027, 1, 1), date(2027, 1, 31), date(2026, 12, 31)),
        (date(2027, 2, 27), date(2027, 2, 28), date(2027, 1, 31)),
        (date(2027, 2, 28), date(2027, 2, 28), date(2027, 2, 28)),
        (date(2028, 2, 28), date(2028, 2, 29), date(2028, 1, 31)),
        (date(2028, 2, 29), date(2028, 2, 29), date(2028, 2, 29)),
        (date(2028, 3, 30), date(2028, 3, 31), date(2028, 2, 29)),
    ],
)
def test_days_are_gathered_at_the_ends_of_months(asked, month_end, previous_month_end):
    assert ExpiryBucket.DAY.bucket(asked) == asked
    assert ExpiryBucket.MONTH_END.bucket(asked) == month_end
    assert ExpiryBucket.PREVIOUS_MONTH_END.bucket(asked) == previous_month_end


@given(asked=DAYS, bucket=st.sampled_from(ExpiryBucket))
def test_a_bucket_is_stable_and_moves_by_less_than_a_month(asked, bucket):
    day = bucket.bucket(asked)
    assert bucket.bucket(day) == day
    assert abs(day - asked) < timedelta(days=31)


@given(asked=DAYS)
def test_F08_value_that_the_law_exempts_is_never_moved_later(asked):
    assert ExpiryBucket.PREVIOUS_MONTH_END.bucket(asked) <= asked <= ExpiryBucket.MONTH_END.bucket(asked)


@given(one=DAYS, other=DAYS, bucket=st.sampled_from(ExpiryBucket))
def test_an_earlier_day_never_ends_later(one, other, bucket):
    earlier, later = sorted((one, other))
    assert bucket.bucket(earlier) <= bucket.bucket(later)


@pytest.mark.parametrize(("extension", "last"), [(0, date(2026, 11, 30)), (14, date(2026, 12, 14))])
def test_F08_the_last_legal_day_is_the_day_and_its_extension(extension, last):
    assert yen(extension_days_max=extension).last_legal_day(date(2026, 11, 30)) == last


def test_without_a_legal_limit_there_is_no_last_legal_day():
    assert yen(extension_days_max=None).last_legal_day(date(2026, 11, 30)) == date.max
