"""The one place that maps a constraint's name to the refusal it means.

The planner refuses before the database has to. What arrives here was stopped by the last guard: by rule it is a bug
of ours, but the caller still gets a "no" that he can understand where the constraint has one.
"""

from types import MappingProxyType
from typing import Final

import psycopg

from ledger.refusals import (
    CeilingReached,
    FlowOff,
    FundsShort,
    IdReused,
    InstructionInvalid,
    OutcomeUnknown,
    RefundExceedsPayment,
    Refusal,
    RegionClosed,
    SecondPersonNeeded,
)

_REFUSALS: Final = MappingProxyType(
    {
        "account_is_not_overdrawn": FundsShort(kind="", available=0),
        "account_ceiling_is_kept": CeilingReached(kind="", ceiling=0),
        "book_is_open": RegionClosed(),
        "book_time_is_not_ahead": OutcomeUnknown(),
        "entry_id_is_used_once": IdReused(),
        "entry_needs_two_people": SecondPersonNeeded(flow=""),
        "entry_two_people_differ": SecondPersonNeeded(flow=""),
        "transfer_amount_is_positive": InstructionInvalid(detail="amount: out of range."),
        "transfer_flow_is_charted": FlowOff(flow="", programme=""),
        "transfer_flow_is_known": FlowOff(flow="", programme=""),
        "transfer_flow_is_on": FlowOff(flow="", programme=""),
        "undone_not_more_than_moved": RefundExceedsPayment(left=0),
    }
)


def refusal_of_constraint(error: Exception) -> Refusal | None:
    """The refusal that a violated constraint means; None where it means nothing to a caller."""
    if not isinstance(error, psycopg.errors.IntegrityError):
        return None
    return _REFUSALS.get(error.diag.constraint_name or "")
