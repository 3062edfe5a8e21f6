"""`meguri region`: the cities on this platform."""

from dataclasses import asdict
from typing import Annotated

import typer

from cli.invocation import invocation_of
from cli.tables import show_table

app = typer.Typer(help="The cities on this platform: make one, list them.", no_args_is_help=True)


@app.command()
def create(
    context: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="2 to 32 of a-z, 0-9 and -, as in komorebi.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="As people read it, as in こもれび市.")],
) -> None:
    """Makes a region with an empty book."""
    from database.clock import SystemClock
    from database.opening import open_database
    from migrations.upgrading import create_region

    invocation = invocation_of(context)
    with open_database(invocation.read_settings(), report=invocation.output.progress) as urls:
        region = create_region(urls, code=code, name=name, now=SystemClock().now())
    invocation.output.show(
        asdict(region), text=f"Made the region {region.code} ({region.name}) with an empty book."
    )


@app.command("list")
def list_(context: typer.Context) -> None:
    """Lists all regions."""
    from currency.regions.queries import read_regions
    from database.days import JAPAN
    from database.opening import open_database

    invocation = invocation_of(context)
    with open_database(invocation.read_settings(), report=invocation.output.progress) as urls:
        regions = read_regions(urls.application)
    if invocation.is_json:
        invocation.output.show([asdict(region) for region in regions], text="")
        return
    show_table(
        columns=("code", "name", "since"),
        rows=[(one.code, one.name, f"{one.created_at.astimezone(JAPAN):%Y-%m-%d}") for one in regions],
        empty="There is no region yet. Make one: meguri region create komorebi --name こもれび市",
    )
