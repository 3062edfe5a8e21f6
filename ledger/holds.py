"""Holds: value of a wallet set aside, then captured whole or in part, released, or expired (pure)."""

from typing import Final

from database.days import end_of_day
from ledger.draft import Draft
from ledger.draws import choose_lots, destination_account
from ledger.entries import Hold, HoldMovement, Movement
from ledger.instructions import CaptureHold, ExpireHold, PlaceHold, ReleaseHold
from ledger.refusals import HoldExceeded, HoldExpired, InstructionInvalid, NotExpired, NotFound, NothingToMove
from ledger.state import HoldLine

# Value is set aside to be paid. A gift or a return to the holder happens at once, under what holds then.
HELD_FLOWS: Final = frozenset({"payment"})


def plan_place(draft: Draft, place: PlaceHold) -> None:
    """Sets aside what the draw would take.

    Raises:
        InstructionInvalid: it would end at once, or the instruction places two holds, or not for a payment.
        FlowOff, InsufficientFunds: as `choose_lots`.
    """
    if draft.holds:
        raise InstructionInvalid(detail="An instruction places one hold.")
    if place.draw.flow not in HELD_FLOWS:
        raise InstructionInvalid(detail=f"Nothing is set aside for {place.draw.flow}.")
    lots = choose_lots(draft, place.draw)
    days = [lot.expires_on for lot, _ in lots if lot.expires_on]
    # A hold never carries value past its last day.
    expires_at = min([place.expires_at, *(end_of_day(day) for day in days)])
    if expires_at <= draft.state.at:
        raise InstructionInvalid(detail="The hold would have ended already.")
    hold_id = draft.instruction.id
    draft.holds.append(Hold(hold_id, place.draw.wallet, place.draw.flow, place.draw.credit, expires_at))
    for lot, amount in lots:
        draft.move_hold(HoldMovement(hold_id, lot, Movement.PLACED, amount))


def plan_capture(draft: Draft, capture: CaptureHold) -> None:
    """Books held value by the hold's own flow to its own destination.

    Raises:
        NotFound: no such hold.
        HoldExpired: its last instant has passed.
        NothingToMove: nothing is held any more.
        HoldExceeded: more than is still held.
        FlowOff: the flow has been switched off meanwhile.
    """
    hold, lines = _find_hold(draft, capture)
    if draft.state.at >= hold.expires_at:
        raise HoldExpired(expired_at=hold.expires_at)
    for line, amount in _share(lines, capture.amount):
        draft.move_hold(HoldMovement(hold.id, line.account, Movement.CAPTURED, amount))
        draft.transfer(hold.flow, line.account, destination_account(hold.credit, line.account), amount)
        if capture.releases_rest and line.left > amount:
            draft.move_hold(HoldMovement(hold.id, line.account, Movement.RELEASED, line.left - amount))
    if capture.releases_rest:
        captured = {movement.account for movement in draft.hold_movements if movement.hold == hold.id}
        _release(draft, hold, [line for line in lines if line.account not in captured], None)


def plan_release(draft: Draft, release: ReleaseHold) -> None:
    """Gives held value free.

    Raises:
        NotFound, NothingToMove, HoldExceeded: as `plan_capture`.
    """
    hold, lines = _find_hold(draft, release)
    _release(draft, hold, lines, release.amount)


def plan_expire_hold(draft: Draft, expire: ExpireHold) -> None:
    """Gives all of a hold free whose last instant has passed.

    Raises:
        NotFound: no such hold.
        NotExpired: it lives.
        NothingToMove: nothing is held any more.
    """
    hold, lines = _find_hold(draft, expire)
    if draft.state.at < hold.expires_at:
        raise NotExpired
    _release(draft, hold, lines, None)


def _release(draft: Draft, hold: Hold, lines: list[HoldLine], amount: int | None) -> None:
    for line, share in _share(lines, amount):
        draft.move_hold(HoldMovement(hold.id, line.account, Movement.RELEASED, share))


def _find_hold(draft: Draft, named: CaptureHold | ReleaseHold | ExpireHold) -> tuple[Hold, list[HoldLine]]:
    if any(movement.hold == named.hold for movement in draft.hold_movements):
        raise InstructionInvalid(detail="An instruction moves a hold once.")
    found = draft.state.holds.get(named.hold)
    if found is None:
        raise NotFound(what=f"hold {named.hold}")
    hold, lines = found
    if not any(line.left for line in lines):
        raise NothingToMove
    return hold, [line for line in lines if line.left]


def _share(lines: list[HoldLine], amount: int | None) -> list[tuple[HoldLine, int]]:
    """Divides an amount over a hold's lines in the order in which they were placed; None: all that is left."""
    held = sum(line.left for line in lines)
    left = held if amount is None else amount
    if left > held:
        raise HoldExceeded(left=held)
    shares = []
    for line in lines:
        share = min(left, line.left)
        if share:
            shares.append((line, share))
        left -= share
    return shares
