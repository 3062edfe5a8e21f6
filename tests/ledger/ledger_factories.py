"""Short ways to say things to the ledger in tests: programmes, accounts, instructions, and a book in memory.

Everything but `new_state` and `MemoryBook` is plain data, so tests with a database use it too. Ids are random where
nothing names them, and derived from a name where a test wants the same one twice: `person("hanako")`.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from database.days import day_in_japan
from ledger.accounts import NOBODY, AccountKey, wallet_lot
from ledger.batch_planning import BatchPlan, Outcome, Posted, Unit, plan_batch
from ledger.chart import OFF_BY_DEFAULT, Funding, Kind, flows_of
from ledger.clearance import ClearAll
from ledger.entries import Booked, Entry, first_hash
from ledger.form import check_form
from ledger.instructions import (
    BonusBack,
    CaptureHold,
    Destination,
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
    SingleUse,
    Succeed,
    Undo,
    fingerprint,
)
from ledger.programmes import ExpiryBucket, Programme
from ledger.refusals import Refusal
from ledger.state import State

KEY = b"a server key of tests, never used elsewhere"
REGION = "hinode-shi"
# Noon in Japan on a Monday; the month has 30 days.
NOON = datetime(2026, 11, 23, 3, tzinfo=UTC)
TODAY = date(2026, 11, 23)
MONTH_END = date(2026, 11, 30)
NEXT_MONTH_END = date(2026, 12, 31)
TERMINAL = "terminal:1"


def person(name: str) -> UUID:
    """The same id for the same name: residents, merchants, bank accounts, budgets, clerks."""
    return uuid5(NAMESPACE_OID, f"test {name}")


HANAKO, TARO = person("hanako"), person("taro")
BAKERY, GREENGROCER = person("bakery"), person("greengrocer")
BANK, CITY, AGENT = person("bank"), person("city"), person("agent")
# The budget of a campaign, and where a merchant's money goes.
CAMPAIGN, BAKERY_BANK = person("campaign"), person("bakery's bank")
CLERK, TREASURER = person("clerk"), person("treasurer")
TWO_PEOPLE: dict[str, Any] = {"ordered_by": CLERK, "approved_by": TREASURER}


# --- Programmes -------------------------------------------------------------------------------------------------


def yen(code: str = "yen", *, without: tuple[str, ...] = (), also: tuple[str, ...] = (), **terms: Any) -> Programme:
    """A programme of residents' yen; every flow on but those off by default and `without`."""
    return _programme(code, Funding.YEN, without, also, terms)


def grant(
    code: str = "grant", *, without: tuple[str, ...] = (), also: tuple[str, ...] = (), **terms: Any
) -> Programme:
    """A programme of the city's grant; every flow on but those off by default and `without`."""
    return _programme(code, Funding.GRANT, without, also, terms)


def _programme(
    code: str, funding: Funding, without: tuple[str, ...], also: tuple[str, ...], terms: dict[str, Any]
) -> Programme:
    flows = (frozenset(flows_of(funding)) - OFF_BY_DEFAULT - frozenset(without)) | frozenset(also)
    # Days as asked for: buckets have tests of their own.
    terms = {"id": 1 if funding is Funding.YEN else 2, "expiry_bucket": ExpiryBucket.DAY} | terms
    return Programme(code=code, funding=funding, flows=flows, **terms)


# --- Accounts ---------------------------------------------------------------------------------------------------


def lot(
    wallet: UUID = HANAKO, programme: str = "yen", expires_on: date | None = None, *, grace: bool = False
) -> AccountKey:
    """One lot of a wallet."""
    return wallet_lot(wallet, programme, expires_on, grace=grace)


def reserve(holder: UUID = BANK, programme: str = "yen") -> AccountKey:
    """Where residents' yen lie."""
    return AccountKey(Kind.RESERVE, holder, programme)


def committed(programme: str = "grant") -> AccountKey:
    """What the city has committed."""
    return AccountKey(Kind.GRANT, CITY, programme)


def pot(programme: str = "grant", holder: UUID = CAMPAIGN) -> AccountKey:
    """A budget."""
    return AccountKey(Kind.POT, holder, programme)


def takings(merchant: UUID = BAKERY, programme: str = "yen") -> AccountKey:
    """What a merchant has received."""
    return AccountKey(Kind.TAKINGS, merchant, programme)


def receivable(merchant: UUID = BAKERY, programme: str = "yen") -> AccountKey:
    """What a merchant owes."""
    return AccountKey(Kind.RECEIVABLE, merchant, programme)


def payout(holder: UUID = BAKERY_BANK, programme: str = "yen") -> AccountKey:
    """What is on its way to a merchant's bank."""
    return AccountKey(Kind.PAYOUT, holder, programme)


def fees(programme: str = "yen") -> AccountKey:
    """A programme's fees."""
    return AccountKey(Kind.FEE, NOBODY, programme)


def expired(programme: str = "yen") -> AccountKey:
    """A programme's expired value."""
    return AccountKey(Kind.EXPIRED, NOBODY, programme)


