"""The planner: `(state, instruction) -> entry | refusal`, pure.

It reads no clock and no database, and changes nothing it is given. Ids come first, then spent codes, the closed
region, limits, and last the moves with their flows and funds: the order in which refusals are told.
"""

from collections.abc import Callable
from typing import Any, Final

from ledger.accounts import is_usable
from ledger.chart import FLOWS, Kind
from ledger.draft import Draft
from ledger.draws import DRAWN_FLOWS, plan_draw
from ledger.endings import plan_expire, plan_succeed
from ledger.entries import Entry
from ledger.holds import plan_capture, plan_expire_hold, plan_place, plan_release
from ledger.instructions import (
    CaptureHold,
    Draw,
    Expire,
    ExpireHold,
    GiveUp,
    Instruction,
    Move,
    PlaceHold,
    Refund,
    ReleaseHold,
    Settle,
    Succeed,
    Undo,
    is_same_caller,
)
from ledger.limits import count_limits, require_balance_ceilings
from ledger.refunds import plan_refund
from ledger.refusals import (
    IdGivenUp,
    IdReused,
    InstructionInvalid,
    Refusal,
    RegionClosed,
    SecondPersonNeeded,
    SingleUseKeySpent,
)
from ledger.settling import plan_settle, recover_debt
from ledger.state import Refused, Settled, State
from ledger.undoing import plan_undo

# Flows that have a move of their own, which knows what must come with them.
_OWN_MOVES: Final = DRAWN_FLOWS | {"settle", "expire", "succession"}
# Flows by which takings go to others: what their merchant owes is recovered first.
_AFTER_DEBTS: Final = frozenset({"supply", "donate"})


def plan(state: State, instruction: Instruction) -> Entry | Refusal:
    """What becomes of an instruction whose id is new: its entry, or why not. The state stays as it is."""
    draft = Draft(state, instruction)
    try:
        _require_open(state, instruction)
        count_limits(draft, instruction.limits)
        require_balance_ceilings(draft, instruction.balance_ceilings)
        for move in instruction.moves:
            _PLANNERS[type(move)](draft, move)
    except Refusal as refusal:
        return refusal
    return _finish(draft)


def find_first_answer(state: State, instruction: Instruction) -> Settled | Refusal | None:
    """The answer that an instruction's id already has; None where the id is new."""
    known = state.instructions.get(instruction.id)
    if known is None:
        return None
    if isinstance(known, Refused) and isinstance(known.refusal, IdGivenUp):
        return known.refusal if is_same_caller(known.fingerprint, instruction.fingerprint) else IdReused()
    if known.fingerprint != instruction.fingerprint:
        return IdReused()
    return known if isinstance(known, Settled) else known.refusal


def plan_give_up(state: State, give_up: GiveUp) -> Settled | Refusal:
    """What becomes of an id that its caller gives up: `IdGivenUp`, or the entry if it had settled."""
    known = state.instructions.get(give_up.id)
    if known is None:
        return IdGivenUp()
    if not is_same_caller(known.fingerprint, give_up.fingerprint):
        return IdReused()
    # A refused id never settles either, so giving it up has nothing left to do.
    return known if isinstance(known, Settled) else IdGivenUp()


def _require_open(state: State, instruction: Instruction) -> None:
    if instruction.single_use and (spent_by := state.single_use.get(instruction.single_use)):
        raise SingleUseKeySpent(instruction_id=spent_by)
    if not state.is_open:
        raise RegionClosed
    if instruction.ordered_by and instruction.ordered_by == instruction.approved_by:
        raise SecondPersonNeeded(flow=instruction.kind)


def _plan_move(draft: Draft, move: Move) -> None:
    flow = FLOWS.get(move.flow)
    if flow is not None and (flow.undoes or move.flow in _OWN_MOVES):
        raise InstructionInvalid(detail=f"{move.flow} can't be asked for by naming two accounts.")
    credit = move.credit
    if credit.kind is Kind.WALLET and credit.expires_on is not None:
        bucket = draft.programme(credit.programme).expiry_bucket
        credit = credit._replace(expires_on=bucket.bucket(credit.expires_on))
        if not is_usable(credit, draft.state.today):
            raise InstructionInvalid(detail="The value would arrive after its last day.")
    if credit.grace or move.debit.grace:
        raise InstructionInvalid(detail="Grace lots are made by refunds only.")
    if move.flow in _AFTER_DEBTS and move.debit.kind is Kind.TAKINGS:
        recover_debt(draft, move.debit)
    draft.transfer(move.flow, move.debit, credit, move.amount)


_PLANNERS: Final[dict[type, Callable[[Draft, Any], None]]] = {
    Move: _plan_move,
    Draw: plan_draw,
    Refund: plan_refund,
    Undo: plan_undo,
    PlaceHold: plan_place,
    CaptureHold: plan_capture,
    ReleaseHold: plan_release,
    ExpireHold: plan_expire_hold,
    Settle: plan_settle,
    Expire: plan_expire,
    Succeed: plan_succeed,
}


def _finish(draft: Draft) -> Entry:
    state, instruction = draft.state, draft.instruction
    return Entry(
        seq=state.seq + 1,
        at=state.at,
        id=instruction.id,
        kind=instruction.kind,
        fingerprint=instruction.fingerprint,
        transfers=tuple(draft.transfers),
        holds=tuple(draft.holds),
        hold_movements=tuple(draft.hold_movements),
        limit_counts=tuple(draft.limit_counts),
        single_use=instruction.single_use,
        ordered_by=instruction.ordered_by,
        approved_by=instruction.approved_by,
        reason=instruction.reason,
        evidence=instruction.evidence,
    )
