"""Marks: an account's counters every 256 transfers."""

from alembic import context

from migrations.environment import run_sql, run_sql_beside

revision = "2026_11_23_marks"
down_revision = "2026_11_23_book"


def upgrade() -> None:
    """Makes the marks of the whole journal, and has every batch add its own."""
    run_sql_beside(__file__)
    role = context.config.attributes["application_role"]
    run_sql(f'GRANT SELECT ON account_mark TO "{role}"')


def downgrade() -> None:
    """Forgets the marks; what they said can be made anew from the journal."""
    run_sql("""
        DROP TRIGGER account_is_marked ON account;
        DROP FUNCTION mark_accounts;
        DROP TABLE account_mark;
    """)
