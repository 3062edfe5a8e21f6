"""`meguri test`: everything that must hold before a change goes in, in one command; with arguments, only pytest.

Every step runs, also after one that failed: who fixes things wants to see all of them at once.
"""

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

CHECKOUT: Final = Path(__file__).resolve().parents[1]
ROOMS: Final = ("database", "ledger", "currency", "migrations", "cli", "meguri")
# Its script has a fixed path in its first line, which a moved checkout no longer has.
LINT_IMPORTS: Final = "from importlinter.cli import lint_imports_command; lint_imports_command()"
WORKERS_MAX: Final = 4
PASS_ARGUMENTS_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
HELP: Final = "Checks style, types, arrows and security, runs all tests; with arguments, `pytest ARGUMENTS` only."


@dataclass(frozen=True, slots=True)
class Step:
    """One check.

    Attributes:
        name: what it looks at.
        command: what this Python runs, and its arguments.
        is_loud: whether its words are shown while it runs, not only when it fails.
    """

    name: str
    command: tuple[str, ...]
    is_loud: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step."""

    step: Step
    exit_code: int
    seconds: float


def test(context: typer.Context) -> None:
    """Runs the steps and ends with 1 when one of them failed."""
    if context.args:
        raise typer.Exit(run_step(Step("tests", ("-m", "pytest", *context.args), is_loud=True)).exit_code)
    outcomes = [run_step(step) for step in list_steps()]
    show_summary(outcomes)
    raise typer.Exit(int(any(outcome.exit_code != 0 for outcome in outcomes)))


def list_steps() -> Iterator[Step]:
    """The steps, quick ones first."""
    rooms = [room for room in ROOMS if (CHECKOUT / room).exists()]
    yield Step("style", ("-m", "ruff", "check", "--quiet", ".", "meguri"))
    yield Step("format", ("-m", "ruff", "format", "--check", "--quiet", ".", "meguri"))
    yield Step("types", ("-m", "mypy"))
    if has_arrows():
        yield Step("arrows between rooms", ("-c", LINT_IMPORTS))
    # From medium on: of the low ones (every subprocess) ruff has already asked for a reason where each stands.
    yield Step(
        "security", ("-m", "bandit", "--quiet", "--configfile", "pyproject.toml", "-ll", "--recursive", *rooms)
    )
    workers = min(max(2, os.cpu_count() or 2), WORKERS_MAX)
    yield Step("tests", ("-m", "pytest", "-n", str(workers), "--dist", "worksteal"), is_loud=True)


def has_arrows() -> bool:
    """Whether the arrows between the rooms are written down for import-linter."""
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        return "importlinter" in tomllib.load(file).get("tool", {}) or (CHECKOUT / ".importlinter").exists()


def run_step(step: Step) -> Outcome:
    """Runs one step; shows its words when it is loud or failed."""
    began = time.monotonic()
    if step.is_loud:
        say(f"{step.name} …")
    process = subprocess.Popen(  # noqa: S603 - this Python's own tools
        [sys.executable, *step.command],
        cwd=CHECKOUT,
        stdout=None if step.is_loud else subprocess.PIPE,
        stderr=None if step.is_loud else subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    try:
        words, _ = process.communicate()
    except BaseException:
        # Ended from outside: the tool gets the time to clean up after itself.
        process.terminate()
        process.wait()
        raise
    outcome = Outcome(step, process.returncode, time.monotonic() - began)
    if words and outcome.exit_code != 0:
        say(words.rstrip())
    if not step.is_loud:
        say(line_of(outcome))
    return outcome


def show_summary(outcomes: list[Outcome]) -> None:
    """The last lines: each step with its seconds, then how it stands."""
    say("")
    for outcome in outcomes:
        say(line_of(outcome))
    failed = [outcome.step.name for outcome in outcomes if outcome.exit_code != 0]
    say(f"Not yet: {', '.join(failed)}." if failed else "All is well.")


def line_of(outcome: Outcome) -> str:
    """One step's line."""
    return f"{'✓' if outcome.exit_code == 0 else '✗'} {outcome.step.name:<24}{outcome.seconds:6.1f} s"


def say(words: str) -> None:
    """One line, at once: the tools write to the same place."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
