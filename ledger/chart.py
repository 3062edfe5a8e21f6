"""The chart of accounts: which kinds exist, and which flow may move value from where to where.

This is the one table. The migration writes it into the database as a CHECK (a test holds the two together), so
what is not written here can't be booked, by nobody. There is no flow from a wallet to its holder's bank but the
two named exits, `top_up_cancel` and `lawful_return`; a breadth-first search in the tests proves it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """What an account holds."""

    RESERVE = "reserve"
    GRANT = "grant"
    RECEIVABLE = "receivable"
    RISK = "risk"
    POT = "pot"
    WALLET = "wallet"
    TAKINGS = "takings"
    FLOAT = "float"
    PAYOUT = "payout"
    FEE = "fee"
    EXPIRED = "expired"
    SUSPENSE = "suspense"
    DIFFERENCE = "difference"


ASSETS: Final = frozenset({Kind.RESERVE, Kind.GRANT, Kind.RECEIVABLE, Kind.RISK})
# `difference` may stand on either side, so it is in neither set.
LIABILITIES: Final = frozenset(Kind) - ASSETS - {Kind.DIFFERENCE}
# Assets that may only be used up to a ceiling, and never fall below nothing.
CEILINGED: Final = frozenset({Kind.RECEIVABLE, Kind.RISK})


class Funding(StrEnum):
    """Whose yen stand behind a programme: the residents' (yen) or the city's (grant), never both."""

    YEN = "yen"
    GRANT = "grant"


# The kind that a funding knows nothing of: what residents paid in is never mixed with what the city committed.
FOREIGN_KIND: Final[Mapping[Funding, Kind]] = MappingProxyType(
    {Funding.YEN: Kind.GRANT, Funding.GRANT: Kind.RESERVE}
)
BOTH: Final = frozenset(Funding)
YEN: Final = frozenset({Funding.YEN})
GRANT: Final = frozenset({Funding.GRANT})


@dataclass(frozen=True, slots=True)
class Flow:
    """One way in which value may move.

    Attributes:
        name: stable snake_case name.
        pairs: the (debit kind, credit kind) it may connect.
        fundings: in which programmes it may be switched on at all.
        needs_two_people: whether an entry with it names who ordered and, another, who approved.
        undoes: the flows that this one mirrors; then every transfer names the transfer that it undoes.
    """

    name: str
    pairs: tuple[tuple[Kind, Kind], ...]
    fundings: frozenset[Funding] = BOTH
    needs_two_people: bool = False
    undoes: tuple[str, ...] = ()

    def allows(self, funding: Funding, debit: Kind, credit: Kind) -> bool:
        """Whether a transfer of a programme so funded may debit and credit these kinds."""
        foreign = FOREIGN_KIND[funding]
        return (
            funding in self.fundings
            and (debit, credit) in self.pairs
            and debit is not foreign
            and credit is not foreign
        )


_TABLE: Final = (
    # Value in.
    Flow("top_up", ((Kind.RESERVE, Kind.WALLET),), YEN),
    Flow("float_buy", ((Kind.RESERVE, Kind.FLOAT),), YEN),
    Flow("float_sell", ((Kind.FLOAT, Kind.WALLET),), YEN),
    Flow("float_back", ((Kind.FLOAT, Kind.RESERVE),), YEN, needs_two_people=True),
    Flow("sell_codes", ((Kind.RESERVE, Kind.POT),), YEN),
    Flow("redeem", ((Kind.POT, Kind.WALLET),), YEN),
    Flow("codes_back", ((Kind.POT, Kind.RESERVE),), YEN),
    Flow("codes_expire", ((Kind.POT, Kind.EXPIRED),), YEN),
    Flow("fund", ((Kind.GRANT, Kind.POT),), GRANT),
    Flow("unfund", ((Kind.POT, Kind.GRANT),), GRANT),
    # Giving.
    Flow("bonus", ((Kind.POT, Kind.WALLET),), GRANT),
    Flow("bonus_back", ((Kind.WALLET, Kind.POT),), GRANT, undoes=("bonus",)),
    Flow("benefit", ((Kind.POT, Kind.WALLET),), GRANT),
    Flow("benefit_back", ((Kind.WALLET, Kind.POT),), GRANT, needs_two_people=True, undoes=("benefit",)),
    # Circulation.
    Flow("payment", ((Kind.WALLET, Kind.TAKINGS),)),
    Flow("refund", ((Kind.TAKINGS, Kind.WALLET),), undoes=("payment",)),
    Flow("gift", ((Kind.WALLET, Kind.WALLET),)),
    Flow("gift_back", ((Kind.WALLET, Kind.WALLET),), needs_two_people=True, undoes=("gift",)),
    Flow("supply", ((Kind.TAKINGS, Kind.TAKINGS),)),
    Flow("supply_back", ((Kind.TAKINGS, Kind.TAKINGS),), needs_two_people=True, undoes=("supply",)),
    Flow("donate", ((Kind.TAKINGS, Kind.TAKINGS),)),
    Flow("succession", ((Kind.WALLET, Kind.WALLET), (Kind.TAKINGS, Kind.TAKINGS)), needs_two_people=True),
    # Refund after settlement.
    Flow("refund_advance", ((Kind.RECEIVABLE, Kind.WALLET),), undoes=("payment",)),
    Flow("recover", ((Kind.TAKINGS, Kind.RECEIVABLE),)),
    Flow("collect", ((Kind.RESERVE, Kind.RECEIVABLE), (Kind.GRANT, Kind.RECEIVABLE))),
    # To merchants' banks.
    Flow("settle", ((Kind.TAKINGS, Kind.PAYOUT),)),
    Flow("payout_failed", ((Kind.PAYOUT, Kind.TAKINGS),), undoes=("settle",)),
    Flow("fee", ((Kind.TAKINGS, Kind.FEE),)),
    Flow("fee_back", ((Kind.FEE, Kind.TAKINGS),), needs_two_people=True, undoes=("fee",)),
    Flow("paid_out", ((Kind.PAYOUT, Kind.RESERVE), (Kind.PAYOUT, Kind.GRANT))),
    Flow("paid_back", ((Kind.RESERVE, Kind.PAYOUT), (Kind.GRANT, Kind.PAYOUT)), undoes=("paid_out",)),
    Flow("fee_out", ((Kind.FEE, Kind.RESERVE), (Kind.FEE, Kind.GRANT))),
    # End of value.
    Flow("expire", ((Kind.WALLET, Kind.EXPIRED),)),
    Flow("expire_back", ((Kind.EXPIRED, Kind.WALLET),), needs_two_people=True, undoes=("expire",)),
    Flow("release", ((Kind.EXPIRED, Kind.RESERVE), (Kind.EXPIRED, Kind.GRANT))),
    # Offline.
    Flow("overlap", ((Kind.RISK, Kind.TAKINGS),)),
    Flow("overlap_back", ((Kind.WALLET, Kind.RISK),)),
    Flow("overlap_covered", ((Kind.RESERVE, Kind.RISK), (Kind.GRANT, Kind.RISK))),
    # Money nobody claims yet.
    Flow("unmatched", ((Kind.RESERVE, Kind.SUSPENSE),), YEN),
    Flow("matched", ((Kind.SUSPENSE, Kind.WALLET),), YEN),
    Flow("sent_back", ((Kind.SUSPENSE, Kind.RESERVE),), YEN),
    # Cash and bank counts.
    Flow(
        "difference",
        (
            (Kind.RESERVE, Kind.DIFFERENCE),
            (Kind.DIFFERENCE, Kind.RESERVE),
            (Kind.GRANT, Kind.DIFFERENCE),
            (Kind.DIFFERENCE, Kind.GRANT),
        ),
    ),
    # The exits.
    Flow("top_up_cancel", ((Kind.WALLET, Kind.RESERVE),), YEN, undoes=("top_up", "float_sell")),
    Flow("lawful_return", ((Kind.WALLET, Kind.RESERVE),), YEN, needs_two_people=True),
)

FLOWS: Final[Mapping[str, Flow]] = MappingProxyType({flow.name: flow for flow in _TABLE})

# Off until two people switch it on for a programme (the law allows it in narrow cases only).
OFF_BY_DEFAULT: Final = frozenset({"lawful_return"})


def flows_of(funding: Funding) -> tuple[str, ...]:
    """The names of all flows that a programme so funded may switch on, in the chart's order."""
    return tuple(name for name, flow in FLOWS.items() if funding in flow.fundings)
