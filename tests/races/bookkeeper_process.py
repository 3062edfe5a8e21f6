"""A bookkeeper in a process of its own: reads pickled lists of instructions, answers with pickled outcomes.

python -m tests.races.bookkeeper_process URL REGION [freezes]
"""

import asyncio
import pickle
import sys

import structlog

from ledger.bookkeeper import Bookkeeper
from ledger.clearance import ClearAll
from tests.races.freezes import FreezeClearance
from tests.races.racing import post_all


async def main(url, region, *words):
    clearance = FreezeClearance() if "freezes" in words else ClearAll()
    async with Bookkeeper(url, region, clearance=clearance) as bookkeeper:
        say("ready")
        while (instructions := await asyncio.to_thread(hear)) is not None:
            say(await post_all(bookkeeper, instructions))


def hear():
    try:
        return pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent
    except EOFError:
        return None


def say(answer):
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    # Standard output is the answers' alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(*sys.argv[1:]))