def stock(agent: UUID = AGENT, programme: str = "yen") -> AccountKey:
    """An agent's stock of value for selling top-ups."""
    return AccountKey(Kind.FLOAT, agent, programme)


def risk(holder: UUID = CITY, programme: str = "yen") -> AccountKey:
    """What offline overlap has cost."""
    return AccountKey(Kind.RISK, holder, programme)


# --- Instructions -----------------------------------------------------------------------------------------------


def instruction(*moves: Any, kind: str = "test", caller: str = TERMINAL, **rest: Any) -> Instruction:
    """An instruction with a random id, unless it is named, and the fingerprint of its caller and content."""
    made = Instruction(
        id=rest.pop("id", None) or uuid4(), kind=kind, caller=caller, fingerprint=b"", moves=moves, **rest
    )
    body = repr(replace(made, id=NOBODY, request=None))
    return replace(made, fingerprint=fingerprint(KEY, caller=caller, route=kind, body=body))


def give_up(asked: Instruction | UUID, *, caller: str = TERMINAL) -> GiveUp:
    """Gives up the id of an instruction."""
    return GiveUp(
        asked if isinstance(asked, UUID) else asked.id,
        caller,
        fingerprint(KEY, caller=caller, route="give_up", body=None),
    )


def single_use(name: str = "code", expires_at: datetime = NOON) -> SingleUse:
    """The key of a code that may be spent once."""
    return SingleUse(expires_at, uuid5(NAMESPACE_OID, f"code {name}").bytes)


def move(flow: str, debit: AccountKey, credit: AccountKey, amount: int, **rest: Any) -> Instruction:
    """Moves an amount between two named accounts."""
    return instruction(Move(flow, debit, credit, amount), kind=flow, **rest)


def top_up(
    wallet: UUID, amount: int, *, programme: str = "yen", expires_on: date | None = None, **rest: Any
) -> Instruction:
    """Yen in, value out."""
    return move("top_up", reserve(programme=programme), lot(wallet, programme, expires_on), amount, **rest)


def fund(amount: int, *, programme: str = "grant", **rest: Any) -> Instruction:
    """The city fills a budget."""
    return move("fund", committed(programme), pot(programme), amount, **rest)


def bonus(
    wallet: UUID, amount: int, *, programme: str = "grant", expires_on: date | None = None, **rest: Any
) -> Instruction:
    """A campaign gives."""
    return move("bonus", pot(programme), lot(wallet, programme, expires_on), amount, **rest)


def benefit(
    wallet: UUID, amount: int, *, programme: str = "grant", expires_on: date | None = None, **rest: Any
) -> Instruction:
    """The city gives."""
    return move("benefit", pot(programme), lot(wallet, programme, expires_on), amount, **rest)


def payment(wallet: UUID, merchant: UUID, amount: int, programmes: tuple[str, ...] | None = None) -> Draw:
    """The draw of a payment."""
    return Draw("payment", wallet, amount, Destination(Kind.TAKINGS, merchant), programmes)


def pay(
    wallet: UUID, merchant: UUID, amount: int, *, programmes: tuple[str, ...] | None = None, **rest: Any
) -> Instruction:
    """A resident pays a merchant."""
    return instruction(payment(wallet, merchant, amount, programmes), kind="payment", **rest)


def gift(giver: UUID, taker: UUID, amount: int, **rest: Any) -> Instruction:
    """A resident sends value to another."""
    return instruction(Draw("gift", giver, amount, Destination(Kind.WALLET, taker)), kind="gift", **rest)


def lawful_return(wallet: UUID, amount: int, *, reason: str | None = "small", **rest: Any) -> Instruction:
    """The named exit: value back into yen, for one of the lawful reasons."""
    draw = Draw("lawful_return", wallet, amount, Destination(Kind.RESERVE, BANK))
    return instruction(draw, kind="lawful_return", reason=reason, **rest)


def refund(
    original: Instruction | Entry,
    amount: int,
    *,
    bonus_back: tuple[BonusBack, ...] = (),
    grace_days: int = 14,
    **rest: Any,
) -> Instruction:
    """A payment goes back."""
    return instruction(Refund(original.id, amount, grace_days, bonus_back), kind="refund", **rest)


def undo(
    flow: str,
    original: Instruction | Entry,
    amount: int | None = None,
    *,
    line: int = 1,
    grace_days: int = 14,
    **rest: Any,
) -> Instruction:
    """One line of an entry is mirrored; by two people unless the test says otherwise."""
    return instruction(Undo(flow, original.id, line, amount, grace_days), kind=flow, **(TWO_PEOPLE | rest))


def supply(merchant: UUID, supplier: UUID, amount: int, *, programme: str = "yen", **rest: Any) -> Instruction:
    """A merchant pays another."""
    return move("supply", takings(merchant, programme), takings(supplier, programme), amount, **rest)


def settle(
    merchant: UUID = BAKERY, *, amount: int | None = None, fee: int = 0, programme: str = "yen", **rest: Any
) -> Instruction:
    """Takings go towards a merchant's bank."""
    return instruction(Settle(merchant, programme, BAKERY_BANK, amount, fee), kind="settle", **rest)


