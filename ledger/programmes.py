"""A programme as the planner sees it: one kind of value, its funding, its flows, its days."""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from ledger.chart import Funding


class ExpiryBucket(StrEnum):
    """To which day an expiry day is moved, so that a wallet has few lots.

    `month_end` moves it later and is kind to the resident. `previous_month_end` moves it earlier, for value that
    the law exempts only while it lives no longer than a fixed time.
    """

    DAY = "day"
    MONTH_END = "month_end"
    PREVIOUS_MONTH_END = "previous_month_end"

    def bucket(self, expires_on: date) -> date:
        """The day on which value asked to expire on `expires_on` does expire."""
        if self is ExpiryBucket.DAY:
            return expires_on
        days_in_month = calendar.monthrange(expires_on.year, expires_on.month)[1]
        if expires_on.day == days_in_month or self is ExpiryBucket.MONTH_END:
            return expires_on.replace(day=days_in_month)
        return expires_on.replace(day=1) - timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeTerms:
    """What is fixed about a programme when it is opened.

    Attributes:
        code: its short code, unique in the region.
        funding: whose yen stand behind it: the residents' or the city's.
        rank: draws take the lower rank first among lots of one expiry day (most restricted first).
        expiry_bucket: how expiry days are gathered.
        extension_days_max: how many days past its expiry day the law lets value live on, at most 3,660; None: no
            limit.
        receivable_max: the most that one merchant may owe after refunds, in yen.
        risk_max: the most that one risk account may carry, in yen.
    """

    code: str
    funding: Funding
    rank: int = 0
    expiry_bucket: ExpiryBucket = ExpiryBucket.MONTH_END
    extension_days_max: int | None = None
    receivable_max: int = 0
    risk_max: int = 0

    def last_legal_day(self, expires_on: date) -> date:
        """The last day on which value that expires on `expires_on` may be usable at all."""
        if self.extension_days_max is None:
            return date.max
        return expires_on + timedelta(days=self.extension_days_max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme(ProgrammeTerms):
    """A programme as it stands.

    Attributes:
        id: its number in this database.
        flows: the flows that two people have switched on.
    """

    id: int
    flows: frozenset[str]


class TwoPeople(NamedTuple):
    """Who ordered something, and who, another, approved it."""

    ordered_by: UUID
    approved_by: UUID
