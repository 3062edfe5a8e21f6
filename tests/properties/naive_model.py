"""A naive book to hold the planner against: lists of what happened, all else added up from them each time.

Written from the design and not from the planner: the chart is written out by hand, accounts are plain tuples
`(kind, holder, programme, day, grace)`, nothing is counted up or kept. Slow, and simple enough to be believed.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from ledger.instructions import (
    BonusBack,
    CaptureHold,
    Draw,
    Expire,
    ExpireHold,
    GiveUp,
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
from ledger.programmes import Programme

# The chart again, by hand: flow, what it may connect, what it undoes, "2" where it takes two people.
# `cover` stands for what is behind a programme: its reserve (yen) or its grant.
_CHART = """
    yen    top_up           reserve>wallet
    yen    float_buy        reserve>float
    yen    float_sell       float>wallet
    yen    float_back       float>reserve                       2
    yen    sell_codes       reserve>pot
    yen    redeem           pot>wallet
    yen    codes_back       pot>reserve
    yen    codes_expire     pot>expired
    grant  fund             grant>pot
    grant  unfund           pot>grant
    grant  bonus            pot>wallet
    grant  benefit          pot>wallet
    grant  bonus_back       wallet>pot        undoes:bonus
    grant  benefit_back     wallet>pot        undoes:benefit    2
    both   payment          wallet>takings
    both   refund           takings>wallet    undoes:payment
    both   gift             wallet>wallet
    both   gift_back        wallet>wallet     undoes:gift       2
    both   supply           takings>takings
    both   supply_back      takings>takings   undoes:supply     2
    both   donate           takings>takings
    both   succession       wallet>wallet,takings>takings       2
    both   refund_advance   receivable>wallet undoes:payment
    both   recover          takings>receivable
    both   collect          cover>receivable
    both   settle           takings>payout
    both   payout_failed    payout>takings    undoes:settle
    both   fee              takings>fee
    both   fee_back         fee>takings       undoes:fee        2
    both   paid_out         payout>cover
    both   paid_back        cover>payout      undoes:paid_out
    both   fee_out          fee>cover
    both   expire           wallet>expired
    both   expire_back      expired>wallet    undoes:expire     2
    both   release          expired>cover
    both   overlap          risk>takings
    both   overlap_back     wallet>risk
    both   overlap_covered  cover>risk
    yen    unmatched        reserve>suspense
    yen    matched          suspense>wallet
    yen    sent_back        suspense>reserve
    both   difference       cover>difference,difference>cover
    yen    top_up_cancel    wallet>reserve    undoes:top_up,float_sell
    yen    lawful_return    wallet>reserve                      2
"""
COVER = {"yen": "reserve", "grant": "grant"}
ASSETS = {"reserve", "grant", "receivable", "risk"}
LIABILITIES = {"pot", "wallet", "takings", "float", "payout", "fee", "expired", "suspense"}
DRAWN = {"payment", "gift", "overlap_back", "lawful_return"}
# What may still leave a lot after its last day: none of it pays who held it.
AFTER_THE_END = {"expire", "bonus_back", "benefit_back", "gift_back"}
NOBODY = UUID(int=0)


def _read_chart() -> Iterator[tuple[str, set[tuple[str, str, str]], set[str], bool]]:
    for row in _CHART.strip().splitlines():
        funded, flow, pairs, *rest = row.split()
        ways = set()
        for funding in COVER if funded == "both" else (funded,):
            for pair in pairs.split(","):
                debit, credit = pair.replace("cover", COVER[funding]).split(">")
                ways.add((funding, debit, credit))
        undone = {name for part in rest if part.startswith("undoes:") for name in part[7:].split(",")}
        yield flow, ways, undone, "2" in rest


# By flow: the (funding, debit kind, credit kind) it may connect; what it undoes; whether it takes two people.
WAYS = {flow: ways for flow, ways, _, _ in _read_chart()}
UNDOES = {flow: undone for flow, _, undone, _ in _read_chart() if undone}
TWO_PEOPLE = {flow for flow, _, _, two in _read_chart() if two}

Account = tuple[str, UUID, str, date | None, bool]


class No(Exception):  # noqa: N818 - a refusal is not an error
    """The naive book's refusal: a code and nothing else."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Moved:
    """One transfer that happened: the entry and line that it is, and the entry and line that it undoes."""

    entry: int
    line: int
    flow: str
    debit: Account
    credit: Account
    amount: int
    undoes: tuple[int, int] | None


