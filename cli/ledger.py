"""`meguri ledger`: the books as an auditor reads them: proven, summed up, line by line."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.invocation import Invocation, invocation_of
from cli.tables import progress_bar, show_table

if TYPE_CHECKING:
    from database.urls import DatabaseUrls
    from ledger.accounts import AccountKey
    from ledger.statements import Balance, StatementLine
    from ledger.trial_balance import TrialBalance
    from ledger.verify import Verification

Result = TypeVar("Result")

app = typer.Typer(help="The books: verify, trial-balance, statement.", no_args_is_help=True)

RegionOption = Annotated[
    str | None, typer.Option("--region", metavar="R", help="The region's code; may be left out if there is one.")
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="WHEN", help="An entry's number, a day, or an instant such as 2026-11-23T09:00+09:00."
    ),
]

EXIT_FINDINGS = 1


@app.command()
def verify(context: typer.Context, region: RegionOption = None) -> None:
    """Proves the books: chain, counters, lots, holds, limits, flows, backing. Without --region: all of them."""
    invocation = invocation_of(context)
    with _database(invocation) as urls:
        codes = [region] if region else _region_codes(urls)
        found = [_verify(urls, code, invocation) for code in codes]
    documents = [{**asdict(one), "is_clean": one.is_clean} for one in found]
    text = "\n".join(_words_of_verification(one) for one in found) or "There is no region yet: nothing to verify."
    if all(one.is_clean for one in found):
        invocation.output.show(documents[0] if region else documents, text=text)
        return
    invocation.output.show({**_problem_of(found), "regions": documents}, text=text)
    raise typer.Exit(EXIT_FINDINGS)


@app.command("trial-balance")
def trial_balance(context: typer.Context, region: RegionOption = None, as_of: AsOfOption = None) -> None:
    """Shows what every kind of account holds, per programme, and that both sides agree."""
    from ledger.trial_balance import read_trial_balances

    async def read(connection: Any) -> list["TrialBalance"]:
        return await read_trial_balances(connection, as_of=await _seq_of(connection, as_of))

    invocation = invocation_of(context)
    with _database(invocation) as urls:
        balances = _read(urls, _one_region(urls, region), read)
    documents = [_trial_balance_document(balance) for balance in balances]
    if invocation.is_json or not balances:
        invocation.output.show(documents, text="The region has no programme yet.")
    for balance in balances if not invocation.is_json else ():
        _show_trial_balance(balance)


@app.command()
def statement(
    context: typer.Context,
    account: Annotated[
        str, typer.Option("--account", metavar="ID", help="An account's number, or its holder's UUID: all of his.")
    ],
    region: RegionOption = None,
    as_of: AsOfOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="Lines an account.")] = 50,
) -> None:
    """Shows an account's transfers, newest first, with the balance after each."""
    from ledger.statements import find_accounts, get_balance, list_statement

    async def read(connection: Any) -> list[tuple["Balance", list["StatementLine"]]]:
        seq = await _seq_of(connection, as_of)
        return [
            (
                await get_balance(connection, number, as_of=seq),
                await list_statement(connection, number, limit=limit, as_of=seq),
            )
            for number in await find_accounts(connection, _account_or_holder(account))
        ]

    invocation = invocation_of(context)
    with _database(invocation) as urls:
        statements = _read(urls, _one_region(urls, region), read)
    if invocation.is_json:
        documents = [_statement_document(balance, lines) for balance, lines in statements]
        invocation.output.show(documents, text="")
        return
    for balance, lines in statements:
        _show_statement(balance, lines)


def verify_all_regions(urls: "DatabaseUrls") -> None:
    """Verifies every region's book.

    Raises:
        BookNotClean: one of them does not hold.
    """
    from ledger.verify import BookNotClean, verify_book

    for code in _region_codes(urls):
        verification = _read(urls, code, verify_book)
        if not verification.is_clean:
            first = verification.findings[0]
            raise BookNotClean(region=code, row=first.row, says=first.says)


def _verify(urls: "DatabaseUrls", code: str, invocation: Invocation) -> "Verification":
    from ledger.verify import verify_book

    with progress_bar(f"verifying {code}", is_shown=not invocation.is_json) as advance:
        return _read(urls, code, lambda connection: verify_book(connection, report_progress=advance))


def _database(invocation: Invocation) -> Any:
    from database.embedded.administration import require_made
    from database.opening import open_database

    settings = invocation.read_settings()
    require_made(settings)
    return open_database(settings, report=invocation.output.progress)


def _region_codes(urls: "DatabaseUrls") -> list[str]:
    from currency.regions.queries import read_regions

    return [region.code for region in read_regions(urls.application)]


def _one_region(urls: "DatabaseUrls", region: str | None) -> str:
    if region:
        return region
    codes = _region_codes(urls)
    if len(codes) != 1:
        named = ", ".join(codes) or "none yet: meguri region create komorebi --name こもれび市"
        raise typer.BadParameter(f"name one of the regions ({named})", param_hint="--region")
    return codes[0]


def _read(urls: "DatabaseUrls", region: str, work: Callable[[Any], Awaitable[Result]]) -> Result:
    import asyncio

    from database.connections import connect
    from migrations.upgrading import require_newest

    require_newest(urls, region)

    async def run() -> Result:
        async with await connect(urls.application, region) as connection:
            return await work(connection)

    return asyncio.run(run())


