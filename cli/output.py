"""How results and refusals are shown: JSON on standard output for programs, text for people.

Standard output carries the answer only; progress and warnings go to standard error, so that output can be piped.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as RFC 9457 words it, without an HTTP status.

    Attributes:
        code: stable, snake_case.
        title: what the code means.
        detail: what was found this time.
        next_step: what to do now; may be empty.
        facts: what else the refusal knows, by name.
    """

    code: str
    title: str
    detail: str
    next_step: str
    facts: Mapping[str, int | str]

    def document(self) -> dict[str, Any]:
        """The problem document."""
        document: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "code": self.code,
            "detail": self.detail,
        }
        if self.next_step:
            document["next_step"] = self.next_step
        return {**self.facts, **document}


@dataclass(frozen=True, slots=True)
class Output:
    """Shows answers in the way that was asked for."""

    is_json: bool

    def show(self, document: Mapping[str, Any] | Sequence[Any], *, text: str) -> None:
        """One answer: the document for programs, or the text for people."""
        sys.stdout.write(json.dumps(document, ensure_ascii=False, default=_plain) if self.is_json else text)
        sys.stdout.write("\n")

    def show_facts(self, document: Mapping[str, Any], facts: Sequence[tuple[str, str]]) -> None:
        """One answer whose text is a list of names and values."""
        if self.is_json:
            self.show(document, text="")
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for name, value in facts:
            # Text, not markup: a folder's name may hold brackets.
            table.add_row(Text(name, style="dim"), Text(value, overflow="fold"))
        Console(soft_wrap=False).print(table)

    def progress(self, words: str) -> None:
        """One line about what is going on or should be known, on standard error."""
        sys.stderr.write(f"meguri: {words}\n")
        sys.stderr.flush()

    def refuse(self, problem: Problem) -> None:
        """Shows why something was not done and what to do next."""
        if self.is_json:
            self.show(problem.document(), text="")
            return
        sys.stderr.write(f"{problem.title}\n")
        if problem.detail:
            sys.stderr.write(f"  {problem.detail}\n")
        if problem.next_step:
            sys.stderr.write(f"  → {problem.next_step}\n")
        sys.stderr.write(f"  ({problem.code})\n")


def _plain(value: object) -> str:
    """Instants as RFC 3339 in UTC, days as YYYY-MM-DD, everything else as it reads."""
    return value.isoformat() if isinstance(value, date) else str(value)