@dataclass
class NaiveBook:
    """All that ever happened, in lists.

    Attributes:
        programmes: by code.
        moved: all transfers.
        held: (entry, hold, account, placed/captured/released, amount).
        counted: (entry, counter, day, amount).
        holds: by id: flow, destination, last instant.
        answers: by id: who asked what, and the code of the answer; "settled" where it became an entry.
        entries: by instruction: entry number and day.
        spent: by code, the instruction that spent it.
    """

    programmes: dict[str, Programme]
    now: datetime
    is_open: bool = True
    moved: list[Moved] = field(default_factory=list)
    held: list[tuple[int, UUID, Account, str, int]] = field(default_factory=list)
    counted: list[tuple[int, object, date, int]] = field(default_factory=list)
    holds: dict[UUID, tuple[str, object, datetime]] = field(default_factory=dict)
    answers: dict[UUID, tuple[str, object, str]] = field(default_factory=dict)
    entries: dict[UUID, tuple[int, date]] = field(default_factory=dict)
    spent: dict[object, UUID] = field(default_factory=dict)
    asked: Instruction | None = None

    # --- What is there --------------------------------------------------------------------------------------

    @property
    def today(self) -> date:
        return (self.now + timedelta(hours=9)).date()

    def balance(self, account: Account) -> int:
        debits = sum(one.amount for one in self.moved if one.debit == account)
        credits_ = sum(one.amount for one in self.moved if one.credit == account)
        return debits - credits_ if account[0] in ASSETS else credits_ - debits

    def set_aside(self, account: Account) -> int:
        moves = [(what, amount) for _, _, of, what, amount in self.held if of == account]
        return sum(amount if what == "placed" else -amount for what, amount in moves)

    def available(self, account: Account) -> int:
        return self.balance(account) - self.set_aside(account)

    def accounts(self) -> list[Account]:
        """All accounts in the order in which they were opened."""
        return list(dict.fromkeys(account for one in self.moved for account in (one.debit, one.credit)))

    def lots(self, wallet: UUID) -> list[Account]:
        return [account for account in self.accounts() if account[0] == "wallet" and account[1] == wallet]

    def undone(self, entry: int, line: int) -> int:
        return sum(one.amount for one in self.moved if one.undoes == (entry, line))

    def lines(self, entry: int) -> list[Moved]:
        return [one for one in self.moved if one.entry == entry]

    def left_of_hold(self, hold: UUID) -> dict[Account, int]:
        left: dict[Account, int] = {}
        for _, of, account, what, amount in self.held:
            if of == hold:
                left[account] = left.get(account, 0) + (amount if what == "placed" else -amount)
        return {account: amount for account, amount in left.items() if amount}

    def used(self, counter: object) -> tuple[int, int, int]:
        """What counts today, in this month, and ever."""
        ours = [(day, amount) for _, of, day, amount in self.counted if of == counter]
        month = [amount for day, amount in ours if (day.year, day.month) == (self.today.year, self.today.month)]
        return (
            sum(amount for day, amount in ours if day == self.today),
            sum(month),
            sum(amount for _, amount in ours),
        )

    def programme(self, code: str) -> Programme:
        if code not in self.programmes:
            raise No("not_found")
        return self.programmes[code]

    def is_on(self, flow: str, code: str, debit: str, credit: str) -> bool:
        programme = self.programmes[code]
        return flow in programme.flows and (str(programme.funding), debit, credit) in WAYS[flow]

    # --- What is asked --------------------------------------------------------------------------------------

    def ask(self, asked: Instruction) -> str:
        """The answer to an instruction: "settled", "replayed" or a refusal's code."""
        if asked.id in self.answers:
            return self.answer_again(asked)
        code = self.attempt(asked)
        if code not in {"settled", "request_invalid"} and asked.stores_refusal:
            self.answers[asked.id] = (asked.caller, asked, code)
        return code

    def answer_again(self, asked: Instruction) -> str:
        caller, first, code = self.answers[asked.id]
        if caller != asked.caller or (code != "id_given_up" and first != asked):
            return "id_reused"
        return "replayed" if code == "settled" else code

    def attempt(self, asked: Instruction) -> str:
        """Carries an instruction out whole, or leaves everything as it was."""
        trial = self.copy()
        try:
            trial.carry_out(asked)
        except No as no:
            return no.code
        self.adopt(trial)
        return "settled"

    def ask_linked(self, group: list[Instruction]) -> list[str]:
        trial = self.copy()
        codes = []
        for asked in group:
            code = trial.ask(asked)
            if code not in {"settled", "replayed"}:
                if asked.id not in self.answers and code != "request_invalid" and asked.stores_refusal:
                    self.answers[asked.id] = (asked.caller, asked, code)
                return [code if one is asked else "linked_refused" for one in group]
            codes.append(code)
        self.adopt(trial)
        return codes

    def give_up(self, asked: GiveUp) -> str:
        if asked.id not in self.answers:
            self.answers[asked.id] = (asked.caller, None, "id_given_up")
            return "id_given_up"
        caller, _, code = self.answers[asked.id]
        if caller != asked.caller:
            return "id_reused"
        return "replayed" if code == "settled" else "id_given_up"

    def copy(self) -> "NaiveBook":
        return replace(
            self,
            moved=list(self.moved),
            held=list(self.held),
            counted=list(self.counted),
            holds=dict(self.holds),
            answers=dict(self.answers),
            entries=dict(self.entries),
            spent=dict(self.spent),
        )

    def adopt(self, other: "NaiveBook") -> None:
        self.moved, self.held, self.counted, self.holds = other.moved, other.held, other.counted, other.holds
        self.answers, self.entries, self.spent = other.answers, other.entries, other.spent

    def carry_out(self, asked: Instruction) -> None:
        if asked.single_use is not None and asked.single_use in self.spent:
            raise No("code_used")
        if not self.is_open:
            raise No("region_closed")
        self.asked = asked
        self.number = len(self.entries) + 1
        for limit in asked.limits:
            self.count(limit)
        for ceiling in asked.balance_ceilings:
            alive = [lot for lot in self.lots(ceiling.wallet) if self.is_alive(lot)]
            if sum(self.balance(lot) for lot in alive) + ceiling.incoming > ceiling.ceiling:
                raise No("limit_balance")
        for one in asked.moves:
            getattr(self, _NAMES[type(one)])(one)
        self.entries[asked.id] = (self.number, self.today)
        self.answers[asked.id] = (asked.caller, asked, "settled")
        if asked.single_use is not None:
            self.spent[asked.single_use] = asked.id

    def count(self, limit: Limit) -> None:
        names = ("limit_day", "limit_month", "limit_total")
        ceilings = (limit.day_max, limit.month_max, limit.total_max)
        for name, ceiling, used in zip(names, ceilings, self.used(limit.counter), strict=True):
            if ceiling is not None and used + limit.amount > ceiling:
                raise No(name)
        self.counted.append((self.number, limit.counter, self.today, limit.amount))

    def uncount(self, original: int, flow: str, amount: int) -> None:
        """Takes what comes back off the limits that the original counted: the same part of each, rounded down.

        What an entry counts is that of its first transfer's flow, not of a bonus beside it.
        """
        lines = [one for one in self.lines(original) if one.flow == self.lines(original)[0].flow]
        if lines[0].flow != flow:
            return
        before = sum(self.undone(one.entry, one.line) for one in lines)
        whole = sum(one.amount for one in lines)
        for entry, counter, day, counted in list(self.counted):
            off = counted * (before + amount) // whole - counted * before // whole
            if entry == original and counted > 0 and off:
                self.counted.append((self.number, counter, day, -off))

    def require_two_people(self) -> None:
        people = {self.asked.ordered_by, self.asked.approved_by}
        if None in people or len(people) == 1:
            raise No("second_person_needed")

    def transfer(
        self, flow: str, debit: Account, credit: Account, amount: int, undoes: tuple[int, int] | None = None
    ) -> None:
        if debit[2] != credit[2] or debit == credit:
            raise No("request_invalid")
        programme = self.programme(debit[2])
        if flow not in WAYS or not self.is_on(flow, debit[2], debit[0], credit[0]):
            raise No("flow_off")
        if flow == "recover" and debit[1] != credit[1]:
            raise No("request_invalid")
        if flow in TWO_PEOPLE:
            self.require_two_people()
        if debit[0] == "wallet" and not self.is_alive(debit) and flow not in AFTER_THE_END:
            raise No("insufficient_funds")
        short = {"wallet": "insufficient_funds", "takings": "merchant_funds_short", "pot": "pot_exhausted"}
        if debit[0] in LIABILITIES and self.available(debit) < amount:
            raise No(short.get(debit[0], "funds_short"))
        ceilings = {"receivable": programme.receivable_max, "risk": programme.risk_max}
        if debit[0] in ceilings and self.balance(debit) + amount > ceilings[debit[0]]:
            raise No("ceiling_reached")
        if credit[0] in ceilings and self.balance(credit) < amount:
            raise No("ceiling_reached")
        line = len(self.lines(self.number)) + 1
        self.moved.append(Moved(self.number, line, flow, tuple(debit), tuple(credit), amount, undoes))

    # --- Moves ----------------------------------------------------------------------------------------------

    def move(self, one: Move) -> None:
        if one.flow in UNDOES or one.flow in DRAWN | {"settle", "expire", "succession"}:
            raise No("request_invalid")
        credit = one.credit
        if credit[0] == "wallet" and credit[3] is not None:
            credit = credit._replace(expires_on=self.bucketed(credit[2], credit[3]))
            if credit[3] < self.today:
                raise No("request_invalid")
        if credit[4] or one.debit[4]:
            raise No("request_invalid")
        if one.flow in {"supply", "donate"} and one.debit[0] == "takings":
            self.recover_debt(one.debit)
        self.transfer(one.flow, one.debit, credit, one.amount)

    def recover_debt(self, takings: Account) -> int:
        owed = ("receivable", *takings[1:])
        recovered = min(self.available(takings), self.balance(owed))
        if recovered > 0:
            self.transfer("recover", takings, owed, recovered)
        return max(recovered, 0)

    def bucketed(self, code: str, day: date) -> date:
        bucket = str(self.programme(code).expiry_bucket)
        if bucket == "day" or (day + timedelta(days=1)).day == 1:
            return day
        if bucket == "month_end":
            return day.replace(day=calendar.monthrange(day.year, day.month)[1])
        return day - timedelta(days=day.day)

    def is_alive(self, lot: Account) -> bool:
        return lot[3] is None or lot[3] >= self.today

    def choose(self, draw: Draw) -> list[tuple[Account, int]]:
        if draw.flow not in DRAWN:
            raise No("request_invalid")
        named = list(self.programmes) if draw.programmes is None else list(draw.programmes)
        for code in named:
            self.programme(code)
        named = [code for code in named if self.is_on(draw.flow, code, "wallet", draw.credit.kind)]
        if not named:
            raise No("flow_off")
        lots = [lot for lot in self.lots(draw.wallet) if lot[2] in named and self.is_alive(lot)]
        # Sorting is stable: lots of one day and rank stay in the order in which they were opened.
        lots.sort(key=lambda lot: (lot[3] is None, lot[3] or self.today, self.programmes[lot[2]].rank))
        chosen, left = [], draw.amount
        for lot in lots:
            if taken := min(left, self.available(lot)):
                chosen.append((lot, taken))
                left -= taken
        if left:
            raise No("insufficient_funds")
        return chosen

    def target(self, destination: object, lot: Account) -> Account:
        if destination.kind == "wallet":
            return ("wallet", destination.holder, *lot[2:])
        return (str(destination.kind), destination.holder, lot[2], None, False)

    def draw(self, one: Draw) -> None:
        if one.flow == "lawful_return" and self.asked.reason not in {"small", "cannot_use", "wind_down"}:
            raise No("request_invalid")
        for lot, amount in self.choose(one):
            self.transfer(one.flow, lot, self.target(one.credit, lot), amount)

    def original(self, instruction: UUID) -> int:
        if instruction not in self.entries:
            raise No("not_found")
        return self.entries[instruction][0]

    def line(self, instruction: UUID, number: int) -> Moved:
        lines = [one for one in self.lines(self.original(instruction)) if one.line == number]
        if not lines:
            raise No("not_found")
        return lines[0]

    def restored(self, lot: Account, grace_days: int) -> Account | None:
        if self.is_alive(lot):
            return lot
        if lot[4]:
            return None
        days = [self.today + timedelta(days=grace_days)]
        if (extension := self.programmes[lot[2]].extension_days_max) is not None:
            days.append(lot[3] + timedelta(days=extension))
        usable = grace_days > 0 and min(days) >= self.today
        return (*lot[:3], min(days), True) if usable else None

    def refund(self, one: Refund) -> None:
        lines = [line for line in self.lines(self.original(one.original)) if line.flow == "payment"]
        if not lines:
            raise No("request_invalid")
        if any("refund" not in self.programmes[line.debit[2]].flows for line in lines):
            raise No("flow_off")
        if one.amount > sum(line.amount - self.undone(line.entry, line.line) for line in lines):
            raise No("refund_exceeds_payment")
        amount = one.amount - sum(self.spent_of_bonus(bonus) for bonus in one.bonus_back)
        if amount < 0 or (amount == 0 and not self.lines(self.number)):
            raise No("nothing_to_move")
        self.uncount(lines[0].entry, "payment", amount)
        for line in reversed(lines):
            share = min(amount, line.amount - self.undone(line.entry, line.line))
            if share:
                self.give_back(line, share, one.grace_days)
                amount -= share

    def spent_of_bonus(self, bonus: BonusBack) -> int:
        given = self.line(bonus.original, bonus.line)
        if given.flow != "bonus":
            raise No("request_invalid")
        if bonus.amount > given.amount - self.undone(given.entry, given.line):
            raise No("refund_exceeds_payment")
        there = min(bonus.amount, self.available(given.credit))
        if there:
            self.transfer("bonus_back", given.credit, given.debit, there, (given.entry, given.line))
        # What expired unspent is with the city already.
        return bonus.amount - there if self.is_alive(given.credit) else 0

    def give_back(self, paid: Moved, amount: int, grace_days: int) -> None:
        lot = self.restored(paid.debit, grace_days)
        from_takings = min(amount, self.available(paid.credit))
        named = (paid.entry, paid.line)
        if from_takings:
            self.transfer("refund", paid.credit, lot or paid.debit, from_takings, named)
        if owed := amount - from_takings:
            programme = self.programmes[paid.debit[2]]
            debtor = ("receivable", *paid.credit[1:])
            room = programme.receivable_max - self.balance(debtor)
            if owed > room or "refund_advance" not in programme.flows:
                raise No("merchant_funds_short")
            self.transfer("refund_advance", debtor, lot or paid.debit, owed, named)
        if lot is None:
            self.transfer("expire", paid.debit, ("expired", NOBODY, paid.debit[2], None, False), amount)

    def undo(self, one: Undo) -> None:
        done = self.line(one.original, one.line)
        if one.flow in {"refund", "refund_advance"} or done.flow not in UNDOES.get(one.flow, ()):
            raise No("request_invalid")
        is_same_day = one.flow == "top_up_cancel" and self.entries[one.original][1] == self.today
        if not is_same_day and one.flow not in {"payout_failed", "paid_back"}:
            self.require_two_people()
        left = done.amount - self.undone(done.entry, done.line)
        amount = one.amount
        if amount is None:
            # What went to an asset is not "left" there: paying back makes the asset grow again.
            amount = left if done.credit[0] in ASSETS else min(left, self.available(done.credit))
        if amount > left:
            raise No("refund_exceeds_payment")
        if amount == 0:
            raise No("nothing_to_move")
        self.uncount(done.entry, done.flow, amount)
        back = done.debit
        if done.flow == "float_sell":
            back = ("reserve", *done.debit[1:])
        if one.flow == "expire_back":
            back = self.restored(done.debit, one.grace_days)
            if back is None:
                raise No("past_legal_limit")
        self.transfer(one.flow, done.credit, back, amount, (done.entry, done.line))
        if done.flow == "float_sell":
            self.transfer("float_buy", back, done.debit, amount)

    def place(self, one: PlaceHold) -> None:
        if len(self.asked.moves) > 1 or one.draw.flow != "payment":
            raise No("request_invalid")
        lots = self.choose(one.draw)
        # A day in Japan ends at 15:00 UTC.
        ends = [datetime(d.year, d.month, d.day, 15, tzinfo=UTC) for d in (lot[3] for lot, _ in lots) if d]
        last = min([one.expires_at, *ends])
        if last <= self.now:
            raise No("request_invalid")
        self.holds[self.asked.id] = (one.draw.flow, one.draw.credit, last)
        self.held += [(self.number, self.asked.id, lot, "placed", amount) for lot, amount in lots]

    def left_to_move(self, hold: UUID) -> dict[Account, int]:
        if any(of == hold and entry == self.number for entry, of, *_ in self.held):
            raise No("request_invalid")
        if hold not in self.holds:
            raise No("not_found")
        if not (left := self.left_of_hold(hold)):
            raise No("nothing_to_move")
        return left

    def shares(self, left: dict[Account, int], amount: int | None) -> dict[Account, int]:
        wanted = sum(left.values()) if amount is None else amount
        if wanted > sum(left.values()):
            raise No("hold_exceeded")
        shares = {}
        for account, there in left.items():
            if share := min(wanted, there):
                shares[account] = share
                wanted -= share
        return shares

    def capture(self, one: CaptureHold) -> None:
        left = self.left_to_move(one.hold)
        flow, credit, ends = self.holds[one.hold]
        if self.now >= ends:
            raise No("hold_expired")
        shares = self.shares(left, one.amount)
        for counter, day, share in self.counted_by_hold(one.hold, sum(shares.values())):
            # What the hold had counted becomes the capture's own, for its refund to take off.
            self.counted += [(self.number, counter, day, share), (self.number, counter, day, -share)]
        for account, amount in shares.items():
            self.held.append((self.number, one.hold, account, "captured", amount))
            self.transfer(flow, account, self.target(credit, account), amount)
        if one.releases_rest:
            self.free(one.hold, self.left_of_hold(one.hold))

    def release(self, one: ReleaseHold) -> None:
        self.free(one.hold, self.shares(self.left_to_move(one.hold), one.amount))

    def expire_hold(self, one: ExpireHold) -> None:
        left = self.left_to_move(one.hold)
        if self.now < self.holds[one.hold][2]:
            raise No("not_expired")
        self.free(one.hold, left)

    def counted_by_hold(self, hold: UUID, amount: int) -> list[tuple[object, date, int]]:
        """The part of what placing a hold counted that goes with an amount, rounded down until the last yen."""
        placing = self.entries[hold][0]
        whole = sum(amount for _, of, _, what, amount in self.held if of == hold and what == "placed")
        gone = whole - sum(self.left_of_hold(hold).values())
        counts = [one for one in self.counted if one[0] == placing and one[3] > 0]
        shares = [(c, day, n * (gone + amount) // whole - n * gone // whole) for _, c, day, n in counts]
        return [one for one in shares if one[2]]

    def free(self, hold: UUID, shares: dict[Account, int]) -> None:
        if shares:
            for counter, day, share in self.counted_by_hold(hold, sum(shares.values())):
                self.counted.append((self.number, counter, day, -share))
        self.held += [(self.number, hold, account, "released", amount) for account, amount in shares.items()]

    def settle(self, one: Settle) -> None:
        self.programme(one.programme)
        ours = (one.merchant, one.programme, None, False)
        there = self.available(("takings", *ours))
        if there <= 0:
            raise No("nothing_to_move")
        recovered = self.recover_debt(("takings", *ours))
        left = there - recovered
        paid = (left if one.amount is None else one.amount) - one.fee
        if one.amount is not None and (one.amount > left or paid <= 0):
            raise No("merchant_funds_short")
        if paid <= 0 and not recovered:
            raise No("nothing_to_move")
        if paid > 0 and one.fee:
            self.transfer("fee", ("takings", *ours), ("fee", NOBODY, *ours[1:]), one.fee)
        if paid > 0:
            self.transfer("settle", ("takings", *ours), ("payout", one.payout, *ours[1:]), paid)

    def expire(self, one: Expire) -> None:
        if one.lot[0] != "wallet":
            raise No("request_invalid")
        if one.lot not in self.accounts():
            raise No("not_found")
        if self.is_alive(one.lot):
            raise No("not_expired")
        if (there := self.available(one.lot)) <= 0:
            raise No("nothing_to_move")
        self.transfer("expire", one.lot, ("expired", NOBODY, one.lot[2], None, False), there)

    def succeed(self, one: Succeed) -> None:
        if one.kind not in {"wallet", "takings"} or one.holder == one.successor:
            raise No("request_invalid")
        ours = [account for account in self.accounts() if account[:2] == (one.kind, one.holder)]
        ours = [account for account in ours if self.is_alive(account) and self.available(account) > 0]
        if not ours:
            raise No("nothing_to_move")
        for account in ours:
            if one.kind == "takings":
                self.recover_debt(account)
            if left := self.available(account):
                self.transfer("succession", account, (account[0], one.successor, *account[2:]), left)


_NAMES = {
    Move: "move",
    Draw: "draw",
    Refund: "refund",
    Undo: "undo",
    PlaceHold: "place",
    CaptureHold: "capture",
    ReleaseHold: "release",
    ExpireHold: "expire_hold",
    Settle: "settle",
    Expire: "expire",
    Succeed: "succeed",
}
