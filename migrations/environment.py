"""What both Alembic environments do: run revisions inside the caller's transaction, in the schema it names."""

from pathlib import Path

from alembic import context, op


def run_revisions() -> None:
    """Runs the revisions that the command asks for on the connection handed over in `config.attributes`."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        version_table_schema=attributes["schema"],
        transactional_ddl=True,
    )
    # No `begin_transaction` of Alembic's that commits: the caller's transaction holds all or nothing.
    with context.begin_transaction():
        context.run_migrations()


def run_sql_beside(revision_file: str) -> None:
    """Executes the `.sql` file that stands beside a revision, as it is."""
    run_sql(Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8"))


def run_sql(sql: str) -> None:
    """Executes SQL as it is: no parameters, so no character has a second meaning."""
    driver_connection = op.get_bind().connection.driver_connection
    if driver_connection is None:
        raise RuntimeError("the connection is closed")
    driver_connection.execute(sql)
