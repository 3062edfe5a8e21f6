"""The chart of accounts: which kinds exist, and which flow may move value from where to where.

This is the one table. The migration writes it into the database as a CHECK (a test holds the two together), so
what is not written here can't be booked, by nobody. There is no flow from a wallet to its holder's bank but the
two named exits, `top_up_cancel` and `lawful_return`; a breadth-first search in the tests proves it.
"""

from collections.abc import Iterator, Mapping
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


def _flows() -> Iterator[Flow]:
    k = Kind
    # Value in.
    yield Flow("top_up", ((k.RESERVE, k.WALLET),), YEN)
    yield Flow("float_buy", ((k.RESERVE, k.FLOAT),), YEN)
    yield Flow("float_sell", ((k.FLOAT, k.WALLET),), YEN)
    yield Flow("float_back", ((k.FLOAT, k.RESERVE),), YEN, needs_two_people=True)
    yield Flow("sell_codes", ((k.RESERVE, k.POT),), YEN)
    yield Flow("redeem", ((k.POT, k.WALLET),), YEN)
    yield Flow("codes_back", ((k.POT, k.RESERVE),), YEN)
    yield Flow("codes_expire", ((k.POT, k.EXPIRED),), YEN)
    yield Flow("fund", ((k.GRANT, k.POT),), GRANT)
    yield Flow("unfund", ((k.POT, k.GRANT),), GRANT)
    # Giving.
    yield Flow("bonus", ((k.POT, k.WALLET),), GRANT)
    yield Flow("bonus_back", ((k.WALLET, k.POT),), GRANT, undoes=("bonus",))
    yield Flow("benefit", ((k.POT, k.WALLET),), GRANT)
    yield Flow("benefit_back", ((k.WALLET, k.POT),), GRANT, needs_two_people=True, undoes=("benefit",))
    # Circulation.
    yield Flow("payment", ((k.WALLET, k.TAKINGS),))
    yield Flow("refund", ((k.TAKINGS, k.WALLET),), undoes=("payment",))
    yield Flow("gift", ((k.WALLET, k.WALLET),))
    yield Flow("gift_back", ((k.WALLET, k.WALLET),), needs_two_people=True, undoes=("gift",))
    yield Flow("supply", ((k.TAKINGS, k.TAKINGS),))
    yield Flow("supply_back", ((k.TAKINGS, k.TAKINGS),), needs_two_people=True, undoes=("supply",))
    yield Flow("donate", ((k.TAKINGS, k.TAKINGS),))
    yield Flow("succession", ((k.WALLET, k.WALLET), (k.TAKINGS, k.TAKINGS)), needs_two_people=True)
    # Refund after settlement.
    yield Flow("refund_advance", ((k.RECEIVABLE, k.WALLET),), undoes=("payment",))
    yield Flow("recover", ((k.TAKINGS, k.RECEIVABLE),))
    yield Flow("collect", ((k.RESERVE, k.RECEIVABLE), (k.GRANT, k.RECEIVABLE)))
    # To merchants' banks.
    yield Flow("settle", ((k.TAKINGS, k.PAYOUT),))
    yield Flow("payout_failed", ((k.PAYOUT, k.TAKINGS),), undoes=("settle",))
    yield Flow("fee", ((k.TAKINGS, k.FEE),))
    yield Flow("fee_back", ((k.FEE, k.TAKINGS),), needs_two_people=True, undoes=("fee",))
    yield Flow("paid_out", ((k.PAYOUT, k.RESERVE), (k.PAYOUT, k.GRANT)))
    yield Flow("paid_back", ((k.RESERVE, k.PAYOUT), (k.GRANT, k.PAYOUT)), undoes=("paid_out",))
    yield Flow("fee_out", ((k.FEE, k.RESERVE), (k.FEE, k.GRANT)))
    # End of value.
    yield Flow("expire", ((k.WALLET, k.EXPIRED),))
    yield Flow("expire_back", ((k.EXPIRED, k.WALLET),), needs_two_people=True, undoes=("expire",))
    yield Flow("release", ((k.EXPIRED, k.RESERVE), (k.EXPIRED, k.GRANT)))
    # Offline.
    yield Flow("overlap", ((k.RISK, k.TAKINGS),))
    yield Flow("overlap_back", ((k.WALLET, k.RISK),))
    yield Flow("overlap_covered", ((k.RESERVE, k.RISK), (k.GRANT, k.RISK)))
    # Money nobody claims yet.
    yield Flow("unmatched", ((k.RESERVE, k.SUSPENSE),), YEN)
    yield Flow("matched", ((k.SUSPENSE, k.WALLET),), YEN)
    yield Flow("sent_back", ((k.SUSPENSE, k.RESERVE),), YEN)
    # Cash and bank counts.
    yield Flow(
        "difference",
        (
            (k.RESERVE, k.DIFFERENCE),
            (k.DIFFERENCE, k.RESERVE),
            (k.GRANT, k.DIFFERENCE),
            (k.DIFFERENCE, k.GRANT),
        ),
    )
    # The exits.
    yield Flow("top_up_cancel", ((k.WALLET, k.RESERVE),), YEN, undoes=("top_up", "float_sell"))
    yield Flow("lawful_return", ((k.WALLET, k.RESERVE),), YEN, needs_two_people=True)


FLOWS: Final[Mapping[str, Flow]] = MappingProxyType({flow.name: flow for flow in _flows()})

# Off until two people switch it on for a programme (the law allows it in narrow cases only).
OFF_BY_DEFAULT: Final = frozenset({"lawful_return"})


def flows_of(funding: Funding) -> tuple[str, ...]:
    """The names of all flows that a programme so funded may switch on, in the chart's order."""
    return tuple(name for name, flow in FLOWS.items() if funding in flow.fundings)
