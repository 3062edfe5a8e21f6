"""The table of regions, in the shared schema."""

from datetime import datetime

from sqlalchemy import DateTime, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "meguri"


class SharedTable(DeclarativeBase):
    """What all tables of the shared schema have in common."""


class RegionRow(SharedTable):
    """One city's currency."""

    __tablename__ = "region"
    __table_args__ = {"schema": SCHEMA}  # noqa: RUF012 - SQLAlchemy's own form

    code: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
