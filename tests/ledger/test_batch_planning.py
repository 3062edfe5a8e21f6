"""Batches: each item sees what was booked before it, linked items stand or fall together, floods use no ids up."""

from dataclasses import dataclass, field, replace

import pytest

from ledger.batch_planning import REFUSALS_PER_MINUTE_MAX, plan_batch
from ledger.clearance import ClearAll
from ledger.entries import Booked, first_hash, next_hash
from ledger.instructions import CounterKey, Instruction, Limit
from ledger.refusals import (
    IdGivenUp,
    InsufficientFunds,
    LinkedRefused,
    Refusal,
    RegionClosed,
    TooManyRequests,
)
from ledger.state import State
from tests.ledger.ledger_factories import (
    BAKERY,
    HANAKO,
    REGION,
    TARO,
    TERMINAL,
    MemoryBook,
    book_with,
    give_up,
    lot,
    new_state,
    pay,
    person,
    refund,
    replayed,
    single_use,
    takings,
    top_up,
)
from tests.properties.book_checks import check_book


def codes(outcomes) -> list[str]:
    return [
        one.code if isinstance(one, Refusal) else ("replayed" if one.is_replay else "booked") for one in outcomes
    ]


def batch_codes(plan) -> list[str]:
    return [code for outcomes in plan.outcomes for code in codes(outcomes)]


def test_an_empty_batch_is_nothing():
    book = MemoryBook()
    plan = book.ask_batch()
    assert (plan.booked, plan.refused, plan.outcomes) == ([], [], [])
    assert plan.last_hash == first_hash(REGION)


def test_V7_each_item_sees_what_was_booked_before_it():
    payment = pay(HANAKO, BAKERY, 1000)
    book = MemoryBook()
    plan = book.ask_batch((top_up(HANAKO, 1000),), (payment,), (refund(payment, 300),), (payment,))
    assert batch_codes(plan) == ["booked", "booked", "booked", "replayed"]
    assert book.balance(lot()) == 300
    last = first_hash(REGION)
    for _, booked in plan.booked:
        last = next_hash(last, booked.entry)
        assert booked.hash == last
    assert plan.last_hash == last
    assert [booked.entry.seq for _, booked in plan.booked] == [1, 2, 3]
    check_book(book.state, book.booked)


def test_C01_ten_of_fifty_payments_of_100_fit_into_1000():
    book = book_with(top_up(HANAKO, 1000))
    plan = book.ask_batch(*((pay(HANAKO, BAKERY, 100),) for _ in range(50)))
    assert batch_codes(plan) == ["booked"] * 10 + ["insufficient_funds"] * 40
    assert book.balance(takings()) == 1000


def test_C16_a_refused_large_payment_does_not_make_the_later_small_one_fail():
    book = book_with(top_up(HANAKO, 1000))
    plan = book.ask_batch((pay(HANAKO, BAKERY, 1001),), (pay(HANAKO, BAKERY, 1000),))
    assert batch_codes(plan) == ["insufficient_funds", "booked"]


def test_B01_the_same_instruction_many_times_in_one_batch_is_one_entry():
    asked = top_up(HANAKO, 100)
    book = MemoryBook()
    plan = book.ask_batch(*((asked,) for _ in range(100)))
    assert batch_codes(plan) == ["booked"] + ["replayed"] * 99
    assert book.balance(lot()) == 100


def test_B02_another_body_under_the_same_id_in_one_batch_is_refused():
    asked = top_up(HANAKO, 100)
    plan = MemoryBook().ask_batch((asked,), (top_up(HANAKO, 200, id=asked.id),))
    assert batch_codes(plan) == ["booked", "id_reused"]
    assert plan.refused == []


def test_A03_two_payments_with_one_code_in_one_batch_are_one_payment():
    book = book_with(top_up(HANAKO, 1000))
    plan = book.ask_batch(*((pay(HANAKO, BAKERY, 100, single_use=single_use()),) for _ in range(5)))
    assert batch_codes(plan) == ["booked"] + ["code_used"] * 4


def test_B12_given_up_and_paid_in_one_batch_is_one_truth_whichever_came_first():
    for paid_first in (True, False):
        book, asked = book_with(top_up(HANAKO, 100)), pay(HANAKO, BAKERY, 100)
        units = [(asked,), (give_up(asked),)]
        plan = book.ask_batch(*(units if paid_first else reversed(units)))
        expected = ["booked", "replayed"] if paid_first else ["id_given_up", "id_given_up"]
        assert batch_codes(plan) == expected
        assert book.balance(takings()) == (100 if paid_first else 0)


