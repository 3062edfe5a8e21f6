"""Random instructions for a small town: mostly sensible, sometimes not, over every kind of move and every flow."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from ledger.accounts import AccountKey
from ledger.chart import FLOWS, Kind
from ledger.entries import Entry, Line, Transfer
from ledger.instructions import (
    BalanceCeiling,
    BonusBack,
    CaptureHold,
    CounterKey,
    Destination,
    Draw,
    Expire,
    ExpireHold,
    Instruction,
    Limit,
    Move,
    PlaceHold,
    Refund,
    ReleaseHold,
    Settle,
    Succeed,
    Undo,
)
from ledger.programmes import ExpiryBucket, Programme
from ledger.state import Settled, State, lines_of
from tests.ledger.ledger_factories import (
    AGENT,
    BAKERY,
    BAKERY_BANK,
    BANK,
    CAMPAIGN,
    CITY,
    CLERK,
    GREENGROCER,
    HANAKO,
    NOBODY,
    TARO,
    TREASURER,
    grant,
    instruction,
    person,
    single_use,
    yen,
)
from tests.properties.naive_model import ASSETS, DRAWN, UNDOES, WAYS

WALLETS = (HANAKO, TARO, person("jiro"))
MERCHANTS = (BAKERY, GREENGROCER)
CALLERS = ("terminal:1", "terminal:2", "wallet:hanako")
HOLDERS = {
    Kind.RESERVE: (BANK, AGENT),
    Kind.GRANT: (CITY,),
    Kind.RECEIVABLE: MERCHANTS,
    Kind.RISK: (CITY,),
    Kind.POT: (CAMPAIGN,),
    Kind.WALLET: WALLETS,
    Kind.TAKINGS: MERCHANTS,
    Kind.FLOAT: (AGENT,),
    Kind.PAYOUT: (BAKERY_BANK,),
    Kind.FEE: (NOBODY,),
    Kind.EXPIRED: (NOBODY,),
    Kind.SUSPENSE: (NOBODY,),
    Kind.DIFFERENCE: (CITY,),
}
NAMED_OTHERWISE = DRAWN | {"settle", "expire", "succession"}
NOTHING_THERE = person("nobody knows this one")
_BACK = {flow: [undoing for undoing, undone in UNDOES.items() if flow in undone] for flow in FLOWS}


def town() -> tuple[Programme, ...]:
    """Three programmes: plain yen, yen exempt because it never outlives its day, and the city's grant."""
    return (
        yen("yen", id=1, rank=2, also=("lawful_return",), receivable_max=700, risk_max=400),
        yen("short", id=2, rank=1, extension_days_max=0, receivable_max=300, risk_max=100),
        grant("gift", id=3, expiry_bucket=ExpiryBucket.MONTH_END, extension_days_max=40, receivable_max=300),
    )


