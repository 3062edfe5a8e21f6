"""Marks: an account's counters every 256 transfers."""

from alembic import context

from migrations.environment import run_sql, run_sql_beside

revision = "2026_11_23_marks"
down_revision = "2026_11_23_book"


def upgrade() -> None:
    """Makes the marks of the whole journal, and has posting write the next ones."""
    run_sql_beside(__file__)
    role = context.config.attributes["application_role"]
    run_sql(f'GRANT SELECT ON account_mark TO "{role}"')


def downgrade() -> None:
    """Posts without marks again; what they said can be made anew from the journal."""
    run_sql(POST_ACCOUNTS_WITHOUT_MARKS)
    run_sql("DROP TABLE account_mark")


POST_ACCOUNTS_WITHOUT_MARKS = """
CREATE OR REPLACE FUNCTION post_accounts(first bigint, last bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- One update an account a batch: what is only so inside a batch can't trip a CHECK.
    UPDATE account a SET
        debits = a.debits + m.debits, credits = a.credits + m.credits, held = a.held + m.held,
        transfers = a.transfers + m.transfers
    FROM (
        SELECT account, sum(debit)::bigint AS debits, sum(credit)::bigint AS credits, sum(held)::bigint AS held,
               sum(transfer)::bigint AS transfers
        FROM (
            SELECT debit_account AS account, amount AS debit, 0 AS credit, 0 AS held, 1 AS transfer
                FROM transfer WHERE seq BETWEEN first AND last
            UNION ALL
            SELECT credit_account, 0, amount, 0, 1 FROM transfer WHERE seq BETWEEN first AND last
            UNION ALL
            SELECT account, 0, 0, CASE movement WHEN 'placed' THEN amount ELSE -amount END, 0
                FROM hold_movement WHERE seq BETWEEN first AND last
        ) line GROUP BY account
    ) m
    WHERE a.id = m.account;
END $$;
"""
