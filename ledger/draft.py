"""A draft of one entry: what the planner has decided so far, on top of a state that stays as it is.

`Draft.transfer` is the one gate through which every transfer goes: chart, switched-on flow, two people, funds and
ceilings are checked there and nowhere else.
"""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from ledger.accounts import Account, AccountKey, is_usable
from ledger.chart import CEILINGED, FLOWS, LIABILITIES, Flow, Kind
from ledger.entries import Hold, HoldMovement, LimitCount, Line, Movement, Transfer
from ledger.instructions import Instruction
from ledger.programmes import Programme
from ledger.refusals import (
    CeilingReached,
    FlowOff,
    FundsShort,
    InstructionInvalid,
    InsufficientFunds,
    MerchantFundsShort,
    NotFound,
    PotExhausted,
    Refusal,
    SecondPersonNeeded,
)
from ledger.state import State, default_ceiling

# What may still move out of a lot after its last day: to where ended value goes, and back to whoever gave it.
MOVES_ENDED_VALUE: Final = frozenset({"expire", "bonus_back", "benefit_back", "gift_back"})
# An entry's lines are numbered in two bytes, and nobody reads longer ones.
LINES_MAX: Final = 5000


@dataclass(slots=True)
class Draft:
    """The lines of an entry in the making, and the accounts as they would stand after them."""

    state: State
    instruction: Instruction
    transfers: list[Transfer] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    hold_movements: list[HoldMovement] = field(default_factory=list)
    limit_counts: list[LimitCount] = field(default_factory=list)
    _accounts: dict[AccountKey, Account] = field(default_factory=dict)
    _undone: dict[Line, int] = field(default_factory=dict)
    _opened: int = 0

    def account(self, key: AccountKey) -> Account:
        """An account as it would stand now; a new, empty one where there is none yet."""
        drafted = self._accounts.get(key)
        if drafted is None:
            known = self.state.accounts.get(key)
            if known is None:
                self._opened += 1
                ceiling = default_ceiling(self.programme(key.programme), key.kind)
                drafted = Account(self.state.account_id + self._opened, key, ceiling=ceiling)
            else:
                drafted = Account(known.id, key, known.debits, known.credits, known.held, known.ceiling)
            self._accounts[key] = drafted
        return drafted

    def accounts_of(self, kind: Kind, holder: UUID) -> list[Account]:
        """A holder's accounts of one kind as they would stand now, in the order in which they were opened."""
        known = self.state.keys.get((kind, holder), ())
        opened = [
            key
            for key in self._accounts
            if key.kind is kind and key.holder == holder and key not in self.state.accounts
        ]
        return sorted((self.account(key) for key in [*known, *opened]), key=lambda account: account.id)

    def undone(self, line: Line) -> int:
        """How much of an earlier transfer would be undone by now; yen."""
        return self.state.undone.get(line, 0) + self._undone.get(line, 0)

    def programme(self, code: str) -> Programme:
        """A programme by its code.

        Raises:
            NotFound: the region has no such programme.
        """
        found = self.state.programmes.get(code)
        if found is None:
            raise NotFound(what=f"programme {code}")
        return found

    def transfer(
        self, flow: str, debit: AccountKey, credit: AccountKey, amount: int, *, undoes: Line | None = None
    ) -> None:
        """Adds a transfer of `amount` yen.

        Raises:
            InstructionInvalid: two programmes, one account twice, or a day on what is no wallet.
            NotFound: no such programme.
            FlowOff: the chart has no such way, or the programme has not switched it on.
            InstructionInvalid: a wallet's value changing its day; too many lines.
            SecondPersonNeeded: the flow needs two people.
            InsufficientFunds, MerchantFundsShort, PotExhausted, FundsShort: less available than this takes; nothing
                is available of a lot whose last day has passed.
            CeilingReached: a receivable or risk account beyond its ceiling, or below nothing.
        """
        self._require_way(flow, debit, credit)
        if FLOWS[flow].needs_two_people:
            self.require_two_people(flow)
        source, target = self.account(debit), self.account(credit)
        if flow not in MOVES_ENDED_VALUE and not is_usable(debit, self.state.today):
            raise InsufficientFunds(available=0)
        _require_funds(source, amount)
        _require_room(source, target, amount)
        self._require_space()
        source.debits += amount
        target.credits += amount
        self.transfers.append(Transfer(flow, debit, credit, amount, undoes))
        if undoes:
            self._undone[undoes] = self._undone.get(undoes, 0) + amount

    def move_hold(self, movement: HoldMovement) -> None:
        """Adds a movement of held value: placed, captured or released."""
        self._require_space()
        account = self.account(movement.account)
        account.held += movement.amount if movement.movement is Movement.PLACED else -movement.amount
        self.hold_movements.append(movement)

    def count_limit(self, counted: LimitCount) -> None:
        """Adds a count against a limit."""
        self._require_space()
        self.limit_counts.append(counted)

    def require_two_people(self, flow: str) -> None:
        """Demands that one person ordered the instruction and another approved it.

        Raises:
            SecondPersonNeeded: one is missing, or both are the same.
        """
        ordered_by, approved_by = self.instruction.ordered_by, self.instruction.approved_by
        if ordered_by is None or approved_by is None or ordered_by == approved_by:
            raise SecondPersonNeeded(flow=flow)

    def is_on(self, flow: Flow, programme: Programme, debit: Kind, credit: Kind) -> bool:
        """Whether the chart allows this way and the programme has it switched on."""
        return flow.name in programme.flows and flow.allows(programme.funding, debit, credit)

    def _require_space(self) -> None:
        if len(self.transfers) + len(self.hold_movements) + len(self.limit_counts) >= LINES_MAX:
            raise InstructionInvalid(detail=f"This would make more than {LINES_MAX} lines; divide it.")

    def _require_way(self, flow_name: str, debit: AccountKey, credit: AccountKey) -> None:
        if debit.programme != credit.programme:
            raise InstructionInvalid(detail="Debit and credit are of two programmes; value never crosses.")
        if debit == credit:
            raise InstructionInvalid(detail="Debit and credit are the same account.")
        if any(key.kind is not Kind.WALLET and (key.expires_on or key.grace) for key in (debit, credit)):
            raise InstructionInvalid(detail="Only a wallet's lots have a last day.")
        programme = self.programme(debit.programme)
        flow = FLOWS.get(flow_name)
        if flow is None or not self.is_on(flow, programme, debit.kind, credit.kind):
            raise FlowOff(flow=flow_name, programme=programme.code)
        if flow_name == "recover" and debit.holder != credit.holder:
            raise InstructionInvalid(detail="Takings pay their own merchant's debt and nobody else's.")
        if debit.kind is credit.kind is Kind.WALLET and debit[3:] != credit[3:]:
            raise InstructionInvalid(detail="Value moved between wallets keeps its expiry day.")


def _require_funds(source: Account, amount: int) -> None:
    if source.key.kind in LIABILITIES and source.available < amount:
        raise shortage(source.key.kind, source.available)


def _require_room(source: Account, target: Account, amount: int) -> None:
    if source.key.kind in CEILINGED and source.balance + amount > (source.ceiling or 0):
        raise CeilingReached(kind=source.key.kind, ceiling=source.ceiling or 0)
    if target.key.kind in CEILINGED and target.balance < amount:
        raise CeilingReached(kind=target.key.kind, ceiling=target.balance)


def shortage(kind: Kind, available: int) -> Refusal:
    """The refusal that says that an account of this kind has too little."""
    match kind:
        case Kind.WALLET:
            return InsufficientFunds(available=available)
        case Kind.TAKINGS:
            return MerchantFundsShort(available=available)
        case Kind.POT:
            return PotExhausted(available=available)
        case _:
            return FundsShort(kind=kind, available=available)