def test_a_stored_refusal_is_written_once():
    asked = pay(HANAKO, BAKERY, 100)
    plan = MemoryBook().ask_batch((asked,), (asked,), (pay(TARO, BAKERY, 1, stores_refusal=False),))
    assert [(one.id, one.caller, one.refusal) for one in plan.refused] == [
        (asked.id, TERMINAL, InsufficientFunds(available=0))
    ]


# --- Linked instructions ----------------------------------------------------------------------------------------


def test_linked_instructions_are_an_entry_each_and_see_each_other():
    book = MemoryBook()
    assert codes(book.ask_linked(top_up(HANAKO, 100), pay(HANAKO, BAKERY, 100))) == ["booked", "booked"]
    assert book.balance(takings()) == 100
    check_book(book.state, book.booked)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_refused_link_refuses_all_and_only_the_culprit_uses_its_id_up(place):
    book = book_with(top_up(HANAKO, 100))
    culprit = pay(TARO, BAKERY, 1)
    group = [top_up(HANAKO, 10), pay(HANAKO, BAKERY, 10)]
    group.insert(place, culprit)
    outcomes = book.ask_linked(*group)
    assert outcomes[place] == InsufficientFunds(available=0)
    others = [one for one in outcomes if one is not outcomes[place]]
    assert others == [LinkedRefused(instruction_id=culprit.id)] * 2
    assert len(book.entries) == 1
    assert book.balance(lot()) == 100
    assert book.ask(culprit) == InsufficientFunds(available=0)
    for one in group:
        if one is not culprit:
            assert codes([book.ask(one)]) == ["booked"]


def test_a_refused_group_gives_free_what_it_would_have_used():
    book = book_with(top_up(HANAKO, 100))
    limit = (Limit(CounterKey("wallet", HANAKO), 100, day_max=100),)
    good = pay(HANAKO, BAKERY, 100, single_use=single_use(), limits=limit)
    hash_before = book.hash
    book.ask_linked(good, pay(TARO, BAKERY, 1))
    assert book.hash == hash_before
    assert book.state.counters == {}
    assert codes([book.ask(good)]) == ["booked"]


def test_a_group_after_a_refusal_in_the_same_batch_is_planned_all_the_same():
    book = MemoryBook()
    plan = book.ask_batch(
        (pay(HANAKO, BAKERY, 5),), (top_up(HANAKO, 5), top_up(HANAKO, 6)), (pay(HANAKO, BAKERY, 11),)
    )
    assert batch_codes(plan) == ["insufficient_funds", "booked", "booked", "booked"]


def test_a_group_that_was_booked_is_answered_again_as_a_group():
    book, group = MemoryBook(), (top_up(HANAKO, 5), top_up(HANAKO, 6))
    book.ask_linked(*group)
    assert all(replayed(one) for one in book.ask_linked(*group))
    assert book.balance(lot()) == 11


def test_a_group_with_a_link_refused_before_is_refused_by_its_first_answer():
    book, culprit = MemoryBook(), pay(HANAKO, BAKERY, 5)
    book.ask(culprit)
    plan = book.ask_batch((top_up(HANAKO, 100), culprit))
    assert batch_codes(plan) == ["linked_refused", "insufficient_funds"]
    assert plan.refused == []
    assert book.balance(lot()) == 0


def test_a_group_with_a_link_given_up_is_refused():
    book, asked = MemoryBook(), top_up(HANAKO, 5)
    book.ask(give_up(asked))
    assert codes(book.ask_linked(top_up(HANAKO, 1), asked)) == ["linked_refused", "id_given_up"]


def test_the_neighbours_of_a_refused_group_are_not_disturbed():
    book = book_with(top_up(HANAKO, 100))
    plan = book.ask_batch(
        (pay(HANAKO, BAKERY, 60),), (pay(HANAKO, BAKERY, 40), pay(HANAKO, BAKERY, 1)), (pay(HANAKO, BAKERY, 40),)
    )
    assert batch_codes(plan) == ["booked", "linked_refused", "insufficient_funds", "booked"]


# --- Floods -----------------------------------------------------------------------------------------------------


def test_above_600_refusals_a_minute_a_further_one_is_not_stored_and_leaves_its_id_free():
    book = MemoryBook(refusals_of={TERMINAL: REFUSALS_PER_MINUTE_MAX - 1})
    last, further = pay(HANAKO, BAKERY, 5), pay(HANAKO, BAKERY, 6)
    plan = book.ask_batch((last,), (further,))
    assert batch_codes(plan) == ["insufficient_funds", "too_many_requests"]
    assert [one.id for one in plan.refused] == [last.id]
    book.refusals_of = {}
    book.post(top_up(HANAKO, 100))
    assert codes([book.ask(further), book.ask(last)]) == ["booked", "insufficient_funds"]


