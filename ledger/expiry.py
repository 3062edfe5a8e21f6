"""The expiry job: moves what is left in lots whose last day has passed, and frees holds whose time is over.

It may crash half-way, run twice or run late. The id of each instruction is derived from the lot as it stood, so the
same value expires once, whoever asks how often. It is an HMAC, so that nobody else can take the id first.
"""

import asyncio
import hmac
from hashlib import sha256
from typing import Final
from uuid import UUID

from database.clock import Clock
from database.connections import Connection
from database.days import day_in_japan
from ledger.accounts import AccountKey
from ledger.bookkeeper import Bookkeeper
from ledger.chart import Kind
from ledger.instructions import Expire, ExpireHold, Instruction, fingerprint
from ledger.refusals import NothingToMove, Refusal

CALLER: Final = "job:expiry"
CHUNK: Final = 500


async def expire_all(connection: Connection, bookkeeper: Bookkeeper, *, key: bytes, clock: Clock) -> int:
    """Expires all that is due, in chunks of at most 500, and returns how many entries that made.

    Programmes that have `expire` switched off are left alone.

    Args:
        connection: to the region's schema, for looking.
        bookkeeper: books the instructions.
        key: the server's key for fingerprints.
        clock: decides which day it is; the bookkeeper's own.
    """
    booked = 0
    # Holds first: what they free on its last day expires in the same run.
    hold = UUID(int=0)
    while True:
        instructions, hold = await _due_holds(connection, key, clock, hold)
        if not instructions:
            break
        booked += await _post_chunk(bookkeeper, instructions)
    account = 0
    while True:
        instructions, account = await _due_lots(connection, key, clock, account)
        if not instructions:
            return booked
        booked += await _post_chunk(bookkeeper, instructions)


async def _due_lots(connection: Connection, key: bytes, clock: Clock, after: int) -> tuple[list[Instruction], int]:
    cursor = await connection.execute(
        """SELECT a.id, holder, p.code, expires_on, grace, credits, debits
           FROM account a JOIN programme p ON p.id = a.programme
           JOIN programme_flow f ON f.programme = p.id AND f.flow = 'expire' AND f.is_on
           WHERE a.id > %s AND kind = 'wallet' AND expires_on < %s AND credits - debits - held > 0
           ORDER BY a.id LIMIT %s""",
        [after, day_in_japan(clock.now()), CHUNK],
    )
    rows = await cursor.fetchall()
    await connection.rollback()
    made = [
        _instruction(
            key,
            f"lot {row[1]} {row[2]} {row[3]} {row[4]} {row[5]} {row[6]}",
            "expire",
            Expire(AccountKey(Kind.WALLET, *row[1:5])),
        )
        for row in rows
    ]
    return made, rows[-1][0] if rows else after


async def _due_holds(
    connection: Connection, key: bytes, clock: Clock, after: UUID
) -> tuple[list[Instruction], UUID]:
    cursor = await connection.execute(
        """SELECT DISTINCT hold.id FROM hold JOIN hold_line l ON l.hold = hold.id
           WHERE hold.id > %s AND expires_at <= %s AND placed > captured + released ORDER BY hold.id LIMIT %s""",
        [after, clock.now(), CHUNK],
    )
    holds = [row[0] for row in await cursor.fetchall()]
    await connection.rollback()
    made = [_instruction(key, f"hold {hold}", "expire_hold", ExpireHold(hold)) for hold in holds]
    return made, holds[-1] if holds else after


def _instruction(key: bytes, name: str, kind: str, move: Expire | ExpireHold) -> Instruction:
    instruction_id = UUID(bytes=hmac.digest(key, f"meguri expiry {name}".encode(), sha256)[:16])
    return Instruction(
        id=instruction_id,
        kind=kind,
        caller=CALLER,
        fingerprint=fingerprint(key, caller=CALLER, route=kind, body=instruction_id.bytes),
        moves=(move,),
        stores_refusal=False,
    )


async def _post_chunk(bookkeeper: Bookkeeper, instructions: list[Instruction]) -> int:
    outcomes = await asyncio.gather(*(bookkeeper.post(one) for one in instructions), return_exceptions=True)
    booked = 0
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            # Another run was faster, or the value has moved meanwhile.
            if not isinstance(outcome, NothingToMove):
                raise outcome
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            booked += not outcome.is_replay
    return booked
