"""`meguri test`: every step, its seconds, and an exit code that can be believed."""

import sys

import pytest

from cli.test import Outcome, Step, list_steps, run_step, show_summary
from tests.cli.command_line import meguri


def test_with_arguments_it_is_pytest_alone(tmp_path):
    (tmp_path / "test_one.py").write_text("def test_holds(): pass\n")
    answer = meguri("test", str(tmp_path / "test_one.py"), "-q", "-p", "no:randomly")
    assert answer.exit_code == 0, answer.output + answer.errors
    assert "1 passed" in answer.output
    assert "style" not in answer.output


@pytest.mark.parametrize(("body", "code"), [("assert False", 1), ("raise KeyboardInterrupt", 2)])
def test_pytests_exit_code_is_the_commands(tmp_path, body, code):
    (tmp_path / "test_one.py").write_text(f"def test_breaks(): {body}\n")
    assert meguri("test", str(tmp_path / "test_one.py"), "-q").exit_code == code


def test_all_the_guards_are_steps():
    names = [step.name for step in list_steps()]
    assert names[:3] == ["style", "format", "types"]
    assert names[-2:] == ["security", "tests"]


def test_a_steps_words_are_shown_only_when_it_fails(capfd):
    run_step(Step("quiet", ("-c", "print('chatter')")))
    run_step(Step("broken", ("-c", "print('the reason'); raise SystemExit(3)")))
    shown = capfd.readouterr().out
    assert "chatter" not in shown
    assert "the reason" in shown
    assert "✓ quiet" in shown
    assert "✗ broken" in shown


def test_the_last_line_says_how_it_stands(capfd):
    good, bad = (Outcome(Step(name, (sys.executable,)), code, 1.25) for name, code in (("good", 0), ("bad", 1)))
    show_summary([good])
    assert capfd.readouterr().out.splitlines()[-1] == "All is well."
    show_summary([good, bad])
    assert capfd.readouterr().out.splitlines()[-1] == "Not yet: bad."