def test_what_would_be_accepted_is_accepted_however_many_were_refused():
    book = MemoryBook(refusals_of={TERMINAL: 10_000})
    plan = book.ask_batch((pay(TARO, BAKERY, 1),), (top_up(HANAKO, 5),))
    assert batch_codes(plan) == ["too_many_requests", "booked"]


def test_the_refusals_of_one_caller_are_not_counted_against_another():
    book = MemoryBook(refusals_of={TERMINAL: 10_000})
    assert book.ask(pay(TARO, BAKERY, 1, caller="terminal:2")).code == "insufficient_funds"


def test_a_first_answer_is_given_again_however_many_were_refused():
    book, asked = MemoryBook(), pay(TARO, BAKERY, 1)
    first = book.ask(asked)
    book.refusals_of = {TERMINAL: 10_000}
    assert book.ask(asked) == first


def test_an_id_can_be_given_up_however_many_were_refused():
    book, asked = MemoryBook(refusals_of={TERMINAL: 10_000}), top_up(HANAKO, 5)
    plan = book.ask_batch((give_up(asked),))
    assert [one.refusal for one in plan.refused] == [IdGivenUp()]
    assert book.ask(asked) == IdGivenUp()


def test_a_flooded_group_stores_nothing():
    book = MemoryBook(refusals_of={TERMINAL: 10_000})
    plan = book.ask_batch((top_up(HANAKO, 1), pay(TARO, BAKERY, 1)))
    assert batch_codes(plan) == ["linked_refused", "too_many_requests"]
    assert plan.outcomes[0][1] == TooManyRequests()
    assert plan.refused == []


def test_600_refusals_within_one_batch_are_counted_too():
    book = MemoryBook()
    plan = book.ask_batch(*((pay(TARO, BAKERY, 1),) for _ in range(REFUSALS_PER_MINUTE_MAX + 3)))
    assert batch_codes(plan)[-4:] == ["insufficient_funds"] + ["too_many_requests"] * 3
    assert len(plan.refused) == REFUSALS_PER_MINUTE_MAX


# --- The decider ------------------------------------------------------------------------------------------------


@dataclass
class Doorkeeper(ClearAll):
    """Refuses some ids, and writes down what it hears."""

    refuses: frozenset = frozenset()
    judged: list = field(default_factory=list)
    heard: list = field(default_factory=list)

    def decide(self, instruction: Instruction, state: State) -> Refusal | None:
        self.judged.append((instruction.id, state.seq))
        return RegionClosed() if instruction.id in self.refuses else None

    def note_settled(self, booked: Booked) -> None:
        self.heard.append(booked.entry.id)

    def fork(self) -> "Doorkeeper":
        return replace(self, heard=list(self.heard))


def planned_by(door: Doorkeeper, *units):
    return plan_batch(new_state(), units, door, last_hash=first_hash(REGION), refusals_of={})


def test_the_domain_judges_after_ids_and_before_money_and_hears_of_every_entry():
    asked, barred = top_up(HANAKO, 5), top_up(HANAKO, 6, id=person("barred"))
    door = Doorkeeper(refuses=frozenset({barred.id}))
    plan = planned_by(door, (asked,), (barred,), (asked,), (give_up(person("new")),))
    assert batch_codes(plan) == ["booked", "region_closed", "replayed", "id_given_up"]
    assert door.judged == [(asked.id, 0), (barred.id, 1)]
    assert door.heard == [asked.id]
    assert [one.id for one in plan.refused] == [barred.id, person("new")]


def test_the_domain_hears_of_a_group_only_when_all_of_it_stands():
    one, two, three = (top_up(HANAKO, amount) for amount in (1, 2, 3))
    door = Doorkeeper(refuses=frozenset({three.id}))
    plan = planned_by(door, (one, three), (one, two))
    assert batch_codes(plan) == ["linked_refused", "region_closed", "booked", "booked"]
    assert plan.decider.heard == [one.id, two.id]


@dataclass
class OnceOnly(Doorkeeper):
    """Lets one entry through."""

    def decide(self, instruction: Instruction, state: State) -> Refusal | None:
        del instruction, state
        return RegionClosed() if self.heard else None


def test_what_is_linked_is_judged_with_what_came_before_it_in_the_group():
    one, two = top_up(HANAKO, 1), top_up(HANAKO, 2)
    assert batch_codes(planned_by(OnceOnly(), (one,), (two,))) == ["booked", "region_closed"]
    assert batch_codes(planned_by(OnceOnly(), (one, two))) == ["linked_refused", "region_closed"]
