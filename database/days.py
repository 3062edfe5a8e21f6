"""Calendar days: always Asia/Tokyo's, whatever the server's zone. Pure; it does not know what time it is."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

# Japan has had no daylight saving time since 1951, so a fixed offset needs no time zone database.
JAPAN: Final = timezone(timedelta(hours=9), "Asia/Tokyo")


def day_in_japan(instant: datetime) -> date:
    """The calendar day in Japan that holds a timezone-aware instant."""
    return instant.astimezone(JAPAN).date()


def end_of_day(day: date) -> datetime:
    """The first instant, in UTC, after a calendar day in Japan."""
    return datetime.combine(day + timedelta(days=1), time(), JAPAN).astimezone(UTC)
