"""A batch of N is N batches of one (V11)."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from ledger.batch_planning import Posted, Unit
from tests.ledger.ledger_factories import MemoryBook, give_up, new_state
from tests.properties.book_checks import check_book
from tests.properties.random_instructions import CALLERS, Chance, town


def begun(chance: Chance) -> MemoryBook:
    book = MemoryBook(new_state(*town()))
    for asked in chance.begin(0, book.state).beginnings():
        book.post(asked)
    return book


def any_unit(chance: Chance, asked: list[Unit]) -> Unit:
    """One instruction, a linked group, an id given up, or something asked before."""
    die = chance.random.random()
    if die < 0.1 and asked:
        return chance.one_of(*asked)
    if die < 0.2:
        ids = [one.id for unit in asked for one in unit]
        return (give_up(chance.one_of(chance.new_id(), *ids), caller=chance.one_of(*CALLERS)),)
    count = chance.one_of(2, 3) if die < 0.35 else 1
    return tuple(chance.instruction(chance.any_move()) for _ in range(count))


@given(seed=st.integers(0, 2**32), count=st.integers(1, 25))
def test_V11_a_batch_of_n_is_n_batches_of_one(seed, count):
    chance = Chance()
    one_by_one, at_once = begun(chance), begun(Chance())
    assert one_by_one == at_once
    units: list[Unit] = []
    plans = []
    for _ in range(count):
        chance.begin(seed, one_by_one.state)
        units.append(any_unit(chance, units))
        plans.append(one_by_one.ask_batch(units[-1]))

    batch = at_once.ask_batch(*units)

    assert batch.booked == [one for plan in plans for one in plan.booked]
    assert batch.refused == [one for plan in plans for one in plan.refused]
    assert batch.outcomes == [outcomes for plan in plans for outcomes in plan.outcomes]
    for field in fields(at_once):
        assert getattr(at_once, field.name) == getattr(one_by_one, field.name)
    check_book(at_once.state, at_once.booked)


@given(seed=st.integers(0, 2**32), rounds=st.integers(1, 8))
def test_B01_what_settled_is_answered_with_its_entry_for_ever(seed, rounds):
    chance = Chance()
    book = begun(chance)
    first = []
    for _ in range(rounds):
        chance.begin(seed, book.state)
        asked = chance.instruction(chance.any_move())
        first.append((asked, book.ask(asked)))
    seq, last_hash = book.state.seq, book.hash
    for asked, outcome in first:
        again = book.ask(asked)
        if isinstance(outcome, Posted):
            assert isinstance(again, Posted)
            assert again.is_replay
            assert again.entry == outcome.entry
    settled = {asked.id for asked, outcome in first if isinstance(outcome, Posted)}
    assert {entry.id for entry in book.entries[seq:]}.isdisjoint(settled)
    assert book.state.seq > seq or book.hash == last_hash
