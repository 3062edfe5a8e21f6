"""The form of an instruction: types, ranges and sizes, checked before it enters the queue.

What fails here was never looked up and uses up no id. Python checks no types at run time; here it is done by the
dataclasses' own annotations, so a new field can't be forgotten.
"""

import functools
import re
import types
import typing
from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from ledger.instructions import (
    AMOUNT_MAX,
    FINGERPRINT_BYTES,
    MOVES_MAX,
    TEXT_LENGTH_MAX,
    GiveUp,
    Instruction,
)
from ledger.refusals import InstructionInvalid

KIND_PATTERN: Final = re.compile(r"[a-z][a-z_]{0,31}")
DIGEST_BYTES: Final = 16
EVIDENCE_BYTES: Final = 32
LIMITS_MAX: Final = 500
GRACE_DAYS_MAX: Final = 366
# Days outside are mistakes: value that never expires has no day at all.
YEARS: Final = range(2000, 3000)
# Whole numbers that may be nothing. Every other one is at least 1.
_MAY_BE_ZERO: Final = frozenset({"fee", "day_max", "month_max", "total_max", "ceiling", "incoming"})
# Controls, and surrogates without their partner.
_UNSTORABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# What the domain hands through belongs to the domain.
_UNREAD: Final = frozenset({"request"})


def _is_text(value: object) -> bool:
    """Text that can be stored, hashed and shown: at most 200 characters, no controls, no lone surrogates."""
    return type(value) is str and len(value) <= TEXT_LENGTH_MAX and _UNSTORABLE.search(value) is None


# By the field's name, else by its type.
_PLAIN_CHECKS: Final[dict[object, Callable[[Any], bool]]] = {
    "grace_days": lambda value: type(value) is int and 0 <= value <= GRACE_DAYS_MAX,
    "family": lambda value: type(value) is str and KIND_PATTERN.fullmatch(value) is not None,
    str: _is_text,
    datetime: lambda value: isinstance(value, datetime) and value.tzinfo is not None and value.year in YEARS,
    # A datetime is a date to isinstance; a lot's day is not one.
    date: lambda value: type(value) is date and value.year in YEARS,
}


def check_form(instruction: Instruction | GiveUp) -> None:
    """Demands that every field has its type and range.

    Raises:
        InstructionInvalid: naming the field that is wrong, never its value.
    """
    _check_fields(instruction)
    if len(instruction.fingerprint) != FINGERPRINT_BYTES:
        raise InstructionInvalid(detail=f"fingerprint: {FINGERPRINT_BYTES} bytes are needed.")
    if not 1 <= len(instruction.caller) <= TEXT_LENGTH_MAX:
        raise InstructionInvalid(detail=f"caller: 1 to {TEXT_LENGTH_MAX} characters are needed.")
    if isinstance(instruction, Instruction):
        _check_instruction(instruction)


def _check_instruction(instruction: Instruction) -> None:
    if not KIND_PATTERN.fullmatch(instruction.kind):
        raise InstructionInvalid(detail="kind: lower-case letters and _, at most 32.")
    if not 1 <= len(instruction.moves) <= MOVES_MAX:
        raise InstructionInvalid(detail=f"moves: 1 to {MOVES_MAX} are needed; divide longer work.")
    if len(instruction.limits) > LIMITS_MAX or len(instruction.balance_ceilings) > LIMITS_MAX:
        raise InstructionInvalid(detail=f"limits: at most {LIMITS_MAX}.")
    reason = instruction.reason
    if reason is not None and not 1 <= len(reason) <= TEXT_LENGTH_MAX:
        raise InstructionInvalid(detail=f"reason: 1 to {TEXT_LENGTH_MAX} characters are needed.")
    if instruction.evidence is not None and len(instruction.evidence) != EVIDENCE_BYTES:
        raise InstructionInvalid(detail=f"evidence: {EVIDENCE_BYTES} bytes are needed.")
    if instruction.single_use is not None and len(instruction.single_use.digest) != DIGEST_BYTES:
        raise InstructionInvalid(detail=f"single_use.digest: {DIGEST_BYTES} bytes are needed.")


def _check_fields(value: object) -> None:
    for name, accepts in _field_checks(type(value)):  # type: ignore[arg-type]
        part = getattr(value, name)
        if not accepts(part):
            raise InstructionInvalid(detail=f"{name}: not of the form it must have.")


@functools.cache
def _field_checks(cls: type) -> tuple[tuple[str, Callable[[Any], bool]], ...]:
    """For every field of a dataclass or named tuple, whether a value fits it."""
    hints = typing.get_type_hints(cls)
    # Dataclasses and named tuples alike list their fields in `__match_args__`.
    names: tuple[str, ...] = cls.__match_args__  # type: ignore[attr-defined]
    return tuple((name, _fits(hints[name], name)) for name in names if name not in _UNREAD)


def _fits(hint: Any, name: str) -> Callable[[Any], bool]:
    origin = typing.get_origin(hint)
    if origin is types.UnionType or origin is typing.Union:
        return _fits_union(typing.get_args(hint), name)
    if origin is tuple:
        item = _fits(typing.get_args(hint)[0], name)
        return lambda value: type(value) is tuple and all(map(item, value))
    return _PLAIN_CHECKS.get(name) or _PLAIN_CHECKS.get(hint) or _fits_other(hint, name)


def _fits_union(hints: tuple[Any, ...], name: str) -> Callable[[Any], bool]:
    if types.NoneType in hints:
        # Every optional field is one type or None.
        (other,) = (hint for hint in hints if hint is not types.NoneType)
        check = _fits(other, name)
        return lambda value: value is None or check(value)
    checks = {hint: _fits(hint, name) for hint in hints}
    return lambda value: type(value) in checks and checks[type(value)](value)


def _fits_other(hint: Any, name: str) -> Callable[[Any], bool]:
    if hint is int:
        least = 0 if name in _MAY_BE_ZERO else 1
        # bool is an int to isinstance, so the type itself is compared.
        return lambda value: type(value) is int and least <= value <= AMOUNT_MAX
    if issubclass(hint, Enum) or hint in {UUID, bytes, bool}:
        return lambda value: type(value) is hint
    return functools.partial(_is_whole, hint)


def _is_whole(cls: type, value: object) -> bool:
    if type(value) is not cls:
        return False
    _check_fields(value)
    return True
