"""Opening programmes and switching their flows: done by the owner's functions, ordered by one person, approved by
another. Everything else about a programme (its name, who may take part) belongs to the domain.
"""

from collections.abc import Iterable
from datetime import datetime

from psycopg import errors

from database.connections import Connection
from database.transactions import run_in_transaction
from ledger.chart import OFF_BY_DEFAULT, flows_of
from ledger.programmes import ProgrammeTerms, TwoPeople
from ledger.refusals import FlowOff, InstructionInvalid, NotFound, SecondPersonNeeded


async def open_programme(
    connection: Connection,
    terms: ProgrammeTerms,
    *,
    people: TwoPeople,
    at: datetime,
    flows: Iterable[str] | None = None,
) -> None:
    """Opens a programme and switches its flows on; None: all that its funding knows but `OFF_BY_DEFAULT`.

    Raises:
        SecondPersonNeeded: the two people are one.
        FlowOff: a flow that this funding does not know.
        InstructionInvalid: the code is taken or of the wrong form, or a number is out of range.
    """
    known = flows_of(terms.funding)
    chosen = tuple(flow for flow in known if flow not in OFF_BY_DEFAULT) if flows is None else tuple(flows)
    for flow in chosen:
        if flow not in known:
            raise FlowOff(flow=flow, programme=terms.code)
    _require_two(people)

    async def work(connection: Connection) -> None:
        await connection.execute(
            "SELECT open_programme(%s, %s, %s::integer, %s, %s::integer, %s::bigint, %s::bigint)",
            [
                terms.code,
                terms.funding.value,
                terms.rank,
                terms.expiry_bucket.value,
                terms.extension_days_max,
                terms.receivable_max,
                terms.risk_max,
            ],
        )
        for flow in chosen:
            await _switch(connection, (terms.code, flow, True, *people, at))

    try:
        await run_in_transaction(connection, work)
    except errors.UniqueViolation as error:
        raise InstructionInvalid(detail=f"The programme {terms.code} exists already.") from error
    except (errors.CheckViolation, errors.NumericValueOutOfRange) as error:
        raise InstructionInvalid(detail=f"A programme can't be opened so: {error.diag.message_primary}.") from error


async def switch_flow(
    connection: Connection, programme: str, flow: str, *, is_on: bool, people: TwoPeople, at: datetime
) -> None:
    """Switches one flow of a programme on or off, from the next batch on in every process.

    Raises:
        SecondPersonNeeded: the two people are one.
        NotFound: no such programme.
        FlowOff: the programme's funding does not know the flow.
    """
    _require_two(people)
    try:
        await run_in_transaction(connection, lambda c: _switch(c, (programme, flow, is_on, *people, at)))
    except errors.NoDataFound as error:
        raise NotFound(what=f"programme {programme}") from error
    except errors.CheckViolation as error:
        raise FlowOff(flow=flow, programme=programme) from error


async def open_or_close_book(connection: Connection, *, is_open: bool, people: TwoPeople, at: datetime) -> None:
    """Closes a region's book to all entries, or opens it again.

    Raises:
        SecondPersonNeeded: the two people are one.
    """
    _require_two(people)

    async def work(connection: Connection) -> None:
        await connection.execute("SELECT open_or_close_book(%s, %s, %s, %s)", [is_open, *people, at])

    await run_in_transaction(connection, work)


async def _switch(connection: Connection, values: tuple[object, ...]) -> None:
    await connection.execute("SELECT switch_flow(%s, %s, %s, %s, %s, %s)", values)


def _require_two(people: TwoPeople) -> None:
    if people.ordered_by == people.approved_by:
        raise SecondPersonNeeded(flow="")
