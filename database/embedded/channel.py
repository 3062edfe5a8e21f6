"""What a starting supervisor tells the command that started it: one JSON object a line over a pipe.

The pipe ends when the server is ready or refused; afterwards the supervisor owes nobody a word but its log.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from database.clock import SystemClock
from database.refusals import DatabaseRefusal, refusal_from

LOG_BYTES_MAX = 1024 * 1024


class Channel:
    """The supervisor's end: to the pipe while somebody listens, and to its log."""

    __slots__ = ("is_open",)

    def __init__(self) -> None:
        self.is_open = True

    def say(self, words: str) -> None:
        """Progress that a person may read."""
        self._send({"say": words})

    def refuse(self, refusal: DatabaseRefusal) -> None:
        """The start failed; nothing more comes."""
        self._send({"refusal": {"code": refusal.code, "detail": refusal.detail, "next_step": refusal.next_step}})
        self._hang_up()

    def close(self) -> None:
        """The server is up, or another supervisor sees to it; later words go to the log only."""
        if self.is_open:
            self._tell({"done": True})
        self._hang_up()

    def _hang_up(self) -> None:
        if self.is_open:
            self.is_open = False
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)

    def _send(self, message: dict[str, object]) -> None:
        line = json.dumps(message, ensure_ascii=False)
        sys.stderr.write(f"{SystemClock().now().isoformat(timespec='milliseconds')} {line}\n")
        sys.stderr.flush()
        if self.is_open:
            self._tell(message)

    def _tell(self, message: dict[str, object]) -> None:
        # The listener may have been interrupted; the server is started all the same, for the others.
        with suppress(BrokenPipeError):
            os.write(1, json.dumps(message).encode() + b"\n")


def listen(lines: Iterable[str], report: Callable[[str], None]) -> bool:
    """The command's end: passes progress on until the pipe ends; False when the supervisor died before it was done.

    Raises:
        DatabaseRefusal: the supervisor's own refusal.
    """
    for line in lines:
        message = json.loads(line)
        if "refusal" in message:
            raise refusal_from(**message["refusal"])
        if "done" in message:
            return True
        report(message["say"])
    return False


def words_to_log(log: Path) -> None:
    """Sends this process's standard error to a log that does not grow without end."""
    log.parent.mkdir(exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)
