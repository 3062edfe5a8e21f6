"""The one place that makes ids: UUID version 7 (RFC 9562 §5.7), sorted by the time they were made."""

import secrets
import uuid

from database.clock import Clock, SystemClock


def new_id(clock: Clock | None = None) -> uuid.UUID:
    """A new UUID version 7: 48 bits of Unix milliseconds, then 74 random bits."""
    now = (clock or SystemClock()).now()
    milliseconds = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    random_a = secrets.randbits(12)
    random_b = secrets.randbits(62)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)
