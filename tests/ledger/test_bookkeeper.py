import asyncio
from uuid import uuid4

import pytest

from ledger.accounts import AccountKey, wallet_lot
from ledger.chart import Kind
from ledger.instructions import Destination, Draw, Instruction, Move, fingerprint

KEY = b"k" * 32


def ins(kind, *moves, caller="test", **options):
    made = uuid4()
    mark = fingerprint(KEY, caller=caller, route=kind, body=made.bytes)
    return Instruction(made, kind, caller, mark, moves, **options)


@pytest.mark.anyio
async def test_a_top_up_and_a_payment_are_booked(region):
    wallet, merchant, desk = uuid4(), uuid4(), uuid4()
    async with region.bookkeeper() as bookkeeper:
        top_up = Move("top_up", AccountKey(Kind.RESERVE, desk, "yen"), wallet_lot(wallet, "yen"), 1000)
        await bookkeeper.post(ins("top_up", top_up))
        pay = ins("payment", Draw("payment", wallet, 300, Destination(Kind.TAKINGS, merchant)))
        posted = await bookkeeper.post(pay)
        assert posted.entry.seq == 2
        await asyncio.gather(*(bookkeeper.post(pay) for _ in range(10)))
