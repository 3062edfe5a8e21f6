"""Tills that pay without end, in a process of their own that can be killed; what was acknowledged goes down a pipe.

    python -m tests.races.tills URL REGION NEXT NEXT …      one NEXT per till: the number of its next payment

A payment's id and body follow from its till and number, so a successor asks again what its predecessor did not hear
the answer of. Every seventh payment asks for more than there is.
"""

import asyncio
import os
import sys
from uuid import uuid5

import structlog

from ledger.bookkeeper import Bookkeeper, Capacity
from ledger.refusals import InsufficientFunds, OutcomeUnknown
from tests.ledger import ledger_factories as f

PAUSE_SECONDS = 0.01


def payment(till, number):
    """One payment of a till; every seventh can only be refused."""
    amount = 10**9 if number % 7 == 0 else 1
    return f.pay(f.HANAKO, f.BAKERY, amount, id=uuid5(f.person(f"till {till}"), str(number)))


async def pay_on(bookkeeper, till, number):
    while True:
        try:
            posted = await bookkeeper.post(payment(till, number))
            say("posted", till, number, posted.entry.seq)
        except InsufficientFunds:
            say("refused", till, number, 0)
        except OutcomeUnknown:
            continue
        number += 1
        await asyncio.sleep(PAUSE_SECONDS)


def say(*words):
    # One write: a line is in the pipe whole or not at all, whenever this process is killed.
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


async def main(url, region, *numbers):
    async with Bookkeeper(url, region, capacity=Capacity(outcome_timeout_seconds=5)) as bookkeeper:
        await asyncio.gather(*(pay_on(bookkeeper, till, int(number)) for till, number in enumerate(numbers)))


if __name__ == "__main__":
    # Standard output is the answers' alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(*sys.argv[1:]))
