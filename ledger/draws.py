"""Which of a wallet's lots a payment, a gift or a hold takes from, and in which order (pure).

Earliest expiry first, then the programme's rank (most restricted first), then the account's number; value without
expiry last. A lot is usable to the end of its last day in Japan.
"""

from collections.abc import Iterator
from datetime import date
from typing import Final

from ledger.accounts import Account, AccountKey, is_usable
from ledger.chart import FLOWS, Kind
from ledger.draft import Draft
from ledger.instructions import Destination, Draw
from ledger.programmes import Programme
from ledger.refusals import FlowOff, InstructionInvalid, InsufficientFunds

# Flows that take from a wallet as its lots come; they are asked for by `Draw` and not by naming a lot.
DRAWN_FLOWS: Final = frozenset({"payment", "gift", "overlap_back", "lawful_return"})
# Why value may be paid back to its holder at all: under the legal caps, no use here any more, the end of it all.
LAWFUL_RETURN_REASONS: Final = frozenset({"small", "cannot_use", "wind_down"})


def plan_draw(draft: Draft, draw: Draw) -> None:
    """Adds the transfers of a draw to the draft.

    Raises:
        InstructionInvalid: not a flow that draws; a lawful return without one of its reasons.
        FlowOff: none of the programmes has the flow switched on.
        InsufficientFunds: the eligible lots have less.
    """
    if draw.flow == "lawful_return" and draft.instruction.reason not in LAWFUL_RETURN_REASONS:
        raise InstructionInvalid(detail="A lawful return's reason is small, cannot_use or wind_down.")
    for lot, amount in choose_lots(draft, draw):
        draft.transfer(draw.flow, lot, destination_account(draw.credit, lot), amount)


def choose_lots(draft: Draft, draw: Draw) -> list[tuple[AccountKey, int]]:
    """The lots that make up the amount, with the yen that each gives.

    Raises:
        InstructionInvalid, FlowOff, InsufficientFunds: as `plan_draw`.
    """
    if draw.flow not in DRAWN_FLOWS:
        raise InstructionInvalid(detail=f"The flow {draw.flow} does not draw from lots.")
    programmes = _eligible_programmes(draft, draw)
    lots = sorted(
        _usable_lots(draft, draw, programmes),
        key=lambda lot: (lot.key.expires_on or date.max, programmes[lot.key.programme].rank, lot.id),
    )
    if (available := sum(lot.available for lot in lots)) < draw.amount:
        raise InsufficientFunds(available=available)
    return list(_take(lots, draw.amount))


def destination_account(destination: Destination, lot: AccountKey) -> AccountKey:
    """The account that value of a lot goes to. From wallet to wallet it keeps its programme and its day."""
    if destination.kind is Kind.WALLET:
        return lot._replace(holder=destination.holder)
    return AccountKey(destination.kind, destination.holder, lot.programme)


def _eligible_programmes(draft: Draft, draw: Draw) -> dict[str, Programme]:
    flow = FLOWS[draw.flow]
    named = draw.programmes if draw.programmes is not None else tuple(draft.state.programmes)
    programmes = [draft.programme(code) for code in named]
    eligible = {p.code: p for p in programmes if draft.is_on(flow, p, Kind.WALLET, draw.credit.kind)}
    if not eligible:
        raise FlowOff(flow=draw.flow, programme=", ".join(named))
    return eligible


def _usable_lots(draft: Draft, draw: Draw, programmes: dict[str, Programme]) -> Iterator[Account]:
    for lot in draft.accounts_of(Kind.WALLET, draw.wallet):
        if lot.key.programme in programmes and is_usable(lot.key, draft.state.today) and lot.available > 0:
            yield lot


def _take(lots: list[Account], amount: int) -> Iterator[tuple[AccountKey, int]]:
    left = amount
    for lot in lots:
        taken = min(left, lot.available)
        yield lot.key, taken
        left -= taken
        if left == 0:
            return
