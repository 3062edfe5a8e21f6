"""Regions: which cities there are."""

from alembic import context

from migrations.environment import run_sql, run_sql_beside

revision = "2026_11_23_regions"
down_revision = None


def upgrade() -> None:
    """Makes the table of regions."""
    run_sql_beside(__file__)
    role = context.config.attributes["application_role"]
    run_sql(f'GRANT USAGE ON SCHEMA meguri TO "{role}"; GRANT SELECT ON meguri.region TO "{role}";')


def downgrade() -> None:
    """Drops the table; PostgreSQL refuses nothing here, so a region that exists is a refusal of ours."""
    run_sql(
        """DO $$ BEGIN
            IF EXISTS (SELECT FROM meguri.region) THEN
                RAISE EXCEPTION 'regions exist: this revision can''t be taken back';
            END IF;
        END $$;
        DROP TABLE meguri.region;""",
    )
