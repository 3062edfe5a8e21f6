"""The book of a region: programmes, accounts, journal, guards, posting, and who may do what."""

from hashlib import sha256

from alembic import context

from migrations.environment import run_sql, run_sql_beside

revision = "2026_11_23_book"
down_revision = None

GRANTS = """
GRANT USAGE ON SCHEMA "{schema}" TO "{role}";
GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO "{role}";
GRANT INSERT ON entry, transfer, hold, hold_movement, limit_count, refused_instruction TO "{role}";
GRANT INSERT (id, holder, ceiling, expires_on, programme, grace, kind) ON account TO "{role}";
GRANT INSERT (id, subject, day, family) ON limit_counter TO "{role}";
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA "{schema}" FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_book, post_batch, switch_flow, open_programme, open_or_close_book TO "{role}";
"""


def upgrade() -> None:
    """Makes the book, empty and open."""
    attributes = context.config.attributes
    run_sql_beside(__file__)
    region = attributes["region"]
    first_hash = sha256(b"meguri book " + region.encode()).hexdigest()
    run_sql(f"INSERT INTO book (region, hash) VALUES ('{region}', '\\x{first_hash}')")
    run_sql(GRANTS.format(schema=attributes["schema"], role=attributes["application_role"]))


def downgrade() -> None:
    """Drops an empty book. History is append-only: one with entries stays."""
    schema = context.config.attributes["schema"]
    run_sql(
        f"""DO $$ BEGIN
            IF (SELECT seq FROM book) > 0 THEN
                RAISE EXCEPTION 'the book has entries: this revision can''t be taken back';
            END IF;
        END $$;
        DO $$
        DECLARE made text;
        BEGIN
            FOREACH made IN ARRAY (
                SELECT array_agg(oid::regprocedure::text) FROM pg_proc
                WHERE pronamespace = '"{schema}"'::regnamespace
            ) LOOP
                EXECUTE 'DROP FUNCTION IF EXISTS ' || made || ' CASCADE';
            END LOOP;
        END $$;
        DROP TABLE refused_instruction, limit_count, limit_counter, hold_line, hold_movement, hold, undone,
            transfer, entry, account, programme_flow_change, programme_flow, programme, checkpoint,
            book_change, book;""",
    )
