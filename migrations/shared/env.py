"""Alembic's entry to the revisions of the shared schema."""

from migrations.environment import run_revisions

run_revisions()
