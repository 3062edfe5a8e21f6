"""The command line as a process of its own, as a user starts it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-P", "-m", "cli"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left behind."""

    exit_code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        return json.loads(self.output)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
    return {**kept, "PYTHONPATH": str(CHECKOUT), "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", **more}


def meguri(*words: str | Path, **more: str) -> Answer:
    result = subprocess.run(
        [*COMMAND, *map(str, words)], env=environment(**more), capture_output=True, encoding="utf-8", check=False
    )
    return Answer(result.returncode, result.stdout, result.stderr)
