"""Refusals: a stable code and a meaning each, and the same after a trip through another process."""

import re

from database.refusals import DatabaseRefusal, DiskFull, list_database_refusals, refusal_from


def test_every_refusal_has_a_code_of_its_own_and_a_meaning():
    refusals = list(list_database_refusals())
    codes = [refusal.code for refusal in refusals]
    assert len(set(codes)) == len(codes) > 10
    for refusal in refusals:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", refusal.code)
        assert refusal.__doc__.endswith(".")
        assert refusal.code == re.sub(r"(?<!^)(?=[A-Z])", "_", refusal.__name__).lower(), "the code is the name"


def test_a_refusal_comes_back_from_another_process_as_itself():
    back = refusal_from("disk_full", "no room", "make room")
    assert isinstance(back, DiskFull)
    assert (back.detail, back.next_step, str(back)) == ("no room", "make room", "no room")


def test_a_code_of_another_version_is_still_a_refusal():
    back = refusal_from("from_the_future", "what", "how")
    assert isinstance(back, DatabaseRefusal)
    assert back.detail == "what"
