"""The one place that turns what the rooms below refuse with into a problem that is shown.

What is not a refusal is an error of the program: it is not caught here and shows itself in full.
"""

from cli.output import Problem


def find_problem(error: Exception) -> Problem | None:
    """The problem for a refusal of any room, or None for what is no refusal."""
    from database.refusals import DatabaseRefusal
    from database.settings import SettingsInvalid

    if isinstance(error, DatabaseRefusal):
        return Problem(error.code, _meaning(error), error.detail, error.next_step, {})
    if isinstance(error, SettingsInvalid):
        return Problem("settings_invalid", "The settings don't fit together.", str(error), "", {})
    return _find_ledger_problem(error)


def _find_ledger_problem(error: Exception) -> Problem | None:
    from ledger.refusals import Refusal

    if not isinstance(error, Refusal):
        return None
    facts = error.facts()
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return Problem(error.code, _meaning(error), told, "", facts)


def _meaning(error: Exception) -> str:
    """A refusal's class says what it means in its docstring's first line."""
    return (type(error).__doc__ or "").strip().splitlines()[0]
