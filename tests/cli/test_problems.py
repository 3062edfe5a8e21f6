"""Refusals of every room become problems; errors of the program do not."""

from cli.problems import find_problem
from database.refusals import DiskFull
from database.settings import SettingsInvalid
from ledger.refusals import list_refusals


def test_a_refusal_of_the_database_keeps_its_code_and_its_next_step():
    problem = find_problem(DiskFull("no room", next_step="make room"))
    assert problem.document() == {
        "type": "/problems/disk_full",
        "title": "The disk is full, and the reserve kept for this case is used up or not enough.",
        "code": "disk_full",
        "detail": "no room",
        "next_step": "make room",
    }


def test_settings_are_a_refusal_too():
    assert find_problem(SettingsInvalid("both or neither")).code == "settings_invalid"


def test_a_refusal_of_the_ledger_tells_its_facts():
    refusal = next(kind for kind in list_refusals() if kind.code == "request_invalid")
    problem = find_problem(refusal(detail="no such flow"))
    assert problem.document()["code"] == "request_invalid"
    assert problem.document()["title"]
    assert "no such flow" in problem.detail


def test_an_error_of_the_program_is_no_problem():
    assert find_problem(ValueError("a mistake of ours")) is None