class Chance:
    """Draws instructions for a state as it stands.

    A seed decides, not Hypothesis choice by choice: chance is then even, and a step shrinks as a whole.

    Attributes:
        state: what the instructions are made for.
        made: how many; ids are derived from it, so that failures repeat.
    """

    def __init__(self) -> None:
        self.random = Random(0)
        self.state: State
        self.made = 0

    def begin(self, seed: int, state: State) -> "Chance":
        """What follows depends on this seed and on what came before."""
        self.random = Random(f"{seed} {self.made}")
        self.state = state
        return self

    def one_of(self, *options: Any) -> Any:
        return self.random.choice(options)

    def is_even(self) -> bool:
        return self.random.random() < 0.5

    def is_rare(self) -> bool:
        return self.random.random() < 0.06

    def new_id(self) -> UUID:
        self.made += 1
        return person(f"instruction {self.made}")

    def amount(self, there: int = 2500) -> int:
        """Some of what is there, all of it, or a little too much."""
        if self.is_rare():
            return there + self.random.randint(1, 500)
        most = max(1, there)
        return self.one_of(1, most, self.random.randint(1, most), self.random.randint(1, min(most, 600)))

    def available(self, key: AccountKey) -> int:
        account = self.state.accounts.get(key)
        return max(0, account.available) if account else 0

    def spendable(self, wallet: UUID) -> int:
        today = self.state.today
        lots = [key for key in self.state.accounts if key.kind is Kind.WALLET and key.holder == wallet]
        alive = [key for key in lots if (key.expires_on or today) >= today]
        return sum(self.available(key) for key in alive)

    # --- Instructions ---------------------------------------------------------------------------------------

    def instruction(self, *moves: Any, is_plain: bool = False) -> Instruction:
        """An instruction with these moves, and perhaps limits, a ceiling, a code, one person or two."""
        rest: dict[str, Any] = {
            "caller": self.one_of(*CALLERS),
            "reason": self.one_of(None, "small"),
            "ordered_by": CLERK if not self.is_rare() else None,
            "approved_by": TREASURER if not self.is_rare() else None,
            "stores_refusal": not self.is_rare(),
        }
        if not is_plain:
            rest |= self.extras()
        return instruction(*moves, id=self.new_id(), **rest)

    def extras(self) -> dict[str, Any]:
        extras: dict[str, Any] = {}
        if self.random.random() < 0.3:
            extras["limits"] = tuple(self.limit() for _ in range(self.one_of(1, 1, 2)))
        if self.is_rare():
            extras["single_use"] = single_use(self.one_of("one", "two"))
        if self.is_rare():
            ceiling = BalanceCeiling(self.one_of(*WALLETS), self.amount(), self.one_of(0, 5000, 15000))
            extras["balance_ceilings"] = (ceiling,)
        return extras

    def limit(self) -> Limit:
        counter = CounterKey(self.one_of("wallet", "household"), self.one_of(HANAKO, TARO))
        ceilings = (self.one_of(None, None, None, 0, 3000, 6000) for _ in range(3))
        return Limit(counter, self.amount(1000), *ceilings)

    def any_move(self) -> Any:
        return self.one_of(
            self.move, self.payment, self.gift, self.other_draw, self.refund, self.undo, self.hold, self.on_hold,
            self.settle, self.expire, self.succeed,
        )()  # fmt: skip

    # --- Moves ----------------------------------------------------------------------------------------------

    def account(self, kind: Kind, programme: str) -> AccountKey:
        holder = self.one_of(*HOLDERS[kind])
        if kind is not Kind.WALLET:
            return AccountKey(kind, holder, programme)
        days = self.one_of(None, 0, 0, 3, 3, 20, 45) if not self.is_rare() else -1
        day = None if days is None else self.state.today + timedelta(days=days)
        return AccountKey(kind, holder, programme, day, self.is_rare() and self.is_rare())

    def move(self) -> Move:
        """By any flow, mostly where the chart lets it go and something is there."""
        if self.is_rare():
            return self.wild_move()
        ways = [
            (flow, code, Kind(debit), Kind(credit))
            for code, programme in self.state.programmes.items()
            for flow, of in WAYS.items()
            for funding, debit, credit in sorted(of)
            if funding == str(programme.funding) and flow not in UNDOES and flow not in NAMED_OTHERWISE
        ]
        chosen = [(way, self.account(way[2], way[1])) for way in (self.one_of(*ways) for _ in range(6))]
        # Assets give as much as they are asked for.
        (flow, code, _, credit), debit = next(
            (one for one in chosen if one[1].kind in ASSETS or self.available(one[1])), chosen[0]
        )
        there = 1500 if debit.kind in ASSETS else self.available(debit)
        return Move(flow, debit, self.account(credit, code), self.amount(there))

    def wild_move(self) -> Move:
        """By any flow between any accounts."""
        code, other = self.one_of(*self.state.programmes), self.one_of(*self.state.programmes)
        flow = self.one_of(*FLOWS, "unheard_of")
        debit = self.account(self.one_of(*Kind), code)
        return Move(
            flow, debit, self.account(self.one_of(*Kind), self.one_of(code, other, "unknown")), self.amount()
        )

    def value_in(self) -> Move:
        """The flows by which value comes in, more often than chance would have them."""
        programme = self.one_of(*self.state.programmes)
        flow = (
            self.one_of("fund", "bonus", "benefit")
            if programme == "gift"
            else self.one_of("top_up", "top_up", "float_sell")
        )
        [(debit, credit)] = {(debit, credit) for _, debit, credit in WAYS[flow]}
        from_ = self.account(Kind(debit), programme)
        there = 3000 if from_.kind in ASSETS else self.available(from_)
        return Move(flow, from_, self.account(Kind(credit), programme), self.amount(there))

    def programmes(self) -> tuple[str, ...] | None:
        if not self.is_rare():
            return None
        return self.one_of(("yen",), ("gift", "short"), ("unknown",), ())

    def draw(self, flow: str, kind: Kind) -> Draw:
        wallet, holder = self.one_of(*WALLETS), self.one_of(*HOLDERS[kind])
        return Draw(flow, wallet, self.amount(self.spendable(wallet)), Destination(kind, holder), self.programmes())

    def payment(self) -> Draw:
        return self.draw("payment", Kind.TAKINGS)

    def gift(self) -> Draw:
        return self.draw("gift", Kind.WALLET)

    def other_draw(self) -> Draw:
        if self.is_rare():
            return self.draw(self.one_of("lawful_return", "top_up", "payment"), Kind.TAKINGS)
        return self.draw(*self.one_of(("overlap_back", Kind.RISK), ("lawful_return", Kind.RESERVE)))

    def lines(self, *flows: str) -> list[tuple[Entry, Line, Transfer]]:
        entries = [one.entry for one in self.state.instructions.values() if isinstance(one, Settled)]
        all_lines = [(entry, line, transfer) for entry in entries for line, transfer in lines_of(entry)]
        return [one for one in all_lines if one[2].flow in flows] or all_lines

    def left(self, line: Line, transfer: Transfer) -> int:
        return transfer.amount - self.state.undone.get(line, 0)

    def refund(self) -> Any:
        if not (lines := self.lines("payment")):
            return self.payment()
        entry, line, transfer = self.one_of(*lines)
        bonuses = self.lines("bonus")
        bonus_back: tuple[BonusBack, ...] = ()
        if bonuses and self.random.random() < 0.3:
            given, of, bonus = self.one_of(*bonuses)
            bonus_back = (BonusBack(given.id, of.line, self.amount(self.left(of, bonus))),)
        original = NOTHING_THERE if self.is_rare() else entry.id
        return Refund(original, self.amount(self.left(line, transfer)), self.one_of(14, 14, 14, 0, 100), bonus_back)

    def undo(self) -> Any:
        flow = self.one_of(*(flow for flow, undoing in _BACK.items() if undoing))
        entry, line, transfer = self.one_of(*self.lines(flow))
        undoing = self.one_of(*(_BACK[transfer.flow] or ["refund"]))
        if self.is_rare():
            undoing = self.one_of(*UNDOES, "payment", "unheard_of")
        number = 99 if self.is_rare() else line.line
        amount = None if self.is_even() else self.amount(self.left(line, transfer))
        return Undo(undoing, entry.id, number, amount, self.one_of(14, 14, 0, 100))

    def hold(self) -> PlaceHold:
        ends = self.state.at + timedelta(hours=self.one_of(1, 8, 100, 100) if not self.is_rare() else 0)
        return PlaceHold(self.payment() if not self.is_rare() else self.gift(), ends)

    def on_hold(self) -> Any:
        holds = tuple(of for of, (_, lines) in self.state.holds.items() if any(line.left for line in lines))
        if not holds and not self.is_rare():
            return self.hold()
        if self.is_rare() or not holds:
            holds = (*self.state.holds, NOTHING_THERE)
        of = self.one_of(*holds)
        held = sum(line.left for line in self.state.holds[of][1]) if of in self.state.holds else 1
        amount = None if self.is_even() else self.amount(held)
        return self.one_of(CaptureHold(of, amount, self.is_even()), ReleaseHold(of, amount), ExpireHold(of))

    def settle(self) -> Settle:
        programme = "unknown" if self.is_rare() else self.one_of(*self.state.programmes)
        merchant = self.one_of(*MERCHANTS)
        there = self.available(AccountKey(Kind.TAKINGS, merchant, programme))
        amount = None if self.is_even() else self.amount(there)
        return Settle(merchant, programme, BAKERY_BANK, amount, self.one_of(0, 0, 30, 500))

    def expire(self) -> Expire:
        lots = [key for key in self.state.accounts if key.kind is Kind.WALLET]
        ended = [
            key for key in lots if key.expires_on and key.expires_on < self.state.today and self.available(key)
        ]
        return Expire(self.one_of(*(ended if ended and not self.is_rare() else lots)))

    def succeed(self) -> Succeed:
        kind = self.one_of(Kind.WALLET, Kind.TAKINGS)
        holder, successor = self.random.sample(HOLDERS[kind], 2)
        if self.is_rare():
            return self.one_of(Succeed(Kind.POT, holder, successor), Succeed(kind, holder, holder))
        return Succeed(kind, holder, successor)

    def later(self) -> datetime:
        """Some time on: hours, days, months."""
        steps = (1, 9, 24, 24, 4 * 24, 4 * 24, 31 * 24, 62 * 24)
        return self.state.at + timedelta(hours=self.one_of(*steps))

    def beginnings(self) -> Iterator[Instruction]:
        """What a town has done before the test begins: value everywhere, so that chance finds something to do."""
        for code in ("yen", "short"):
            for wallet in WALLETS:
                days = self.one_of(None, 0, 3, 20)
                day = None if days is None else self.state.today + timedelta(days=days)
                to = AccountKey(Kind.WALLET, wallet, code, day)
                yield self.plain(Move("top_up", AccountKey(Kind.RESERVE, BANK, code), to, 3000))
            for flow, payer, kind, holder in (
                ("float_buy", AGENT, Kind.FLOAT, AGENT),
                ("sell_codes", BANK, Kind.POT, CAMPAIGN),
                ("unmatched", BANK, Kind.SUSPENSE, NOBODY),
            ):
                paid_by, to = AccountKey(Kind.RESERVE, payer, code), AccountKey(kind, holder, code)
                yield self.plain(Move(flow, paid_by, to, 4000))
        budget = AccountKey(Kind.POT, CAMPAIGN, "gift")
        yield self.plain(Move("fund", AccountKey(Kind.GRANT, CITY, "gift"), budget, 20_000))
        for flow in ("bonus", "benefit"):
            yield self.plain(Move(flow, budget, AccountKey(Kind.WALLET, HANAKO, "gift", self.state.today), 1500))
        for merchant in (*MERCHANTS, GREENGROCER):
            for code in self.state.programmes:
                draw = Draw("payment", HANAKO, 500, Destination(Kind.TAKINGS, merchant), (code,))
                yield self.plain(draw)
        yield self.plain(Settle(GREENGROCER, "yen", BAKERY_BANK, 700, 100))
        payout, bank = AccountKey(Kind.PAYOUT, BAKERY_BANK, "yen"), AccountKey(Kind.RESERVE, BANK, "yen")
        takings = [AccountKey(Kind.TAKINGS, merchant, "yen") for merchant in MERCHANTS]
        yield self.plain(Move("paid_out", payout, bank, 400))
        yield self.plain(Move("supply", *takings, 200))
        yield self.plain(Move("overlap", AccountKey(Kind.RISK, CITY, "yen"), takings[0], 300))

    def plain(self, move: Any) -> Instruction:
        return instruction(move, id=self.new_id(), caller=self.one_of(*CALLERS))
