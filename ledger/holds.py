"""Holds: value of a wallet set aside, then captured whole or in part, released, or expired (pure).

What placing a hold counted against limits goes with the value: released, it is taken off; captured, it becomes the
capture's own.
"""

from typing import Final

from database.days import end_of_day
from ledger.accounts import AccountKey
from ledger.draft import Draft
from ledger.draws import choose_lots, destination_account
from ledger.entries import Hold, HoldMovement, LimitCount, Movement
from ledger.instructions import CaptureHold, ExpireHold, PlaceHold, ReleaseHold
from ledger.refusals import HoldExceeded, HoldExpired, InstructionInvalid, NotExpired, NotFound, NothingToMove
from ledger.state import HoldLine, Settled

# Value is set aside to be paid. A gift or a return to the holder happens at once, under what holds then.
HELD_FLOWS: Final = frozenset({"payment"})


def plan_place(draft: Draft, place: PlaceHold) -> None:
    """Sets aside what the draw would take.

    Raises:
        InstructionInvalid: not alone in its instruction, not for a payment, or it would end at once.
        FlowOff, InsufficientFunds: as `choose_lots`.
    """
    if len(draft.instruction.moves) > 1:
        # What the entry counts against limits is then the hold's alone.
        raise InstructionInvalid(detail="Placing a hold stands alone in its instruction.")
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
        NothingToMove: nothing is held any more.
        HoldExpired: its last instant has passed.
        HoldExceeded: more than is still held.
        FlowOff: the flow has been switched off meanwhile.
    """
    hold, lines = _find_hold(draft, capture)
    if draft.state.at >= hold.expires_at:
        raise HoldExpired(expired_at=hold.expires_at)
    captured = _share(lines, capture.amount)
    _count_captured(draft, hold, sum(amount for _, amount in captured))
    left = {line.account: line.left for line in lines}
    for line, amount in captured:
        draft.move_hold(HoldMovement(hold.id, line.account, Movement.CAPTURED, amount))
        draft.transfer(hold.flow, line.account, destination_account(hold.credit, line.account), amount)
        left[line.account] -= amount
    if capture.releases_rest:
        _release(draft, hold, [(account, amount) for account, amount in left.items() if amount])


def plan_release(draft: Draft, release: ReleaseHold) -> None:
    """Gives held value free.

    Raises:
        NotFound, NothingToMove, HoldExceeded: as `plan_capture`.
    """
    hold, lines = _find_hold(draft, release)
    _release(draft, hold, [(line.account, amount) for line, amount in _share(lines, release.amount)])


def plan_expire_hold(draft: Draft, expire: ExpireHold) -> None:
    """Gives all of a hold free whose last instant has passed.

    Raises:
        NotFound: no such hold.
        NothingToMove: nothing is held any more.
        NotExpired: it lives.
    """
    hold, lines = _find_hold(draft, expire)
    if draft.state.at < hold.expires_at:
        raise NotExpired
    _release(draft, hold, [(line.account, line.left) for line in lines])


def _release(draft: Draft, hold: Hold, released: list[tuple[AccountKey, int]]) -> None:
    for count in _counted(draft, hold, sum(amount for _, amount in released)):
        draft.count_limit(count._replace(amount=-count.amount))
    for account, amount in released:
        draft.move_hold(HoldMovement(hold.id, account, Movement.RELEASED, amount))


def _count_captured(draft: Draft, hold: Hold, amount: int) -> None:
    """Makes what the hold had counted for this amount the capture's own, so that a refund can take it off."""
    for count in _counted(draft, hold, amount):
        draft.count_limit(count)
        draft.count_limit(count._replace(amount=-count.amount))


def _counted(draft: Draft, hold: Hold, amount: int) -> list[LimitCount]:
    """The share of what placing the hold counted that belongs to an amount which leaves it now."""
    placed = draft.state.instructions.get(hold.id)
    counts = placed.entry.limit_counts if isinstance(placed, Settled) else ()
    lines = draft.state.holds[hold.id][1]
    total = sum(line.placed for line in lines)
    gone = sum(line.placed - line.left for line in lines)
    # A capture that releases the rest moves twice in one entry.
    gone += sum(moved.amount for moved in draft.hold_movements if moved.hold == hold.id)
    shares = [(count, count.amount * (gone + amount) // total - count.amount * gone // total) for count in counts]
    return [count._replace(amount=share) for count, share in shares if share > 0]


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
