"""SQLAlchemy engines for what is not hot: migrations, and lists of the shared schema."""

import psycopg
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool


def open_engine(url: str) -> Engine:
    """An engine on a libpq URL that keeps no connection of its own between uses."""
    # libpq reads the URL itself, so that every form it knows is a form we know.
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
