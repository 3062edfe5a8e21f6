"""What holds for every command, wherever on the line it stood: `--json` and `--data-dir DIR`.

They are taken off the line before a command sees it, so that no command can forget them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from cli.output import Output

if TYPE_CHECKING:
    from database.settings import Settings

JSON_OPTION: Final = "--json"
DATA_DIR_OPTION: Final = "--data-dir"
# What follows these commands belongs to another program and is not looked into.
COMMANDS_OF_OTHERS: Final = frozenset({"test"})


class OptionMalformed(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """A common option stands without its value."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the command line.

    Attributes:
        arguments: the line without the common options.
        is_json: whether answers are JSON.
        data_dir: the data folder named on the line, or None.
    """

    arguments: tuple[str, ...]
    is_json: bool
    data_dir: Path | None

    @property
    def output(self) -> Output:
        """Where answers go."""
        return Output(is_json=self.is_json)

    def read_settings(self) -> "Settings":
        """The settings of this call; the line wins over the environment.

        Raises:
            SettingsInvalid: the environment's values don't fit together.
        """
        from database.settings import read_settings

        return read_settings(data_dir=self.data_dir)


def read_invocation(line: Sequence[str]) -> Invocation:
    """Takes the common options off a line.

    Raises:
        OptionMalformed: `--data-dir` stands without a folder.
    """
    words = list(line)
    left: list[str] = []
    is_json = False
    data_dir: Path | None = None
    while words:
        word = words.pop(0)
        if word == "--" or (not left and word in COMMANDS_OF_OTHERS):
            left += [word, *words]
            break
        if word == JSON_OPTION:
            is_json = True
        elif word == DATA_DIR_OPTION:
            data_dir = _folder(words.pop(0) if words else "")
        elif word.startswith(f"{DATA_DIR_OPTION}="):
            data_dir = _folder(word.partition("=")[2])
        else:
            left.append(word)
    return Invocation(arguments=tuple(left), is_json=is_json, data_dir=data_dir)


def invocation_of(context: typer.Context) -> Invocation:
    """The call that a command belongs to; every command asks it for settings and output."""
    found = context.find_object(Invocation)
    if found is None:
        raise LookupError("a command was called without an invocation")
    return found


def _folder(text: str) -> Path:
    if not text or text.startswith("--"):
        raise OptionMalformed(f"{DATA_DIR_OPTION} needs a folder: {DATA_DIR_OPTION} DIR")
    return Path(text).expanduser().absolute()