async def _seq_of(connection: Any, as_of: str | None) -> int | None:
    from contextlib import suppress
    from datetime import date, datetime, timedelta

    from database.days import end_of_day
    from ledger.statements import find_seq_at, require_seq

    if as_of is None:
        return None
    if as_of.isascii() and as_of.isdigit():
        return await require_seq(connection, int(as_of))
    with suppress(ValueError):
        # A day's end is the last instant before the next day begins.
        return await find_seq_at(connection, end_of_day(date.fromisoformat(as_of)) - timedelta(microseconds=1))
    with suppress(ValueError):
        instant = datetime.fromisoformat(as_of)
        if instant.tzinfo is not None:
            return await find_seq_at(connection, instant)
    raise typer.BadParameter(
        "an entry's number, a day such as 2026-11-23 (its end in Japan), or an instant with its offset such as "
        "2026-11-23T09:00+09:00",
        param_hint="--as-of",
    )


def _account_or_holder(text: str) -> Any:
    from uuid import UUID

    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter("an account's number or a holder's UUID", param_hint="--account") from None


def _problem_of(found: list["Verification"]) -> dict[str, Any]:
    from cli.problems import find_problem
    from ledger.verify import BookNotClean

    bad = next(one for one in found if not one.is_clean)
    problem = find_problem(BookNotClean(region=bad.region, row=bad.findings[0].row, says=bad.findings[0].says))
    return problem.document() if problem else {}


def _words_of_verification(found: "Verification") -> str:
    if found.is_clean:
        proven = "Chain, counters, lots, holds, limits, flows and backing hold."
        return f"✓ {found.region}: {found.entries:,} entries. {proven}"
    lines = [
        f"✗ {found.region}: {found.entries:,} entries, {len(found.findings)} findings. The first bad row first:"
    ]
    return "\n".join([*lines, *(f"    {one.row}: {one.says}" for one in found.findings)])


def _key_words(key: "AccountKey") -> str:
    from ledger.accounts import NOBODY

    parts = [key.kind.value, key.programme]
    if key.holder != NOBODY:
        parts.append(str(key.holder))
    if key.expires_on:
        parts.append(f"until {key.expires_on}" + (" (grace)" if key.grace else ""))
    return " ".join(parts)


def _counterpart_words(key: "AccountKey") -> str:
    """The other account in one line: its programme is the statement's, its holder known by the end of his id."""
    from ledger.accounts import NOBODY

    holder = "" if key.holder == NOBODY else f" …{key.holder.hex[-8:]}"
    until = f" until {key.expires_on}" if key.expires_on else ""
    return f"{key.kind.value}{holder}{until}{' (grace)' if key.grace else ''}"


def _trial_balance_document(balance: "TrialBalance") -> dict[str, Any]:
    return {
        "programme": balance.programme,
        "seq": balance.seq,
        "assets": balance.assets,
        "liabilities": balance.liabilities,
        "difference": balance.difference,
        "is_balanced": balance.is_balanced,
        "lines": [{**asdict(line), "balance": line.balance} for line in balance.lines],
    }


def _show_trial_balance(balance: "TrialBalance") -> None:
    from ledger.chart import ASSETS

    rows = [
        (
            line.kind.value,
            f"{line.accounts:,}",
            f"{line.balance:,}" if line.kind in ASSETS else "",
            "" if line.kind in ASSETS else f"{line.balance:,}",
            f"{line.held:,}" if line.held else "",
        )
        for line in balance.lines
    ]
    total = ("total", "", f"{balance.assets:,}", f"{balance.liabilities + balance.difference:,}", "")
    verdict = "both sides agree" if balance.is_balanced else "THE SIDES DO NOT AGREE"
    show_table(
        title=f"{balance.programme}, after entry {balance.seq:,}: {verdict}",
        columns=("kind", "accounts", "assets ¥", "liabilities ¥", "held ¥"),
        rows=[*rows, total],
        figures=frozenset({1, 2, 3, 4}),
        has_total=True,
        empty="",
    )


def _statement_document(balance: "Balance", lines: list["StatementLine"]) -> dict[str, Any]:
    return {
        "account": balance.account,
        **balance.key._asdict(),
        "seq": balance.seq,
        "balance": balance.balance,
        "held": balance.held,
        "lines": [{**asdict(line), "counterpart": line.counterpart._asdict()} for line in lines],
    }


def _show_statement(balance: "Balance", lines: list["StatementLine"]) -> None:
    from database.days import JAPAN

    held = f", {balance.held:,} of it held" if balance.held else ""
    show_table(
        title=f"account {balance.account}: {_key_words(balance.key)}\nafter entry {balance.seq:,}: "
        f"¥{balance.balance:,}{held}",
        columns=("entry", "when (Japan)", "flow", "amount ¥", "balance ¥", "other account"),
        rows=[
            (
                f"{line.seq:,}.{line.line}",
                f"{line.at.astimezone(JAPAN):%Y-%m-%d %H:%M:%S}",
                line.flow,
                f"{line.amount:+,}",
                f"{line.balance:,}",
                _counterpart_words(line.counterpart),
            )
            for line in lines
        ],
        figures=frozenset({0, 3, 4}),
        empty="Nothing was booked on it yet.",
    )
