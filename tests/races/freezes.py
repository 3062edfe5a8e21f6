"""A clearance that reads a table of frozen wallets, as the domain's does."""

from dataclasses import dataclass

from ledger.instructions import Draw
from ledger.refusals import Refusal


class WalletFrozen(Refusal):
    """The wallet is frozen."""

    code = "wallet_frozen_in_tests"


@dataclass(frozen=True)
class FreezeDecider:
    """Refuses whatever draws from a frozen wallet."""

    frozen: frozenset

    def complete(self, instruction):
        return instruction

    def decide(self, instruction, state):
        del state
        wallets = {move.wallet for move in instruction.moves if isinstance(move, Draw)}
        return WalletFrozen() if wallets & self.frozen else None

    def note_settled(self, booked):
        pass


class FreezeClearance:
    """Reads the facts of all waiting instructions in bulk."""

    async def read_facts(self, connection, instructions, at):
        del instructions, at
        cursor = await connection.execute("SELECT wallet FROM frozen_wallet")
        return FreezeDecider(frozenset(row[0] for row in await cursor.fetchall()))


async def make_freeze_table(region):
    async with region.connect(role="owner") as connection:
        await connection.execute("CREATE TABLE frozen_wallet (wallet uuid PRIMARY KEY)")
        await connection.execute("GRANT SELECT, INSERT ON frozen_wallet TO meguri_app")


async def freeze(region, wallet):
    async with region.connect() as connection:
        await connection.execute("INSERT INTO frozen_wallet VALUES (%s)", [wallet])
