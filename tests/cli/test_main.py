"""The edge: common options wherever they stand, exit codes, interruptions, readers that go away."""

import os
import signal
import subprocess
import sys

import pytest

from tests.cli.command_line import COMMAND, environment, meguri


def test_help_is_quick_and_loads_nothing_heavy():
    """Seconds depend on the machine; what is loaded decides them and does not."""
    script = (
        "import sys; sys.argv = ['meguri', '--help']; import runpy\n"
        "try: runpy.run_module('cli', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in ('psycopg', 'sqlalchemy', 'rich', 'alembic', 'cryptography') if m in sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    assert "Commands:" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command", [[], ["--help"], ["-h"], ["db", "--help"], ["db", "backup", "--help"], ["test", "--help"]]
)
def test_every_command_explains_itself(command):
    answer = meguri(*command)
    assert "Usage: meguri" in answer.output + answer.errors
    assert answer.exit_code == (0 if command else 2)


@pytest.mark.parametrize(
    "place",
    [
        ["--json", "--data-dir", "{}", "db", "status"],
        ["db", "--json", "--data-dir={}", "status"],
        ["db", "status", "--data-dir", "{}", "--json"],
    ],
    ids=["before", "between", "after"],
)
def test_common_options_are_taken_anywhere(tmp_path, place):
    answer = meguri(*(word.format(tmp_path / "巡り") for word in place))
    assert answer.exit_code == 0
    assert answer.document["data_dir"] == str(tmp_path / "巡り")
    assert answer.document["is_running"] is False


def test_a_folder_beside_the_caller_is_found_from_there(tmp_path):
    result = subprocess.run(
        [*COMMAND, "db", "status", "--json", "--data-dir", "here"],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(tmp_path / "here") in result.stdout


def test_the_callers_own_folders_are_not_taken_for_ours(tmp_path):
    for name in ("cli", "database", "typing.py"):
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).write_text("raise SystemExit(99)")
    result = subprocess.run(
        [*COMMAND, "db", "status", "--data-dir", "d"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0


@pytest.mark.parametrize(
    "line", [["nope"], ["db", "nope"], ["db", "backup"], ["db", "status", "--nope"], ["--data-dir"]]
)
def test_wrong_usage_ends_with_two(line):
    answer = meguri(*line)
    assert answer.exit_code == 2
    assert answer.output == ""
    assert answer.errors
    assert "Traceback" not in answer.errors


def test_a_refusal_ends_with_one_and_says_why_and_what_next(tmp_path):
    answer = meguri("db", "url", "--data-dir", tmp_path)
    assert answer.exit_code == 1
    assert answer.output == ""
    assert "database_not_running" in answer.errors
    assert "./meguri db start" in answer.errors
    assert "Traceback" not in answer.errors


def test_a_refusal_in_json_is_a_problem_document(tmp_path):
    answer = meguri("db", "url", "--json", "--data-dir", tmp_path)
    assert answer.exit_code == 1
    assert answer.document == {
        "type": "/problems/database_not_running",
        "title": "The embedded server is not running, and this command does not start it.",
        "code": "database_not_running",
        "detail": f"The database in {tmp_path} is not running.",
        "next_step": "Start it and keep it: ./meguri db start",
    }


def test_settings_that_do_not_fit_are_refused():
    answer = meguri("db", "status", "--json", DATABASE_URL="postgresql://a/b")
    assert (answer.exit_code, answer.document["code"]) == (1, "settings_invalid")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_ends_cleanly(number, code):
    """Also where a shell started it in the background, with the interrupt ignored."""
    wait = (
        "import signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from cli import __main__ as edge\n"
        "@edge.app.command('wait')\n"
        "def wait() -> None:\n"
        "    try:\n"
        "        print('waiting', flush=True); time.sleep(60)\n"
        "    finally:\n"
        "        print('tidied', flush=True)\n"
        "sys.argv = ['meguri', 'wait']; edge.run()"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", wait],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    output, errors = process.communicate()
    assert (process.returncode, output, errors) == (code, "tidied\n", "")


def test_a_reader_that_went_away_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [*COMMAND, "db", "status", "--json", "--data-dir", str(tmp_path)],
        env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writing)
    _, errors = process.communicate()
    assert errors == ""
    assert process.returncode == 141
