"""Every "no" of the ledger, in the order in which they are checked, each with its stable code.

The docstring is the meaning. A refusal carries facts as typed attributes and knows no HTTP and no Japanese; what a
person reads is written elsewhere, by code. Whether a refusal uses up the instruction's id is `is_stored`.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self, dataclass_transform, get_type_hints
from uuid import UUID


@dataclass_transform()
class Refusal(Exception):  # noqa: N818 - a refusal is not an error
    """A "no" with a stable reason. Every subclass is a dataclass of its facts."""

    code: ClassVar[str]
    is_stored: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        """Makes a dataclass of every refusal; not a frozen one, because raising writes to an exception."""
        dataclass(unsafe_hash=True)(cls)

    def __str__(self) -> str:
        """Code, meaning, facts: for logs and terminals."""
        facts = ", ".join(f"{name} {value}" for name, value in self.facts().items())
        meaning = (type(self).__doc__ or "").splitlines()[0]
        return f"{self.code}: {meaning}" + (f" ({facts})" if facts else "")

    def facts(self) -> dict[str, int | str]:
        """What the refusal knows beside its code, by field name, as JSON can carry it."""
        values = {name: getattr(self, name) for name in _fields(type(self))}
        return {name: value if isinstance(value, int) else str(value) for name, value in values.items()}

    def __reduce__(self) -> tuple[object, ...]:
        """Copies and pickles by field; exceptions would do it by `args`, which keywords leave empty."""
        return (type(self), tuple(getattr(self, name) for name in _fields(type(self))))

    @classmethod
    def from_facts(cls, facts: Mapping[str, int | str]) -> Self:
        """The refusal that gave these facts: the way back from `facts`."""
        types = get_type_hints(cls)
        return cls(**{name: _READERS[types[name]](facts[name]) for name in _fields(cls)})


_READERS: Mapping[type, Callable[[Any], object]] = {
    int: int,
    str: str,
    UUID: UUID,
    datetime: datetime.fromisoformat,
}


def _fields(refusal: type[Refusal]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(refusal))  # type: ignore[arg-type]


def list_refusals(base: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every refusal known to the process, in the order of definition."""
    for refusal in base.__subclasses__():
        yield refusal
        yield from list_refusals(refusal)


def stored_refusal(code: str, facts: Mapping[str, int | str]) -> Refusal:
    """The refusal that was stored with this code and these facts; the first answer, for ever.

    An `EarlierRefusal` stands in where this process does not know the code, or no longer with these facts.
    """
    known = {refusal.code: refusal for refusal in list_refusals()}.get(code)
    try:
        return known.from_facts(facts) if known else EarlierRefusal(code, json.dumps(facts))
    except (KeyError, TypeError, ValueError):
        return EarlierRefusal(code, json.dumps(facts))


class InstructionInvalid(Refusal):
    """The instruction can't be understood as written; nothing was looked up."""

    code = "request_invalid"
    is_stored = False
    detail: str


class Overloaded(Refusal):
    """The queue is full; the instruction did not enter it. Ask again with the same id after a pause."""

    code = "overloaded"
    is_stored = False
    retry_after_seconds: int = 1


class TooManyRequests(Refusal):
    """This caller was refused too often within a minute; the id stays free."""

    code = "too_many_requests"
    is_stored = False
    retry_after_seconds: int = 60


class IdReused(Refusal):
    """The id already names another instruction, or another caller's."""

    code = "id_reused"
    is_stored = False


class IdGivenUp(Refusal):
    """The id was given up by its caller; it never settles."""

    code = "id_given_up"
    is_stored = False


class SingleUseKeySpent(Refusal):
    """The code was spent before, by the instruction named here."""

    code = "code_used"
    instruction_id: UUID


class NotFound(Refusal):
    """What the instruction names does not exist: a programme, an entry to undo, a hold, an account."""

    code = "not_found"
    what: str


class RegionClosed(Refusal):
    """The region's book is closed; nothing more is written into it."""

    code = "region_closed"


class FlowOff(Refusal):
    """This flow is not switched on for this programme, or the chart knows no such way for value to move."""

    code = "flow_off"
    flow: str
    programme: str


class SecondPersonNeeded(Refusal):
    """This needs one person who orders it and another who approves it."""

    code = "second_person_needed"
    flow: str


class LimitDay(Refusal):
    """More than may be used in one day (Japan's)."""

    code = "limit_day"
    family: str
    ceiling: int
    used: int


class LimitMonth(Refusal):
    """More than may be used in one calendar month."""

    code = "limit_month"
    family: str
    ceiling: int
    used: int


class LimitTotal(Refusal):
    """More than may ever be used."""

    code = "limit_total"
    family: str
    ceiling: int
    used: int


class LimitBalance(Refusal):
    """More than this holder may keep."""

    code = "limit_balance"
    ceiling: int
    balance: int


class NotExpired(Refusal):
    """The lot's last day, or the hold's last instant, has not passed."""

    code = "not_expired"


class PastLegalLimit(Refusal):
    """The value's last legal day has passed; it can't be made usable again."""

    code = "past_legal_limit"


class HoldExpired(Refusal):
    """The hold's last instant has passed; it can only be released."""

    code = "hold_expired"
    expired_at: datetime


class HoldExceeded(Refusal):
    """More than the hold still sets aside."""

    code = "hold_exceeded"
    left: int


class InsufficientFunds(Refusal):
    """The wallet has less to spend than this takes."""

    code = "insufficient_funds"
    available: int


class RefundExceedsPayment(Refusal):
    """More than is left to refund, or to undo, of what was named."""

    code = "refund_exceeds_payment"
    left: int


class MerchantFundsShort(Refusal):
    """The merchant's takings, with what he may owe, do not cover this."""

    code = "merchant_funds_short"
    available: int


class PotExhausted(Refusal):
    """The budget has less left than this takes."""

    code = "pot_exhausted"
    available: int


class FundsShort(Refusal):
    """The account that this would take from has less available."""

    code = "funds_short"
    kind: str
    available: int


class CeilingReached(Refusal):
    """The account may not be used beyond its ceiling, nor be given back more than was used."""

    code = "ceiling_reached"
    kind: str
    ceiling: int


class NothingToMove(Refusal):
    """There is nothing left here that this could move."""

    code = "nothing_to_move"


class LinkedRefused(Refusal):
    """Another instruction of the same linked group was refused, so this one was not carried out."""

    code = "linked_refused"
    is_stored = False
    instruction_id: UUID


class OutcomeUnknown(Refusal):
    """The database did not say in time what became of it. Ask again with the same id: that is always safe."""

    code = "outcome_unknown"
    is_stored = False


class EarlierRefusal(Refusal):
    """Another release refused this, for a reason that this one does not know by its code."""

    code = "refused_earlier"
    code_then: str
    facts_then: str
