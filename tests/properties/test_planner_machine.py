"""The planner against a naive book, through random lives of a small town."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.batch_planning import Outcome, Posted
from ledger.entries import Booked
from ledger.instructions import GiveUp, Instruction, Settle, fingerprint
from ledger.planner import plan
from ledger.refusals import Refusal
from tests.ledger.ledger_factories import BAKERY_BANK, KEY, MemoryBook, give_up, instruction, new_state
from tests.properties.book_checks import check_book, check_entry, snapshot, without_answer
from tests.properties.naive_model import NaiveBook
from tests.properties.random_instructions import CALLERS, MERCHANTS, Chance, town

SEEDS = st.integers(0, 2**32)


class PlannerMachine(RuleBasedStateMachine):
    """Asks both books the same, and compares answers, transfers and all that can be added up."""

    def __init__(self) -> None:
        super().__init__()
        self.book = MemoryBook(new_state(*town()))
        self.naive = NaiveBook(dict(self.book.state.programmes), self.book.state.at)
        self.asked: list[Instruction] = []
        self.random = Chance()

    def chance(self, seed: int) -> Chance:
        return self.random.begin(seed, self.book.state)

    # --- Asking both ----------------------------------------------------------------------------------------

    def ask(self, asked: Instruction) -> None:
        self.asked.append(asked)
        before, known = snapshot(self.book.state), without_answer(self.book.state, asked.id)
        plan(self.book.state, asked)
        assert snapshot(self.book.state) == before
        outcome = self.book.ask(asked)
        expected = self.naive.ask(asked)
        assert answer_of(outcome) == expected, asked
        if isinstance(outcome, Posted) and not outcome.is_replay:
            self.check_posted(outcome)
        else:
            assert without_answer(self.book.state, asked.id) == known

    def check_posted(self, posted: Posted) -> None:
        entry = posted.entry
        check_entry(entry, self.book.state, self.book.entries)
        moved = [(one.flow, one.debit, one.credit, one.amount, one.undoes) for one in entry.transfers]
        lines = self.naive.lines(entry.seq)
        assert moved == [(one.flow, one.debit, one.credit, one.amount, one.undoes) for one in lines]
        assert Booked(entry, posted.hash) == self.book.booked[entry.seq - 1]

    # --- What may happen ------------------------------------------------------------------------------------

    @initialize(seed=SEEDS)
    def a_town_begins(self, seed):
        for asked in self.chance(seed).beginnings():
            self.ask(asked)

    @rule(seed=SEEDS)
    def value_comes_in(self, seed):
        random = self.chance(seed)
        self.ask(random.instruction(random.value_in()))

    @rule(seed=SEEDS)
    def somebody_pays(self, seed):
        random = self.chance(seed)
        self.ask(random.instruction(random.payment()))

    @rule(seed=SEEDS)
    def something_is_asked_for(self, seed):
        random = self.chance(seed)
        self.ask(random.instruction(random.any_move()))

    @rule(seed=SEEDS)
    def value_moves_by_a_flow(self, seed):
        random = self.chance(seed)
        self.ask(random.instruction(random.move()))

    @rule(seed=SEEDS)
    def a_payment_is_refunded(self, seed):
        random = self.chance(seed)
        self.ask(random.instruction(random.refund()))

    @rule(seed=SEEDS)
    def a_mistake_is_undone(self, seed):
        random = self.chance(seed)
        self.ask(random.instruction(random.undo()))

    @rule(seed=SEEDS)
    def value_is_held_or_freed(self, seed):
        random = self.chance(seed)
        self.ask(random.instruction(random.one_of(random.hold, random.on_hold)()))

    @rule(seed=SEEDS)
    def takings_are_settled(self, seed):
        random = self.chance(seed)
        self.ask(random.instruction(random.settle()))

    @rule(seed=SEEDS)
    def a_settled_payment_is_refunded(self, seed):
        """So that a merchant owes, and the next settlement recovers."""
        random = self.chance(seed)
        for merchant in MERCHANTS:
            self.ask(random.instruction(Settle(merchant, "yen", BAKERY_BANK), is_plain=True))
        self.ask(random.instruction(random.refund(), is_plain=True))
        self.ask(random.instruction(random.payment(), is_plain=True))
        self.ask(random.instruction(random.settle(), is_plain=True))

    @rule(seed=SEEDS)
    def the_expiry_job_runs(self, seed):
        """After midnight, late or twice."""
        self.time_passes(seed)
        for _ in range(3):
            random = self.chance(seed)
            self.ask(random.instruction(random.expire(), is_plain=True))

    @rule(seed=SEEDS)
    def the_treasury_works(self, seed):
        """Several moves by named accounts, by the rarer flows too, and one of them undone."""
        for _ in range(3):
            random = self.chance(seed)
            self.ask(random.instruction(random.move(), is_plain=True))
        random = self.chance(seed)
        self.ask(random.instruction(random.undo(), is_plain=True))

    @rule(seed=SEEDS, count=st.integers(2, 4))
    def several_moves_are_one(self, seed, count):
        random = self.chance(seed)
        moves = tuple(random.any_move() for _ in range(count))
        self.ask(random.instruction(*moves))

    @rule(seed=SEEDS, count=st.integers(2, 4))
    def linked_instructions_stand_or_fall_together(self, seed, count):
        random = self.chance(seed)
        group = [random.instruction(random.any_move()) for _ in range(count)]
        if random.is_rare():
            known = random.one_of(*self.asked)
            group[-1] = known if known.id not in {one.id for one in group} else group[-1]
        before, seq = snapshot(self.book.state), self.book.state.seq
        outcomes = self.book.ask_linked(*group)
        expected = self.naive.ask_linked(group)
        assert [answer_of(one) for one in outcomes] == expected
        for outcome in outcomes:
            if isinstance(outcome, Posted) and not outcome.is_replay:
                self.check_posted(outcome)
        if any(isinstance(one, Refusal) for one in outcomes):
            assert self.book.state.seq == seq
            culprits = [one.id for one, answer in zip(group, expected, strict=True) if answer != "linked_refused"]
            assert len(culprits) == 1
            if culprits[0] not in {one.id for one in self.asked}:
                known = dict(self.book.state.instructions)
                known.pop(culprits[0], None)
                assert snapshot(replace(self.book.state, instructions=known)) == before
        self.asked += group

    @precondition(lambda self: self.asked)
    @rule(seed=SEEDS)
    def an_id_is_used_again(self, seed):
        """Word for word, with another content, or by somebody else."""
        random = self.chance(seed)
        first = random.one_of(*self.asked)
        other = random.instruction(random.payment(), is_plain=True)
        caller = random.one_of(*CALLERS)
        again = random.one_of(
            first,
            again_with(first.id, other, first.caller),
            again_with(first.id, other, caller),
        )
        before, is_known = snapshot(self.book.state), first.id in self.book.state.instructions
        self.ask(again)
        assert not is_known or snapshot(self.book.state) == before

    @rule(seed=SEEDS)
    def an_id_is_given_up(self, seed):
        random = self.chance(seed)
        caller = random.one_of(*CALLERS)
        known = [one.id for one in self.asked]
        asked: GiveUp = give_up(random.one_of(random.new_id(), *known), caller=caller)
        seq = self.book.state.seq
        assert answer_of(self.book.ask(asked)) == self.naive.give_up(asked)
        assert self.book.state.seq == seq
        if random.is_even():
            # It is asked for all the same: it must never settle now.
            late = instruction(random.payment(), id=asked.id, caller=caller)
            self.ask(late)

    @rule(seed=SEEDS)
    def time_passes(self, seed):
        self.book.move_time(self.chance(seed).later())
        self.naive.now = self.book.state.at

    @rule(seed=SEEDS)
    def a_flow_is_switched(self, seed):
        random = self.chance(seed)
        code = random.one_of(*self.book.state.programmes)
        programme = self.book.state.programmes[code]
        flow = random.one_of(
            "payment", "refund", "refund_advance", "gift", "expire", "recover", "bonus_back", "settle"
        )
        if flow in programme.flows:
            self.book.switch(code, off=flow)
        elif flow != "bonus_back" or programme.funding == "grant":
            self.book.switch(code, on=flow)
        self.naive.programmes = dict(self.book.state.programmes)

    @rule(is_open=st.sampled_from((True, True, True, False)))
    def the_region_closes_or_opens(self, is_open):
        self.book.state.is_open = self.naive.is_open = is_open

    # --- What holds after every step ------------------------------------------------------------------------

    @invariant()
    def the_book_adds_up(self):
        check_book(self.book.state, self.book.booked)

    @invariant()
    def both_books_have_the_same_balances(self):
        accounts = self.book.state.accounts
        assert list(accounts) == self.naive.accounts()
        for key, account in accounts.items():
            assert account.balance == self.naive.balance(key)
            assert account.held == self.naive.set_aside(key)
        for key, counter in self.book.state.counters.items():
            assert counter.used_on(self.book.state.today) == self.naive.used(key)


def again_with(instruction_id: Any, other: Instruction, caller: str) -> Instruction:
    """Another instruction under an id that is taken."""
    return replace(
        other,
        id=instruction_id,
        caller=caller,
        fingerprint=fingerprint(KEY, caller=caller, route=other.kind, body=repr(other.moves)),
    )


def answer_of(outcome: Outcome) -> str:
    """An outcome as the naive book says it."""
    if isinstance(outcome, Refusal):
        return outcome.code
    return "replayed" if outcome.is_replay else "settled"


TestPlannerMachine = PlannerMachine.TestCase
