"""A region, a top-up, a payment, a refund, a hold and its capture: the ledger in one page."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from database.connections import connect
from database.ids import new_id
from database.opening import open_database
from database.settings import read_settings
from ledger.accounts import AccountKey, wallet_lot
from ledger.bookkeeper import Bookkeeper
from ledger.chart import Funding, Kind
from ledger.instructions import (
    AnyMove,
    CaptureHold,
    Destination,
    Draw,
    Instruction,
    Move,
    PlaceHold,
    Refund,
    fingerprint,
)
from ledger.programme_commands import open_programme
from ledger.programmes import ProgrammeTerms, TwoPeople
from ledger.refusals import InsufficientFunds
from migrations.upgrading import create_region

SERVER_KEY = b"from a file or the environment!!"
WALLET, BAKERY, CASH_DESK = new_id(), new_id(), new_id()
TREASURER, MAYOR = new_id(), new_id()


def ask(kind: str, move: AnyMove) -> Instruction:
    """An instruction under a new id. The same id and body again would get the first answer again."""
    chosen_id: UUID = new_id()
    mark = fingerprint(SERVER_KEY, caller="readme", route=kind, body=str(move))
    return Instruction(id=chosen_id, kind=kind, caller="readme", fingerprint=mark, moves=(move,))


async def first_steps(url: str) -> None:
    """Books five entries, and is refused once."""
    async with await connect(url, "first-steps") as connection:
        plain_yen = ProgrammeTerms(code="yen", funding=Funding.YEN)
        people = TwoPeople(ordered_by=TREASURER, approved_by=MAYOR)
        await open_programme(connection, plain_yen, people=people, at=datetime.now(UTC))

    async with Bookkeeper(url, "first-steps") as bookkeeper:
        cash = AccountKey(Kind.RESERVE, CASH_DESK, "yen")
        lot = wallet_lot(WALLET, "yen", expires_on=date(2030, 3, 10))
        await bookkeeper.post(ask("top_up", Move("top_up", debit=cash, credit=lot, amount=5_000)))

        at_the_bakery = Destination(Kind.TAKINGS, BAKERY)
        bread = ask("payment", Draw("payment", WALLET, amount=1_200, credit=at_the_bakery))
        paid = await bookkeeper.post(bread)
        again = await bookkeeper.post(bread)  # a till that lost its network asks again
        print(f"paid: entry {paid.entry.seq}; asked again: entry {again.entry.seq}, replay: {again.is_replay}")

        await bookkeeper.post(ask("refund", Refund(original=bread.id, amount=200)))

        cake = Draw("payment", WALLET, amount=3_000, credit=at_the_bakery)
        order = ask("hold", PlaceHold(cake, expires_at=datetime.now(UTC) + timedelta(days=3)))
        await bookkeeper.post(order)
        try:
            await bookkeeper.post(ask("payment", Draw("payment", WALLET, amount=2_000, credit=at_the_bakery)))
        except InsufficientFunds as refusal:
            print(refusal)
        await bookkeeper.post(ask("capture", CaptureHold(order.id, amount=2_800)))
    print(f"now: ./meguri ledger statement --region first-steps --account {WALLET}")


if __name__ == "__main__":
    with open_database(read_settings()) as urls:
        create_region(urls, code="first-steps", name="はじめの町", now=datetime.now(UTC))
        asyncio.run(first_steps(urls.application))