def hold(draw: Draw, expires_at: datetime, **rest: Any) -> Instruction:
    """Value is set aside."""
    return instruction(PlaceHold(draw, expires_at), kind="hold", **rest)


def capture(
    placed: Instruction | UUID, amount: int | None = None, *, releases_rest: bool = True, **rest: Any
) -> Instruction:
    """Held value is booked."""
    return instruction(CaptureHold(_hold_id(placed), amount, releases_rest), kind="capture", **rest)


def release(placed: Instruction | UUID, amount: int | None = None, **rest: Any) -> Instruction:
    """Held value is given free."""
    return instruction(ReleaseHold(_hold_id(placed), amount), kind="release", **rest)


def expire_hold(placed: Instruction | UUID, **rest: Any) -> Instruction:
    """A hold whose time is over is given free."""
    return instruction(ExpireHold(_hold_id(placed)), kind="expire_hold", **rest)


def expire(ended: AccountKey, **rest: Any) -> Instruction:
    """What is left in a lot expires."""
    return instruction(Expire(ended), kind="expire", **rest)


def succeed(holder: UUID, successor: UUID, kind: Kind = Kind.WALLET, **rest: Any) -> Instruction:
    """One wallet or merchant takes the place of another; by two people unless the test says otherwise."""
    return instruction(Succeed(kind, holder, successor), kind="succession", **(TWO_PEOPLE | rest))


def _hold_id(placed: Instruction | UUID) -> UUID:
    return placed if isinstance(placed, UUID) else placed.id


# --- A book in memory -------------------------------------------------------------------------------------------


def new_state(*programmes: Programme, at: datetime = NOON, is_open: bool = True) -> State:
    """An empty book with these programmes; a yen and a grant one if none are named."""
    known = programmes or (yen(), grant())
    return State(REGION, is_open, at, day_in_japan(at), programmes={one.code: one for one in known})


@dataclass
class MemoryBook:
    """A book that lives in memory: instructions go the way they go in production, without a database.

    Attributes:
        entries: all of them, in order.
    """

    state: State = field(default_factory=new_state)
    hash: bytes = field(default_factory=lambda: first_hash(REGION))
    entries: list[Entry] = field(default_factory=list)
    booked: list[Booked] = field(default_factory=list)
    refusals_of: dict[str, int] = field(default_factory=dict)

    def post(self, asked: Instruction) -> Entry:
        """Books an instruction and returns its entry.

        Raises:
            Refusal: whatever the planner refused it with.
        """
        outcome = self.ask(asked)
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome.entry

    def ask(self, asked: Instruction | GiveUp) -> Outcome:
        """What becomes of an instruction, or of giving one up."""
        check_form(asked)
        return self.ask_batch((asked,)).outcomes[0][0]

    def ask_linked(self, *asked: Instruction) -> list[Outcome]:
        """What becomes of linked instructions."""
        for one in asked:
            check_form(one)
        return self.ask_batch(asked).outcomes[0]

    def ask_batch(self, *units: Unit) -> BatchPlan:
        """Plans units as one batch and goes on from there."""
        plan = plan_batch(self.state, units, ClearAll(), last_hash=self.hash, refusals_of=self.refusals_of)
        self.state, self.hash = plan.state, plan.last_hash
        self.booked += [one for _, one in plan.booked]
        self.entries += [one.entry for _, one in plan.booked]
        return plan

    def move_time(self, to: datetime | date) -> None:
        """Goes on to an instant, or to noon in Japan of a day."""
        at = to if isinstance(to, datetime) else datetime(to.year, to.month, to.day, 3, tzinfo=UTC)
        self.state.at, self.state.today = at, day_in_japan(at)

    def switch(self, code: str, *, off: str | None = None, on: str | None = None) -> None:
        """Switches flows of a programme off or on."""
        programme = self.state.programmes[code]
        flows = (programme.flows - {off}) | ({on} if on else frozenset())
        self.state.programmes = {**self.state.programmes, code: replace(programme, flows=flows)}

    def balance(self, key: AccountKey) -> int:
        """What an account holds; nothing where there is none."""
        account = self.state.accounts.get(key)
        return account.balance if account else 0

    def available(self, key: AccountKey) -> int:
        """What may leave an account."""
        account = self.state.accounts.get(key)
        return account.available if account else 0

    def moved(self, entry: Entry) -> list[tuple[str, AccountKey, AccountKey, int]]:
        """An entry's transfers, short."""
        return [(one.flow, one.debit, one.credit, one.amount) for one in entry.transfers]


def book_with(*instructions: Instruction, programmes: tuple[Programme, ...] = ()) -> MemoryBook:
    """A book in which these have been booked."""
    book = MemoryBook(new_state(*programmes))
    for one in instructions:
        book.post(one)
    return book


def replayed(outcome: Outcome) -> bool:
    """Whether an outcome is a first answer given again."""
    return isinstance(outcome, Posted) and outcome.is_replay
