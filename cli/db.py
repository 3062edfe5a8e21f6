"""`meguri db`: the embedded database as an operator handles it; started, kept, copied, restored."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.invocation import invocation_of

if TYPE_CHECKING:
    from database.embedded.administration import ServerStatus
    from database.urls import DatabaseUrls
    from migrations.upgrading import Upgrade

app = typer.Typer(help="The embedded database: start, stop, back up, restore.", no_args_is_help=True)

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


def check_restored_books(urls: "DatabaseUrls") -> None:
    """Must pass before restored data is offered: the database answers, and every region's book is proven.

    A backup may be older than this program, so its schemas are brought to the newest revision first.
    """
    from cli.ledger import verify_all_regions
    from database.opening import check_answers
    from migrations.upgrading import require_upgraded

    check_answers(urls)
    require_upgraded(urls)
    verify_all_regions(urls)


@app.command()
def upgrade(context: typer.Context) -> None:
    """Brings every region to the newest schema. One that fails stays as it was; the others go on."""
    from database.opening import open_database
    from migrations.upgrading import upgrade_all

    invocation = invocation_of(context)
    with open_database(invocation.read_settings(), report=invocation.output.progress) as urls:
        upgrades = []
        for one in upgrade_all(urls):
            upgrades.append(one)
            if not invocation.is_json:
                invocation.output.show({}, text=_words_of_upgrade(one))
    if invocation.is_json:
        invocation.output.show([asdict(one) for one in upgrades], text="")
    if any(one.error for one in upgrades):
        raise typer.Exit(1)


@app.command()
def start(context: typer.Context) -> None:
    """Starts the database and keeps it running until `db stop`."""
    from database.embedded.administration import keep_running, read_status
    from database.embedded.sharing import join, warn_without_ballast

    invocation = invocation_of(context)
    settings = invocation.read_settings()
    refuse_external(settings.database_url)
    with join(settings.data_dir, report=invocation.output.progress) as server:
        keep_running(server)
        warn_without_ballast(server, invocation.output.progress)
    status = read_status(settings.data_dir)
    invocation.output.show(asdict(status), text=f"The database runs and stays ({status.data_dir}).")


@app.command()
def stop(context: typer.Context) -> None:
    """Stops the database: now, or after the last command that uses it."""
    from database.embedded.administration import StopOutcome, stop_when_unused

    invocation = invocation_of(context)
    settings = invocation.read_settings()
    refuse_external(settings.database_url)
    outcome = stop_when_unused(settings.data_dir)
    words = {
        StopOutcome.STOPPED: "The database has stopped.",
        StopOutcome.WAS_NOT_RUNNING: "The database was not running.",
        StopOutcome.IN_USE: "Other commands use the database; it stops after the last of them.",
    }
    invocation.output.show({"outcome": outcome, "data_dir": settings.data_dir}, text=words[outcome])


@app.command()
def status(context: typer.Context) -> None:
    """Shows how the database is. Starts nothing."""
    from database.embedded.administration import read_status

    invocation = invocation_of(context)
    settings = invocation.read_settings()
    refuse_external(settings.database_url)
    found = read_status(settings.data_dir)
    invocation.output.show_facts(asdict(found), _words_of(found))


@app.command()
def url(
    context: typer.Context,
    *,
    owner: Annotated[bool, typer.Option("--owner", help="The owner's role, for migrations.")] = False,
) -> None:
    """Prints the running database's address, for psql and other tools."""
    from database.embedded.administration import find_server

    invocation = invocation_of(context)
    settings = invocation.read_settings()
    if settings.database_url is not None:
        address = settings.database_owner_url if owner else settings.database_url
    else:
        urls = find_server(settings.data_dir).urls()
        address = urls.owner if owner else urls.application
    invocation.output.show({"url": address}, text=str(address))


@app.command()
def backup(context: typer.Context, file: BackupFile) -> None:
    """Copies the whole database into FILE while it goes on working, and proves the copy."""
    from database.backup import back_up

    invocation = invocation_of(context)
    made = back_up(invocation.read_settings(), file, report=invocation.output.progress)
    invocation.output.show(
        asdict(made), text=f"Backed up to {made.file} ({made.bytes:,} bytes), read again and whole."
    )


@app.command()
def restore(
    context: typer.Context,
    file: BackupFile,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="A new folder; else the data folder, if it is empty.")
    ] = None,
) -> None:
    """Restores FILE into a new data folder, after its books have been checked."""
    from database.backup import restore_backup

    invocation = invocation_of(context)
    target = to.absolute() if to is not None else invocation.read_settings().data_dir
    restore_backup(file, target, check_restored_books, report=invocation.output.progress)
    invocation.output.show({"data_dir": target}, text=f"Restored and checked. Use it with --data-dir {target}")


def refuse_external(database_url: str | None) -> None:
    """Refuses to handle a server of the operator's own as if it were the embedded one."""
    from database.refusals import NotTheEmbeddedServer

    if database_url is not None:
        raise NotTheEmbeddedServer(
            "DATABASE_URL names a PostgreSQL server of your own.",
            next_step="Handle it with its own means, or unset DATABASE_URL and DATABASE_OWNER_URL.",
        )


def _words_of_upgrade(upgrade: "Upgrade") -> str:
    if upgrade.error:
        return f"✗ {upgrade.schema}: stays at {upgrade.before}. {upgrade.error}"
    if upgrade.before == upgrade.after:
        return f"✓ {upgrade.schema}: at {upgrade.after} already"
    return f"✓ {upgrade.schema}: {upgrade.before or 'new'} → {upgrade.after}"


def _words_of(found: "ServerStatus") -> list[tuple[str, str]]:
    reserve = "in place" if found.has_ballast else "missing: the disk was or is nearly full"
    return [
        ("data folder", str(found.data_dir)),
        ("database", "made" if found.exists else "not made yet; the first command that needs it makes it"),
        ("running", f"yes, process {found.pid}" if found.is_running else "no"),
        ("stays when unused", "yes, until `meguri db stop`" if found.is_kept else "no"),
        ("in use now", "yes" if found.is_in_use else "no"),
        ("reserve for a full disk", reserve if found.exists else "-"),
    ]
