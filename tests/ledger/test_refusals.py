"""Refusals: stable codes, facts that survive JSON, and exceptions that can be raised, caught, copied and sent."""

import copy
import dataclasses
import json
import pickle
import re
from datetime import UTC, datetime
from typing import get_type_hints
from uuid import UUID

import pytest

from ledger.refusals import EarlierRefusal, InsufficientFunds, Refusal, list_refusals, stored_refusal

# The currency adds refusals of its own to the same list; here the ledger's are judged.
REFUSALS = [refusal for refusal in list_refusals() if refusal.__module__ == "ledger.refusals"]
VALUES = {
    int: 4711,
    str: "wallet",
    UUID: UUID(int=2**127 + 5),
    datetime: datetime(2026, 11, 23, 3, 4, 5, 678901, tzinfo=UTC),
}
EVERY = pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.__name__)


def example(refusal: type[Refusal]) -> Refusal:
    types = get_type_hints(refusal)
    return refusal(**{field.name: VALUES[types[field.name]] for field in dataclasses.fields(refusal)})


def test_the_ledger_has_refusals_and_no_code_twice():
    codes = [refusal.code for refusal in list_refusals()]
    assert len(REFUSALS) > 20
    assert len(set(codes)) == len(codes)


@EVERY
def test_a_refusal_has_a_snake_case_code_and_a_meaning_of_its_own(refusal):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", refusal.code)
    assert "code" in vars(refusal)
    assert refusal.__doc__
    assert not refusal.__doc__.startswith(f"{refusal.__name__}(")
    assert type(stored_refusal(refusal.code, example(refusal).facts())) is refusal


@EVERY
def test_facts_survive_json_and_make_the_same_refusal_again(refusal):
    first = example(refusal)
    facts = json.loads(json.dumps(first.facts()))
    again = stored_refusal(first.code, facts)
    assert again == first
    assert hash(again) == hash(first)
    assert again.facts() == first.facts()


@EVERY
def test_a_refusal_can_be_raised_and_caught_as_itself(refusal):
    with pytest.raises(refusal) as caught:
        raise example(refusal)
    assert caught.value == example(refusal)
    assert isinstance(caught.value, Refusal)


@EVERY
def test_a_refusal_can_be_copied_and_sent_to_another_process(refusal):
    first = example(refusal)
    assert pickle.loads(pickle.dumps(first)) == first  # noqa: S301 - made here
    assert copy.deepcopy(first) == first
    assert copy.copy(first) == first


@EVERY
def test_a_refusal_that_was_raised_can_still_be_copied(refusal):
    with pytest.raises(refusal) as caught:
        raise example(refusal)
    assert copy.deepcopy(caught.value) == caught.value


@EVERY
def test_a_refusal_says_its_code_and_its_facts(refusal):
    text = str(example(refusal))
    assert text.startswith(f"{refusal.code}: ")
    assert all(str(value) in text for value in example(refusal).facts().values())


def test_other_facts_make_another_refusal():
    assert InsufficientFunds(available=1) != InsufficientFunds(available=2)


@pytest.mark.parametrize(
    ("code", "facts"), [("of_another_release", {"day": 3}), ("insufficient_funds", {"left": 1})]
)
def test_a_stored_refusal_that_is_not_known_so_is_still_the_first_answer(code, facts):
    again = stored_refusal(code, facts)
    assert again == EarlierRefusal(code, json.dumps(facts))
    assert again.is_stored


def test_a_missing_fact_is_an_error_and_not_a_guess():
    with pytest.raises(KeyError):
        InsufficientFunds.from_facts({})


def test_what_says_nothing_about_the_instruction_uses_no_id_up():
    unstored = {refusal.code for refusal in REFUSALS if not refusal.is_stored}
    assert unstored == {
        "request_invalid",
        "overloaded",
        "too_many_requests",
        "id_reused",
        "id_given_up",
        "linked_refused",
        "outcome_unknown",
    }
