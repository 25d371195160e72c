"""The tables as plain SQLAlchemy maps them, with the types that its documentation shows."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  SQLAlchemy reads the annotations
from decimal import Decimal  # noqa: TC003
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Double, ForeignKey, Numeric, String
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = ["DETAILS", "MOMENT", "Child", "ChildColumns", "Row", "RowColumns"]

DETAILS = JSON().with_variant(JSONB(), "postgresql")
MOMENT = DateTime(timezone=True).with_variant(DATETIME(fsp=6), "mysql")


class RowColumns:
    """Twelve columns."""

    __tablename__ = "bench_row"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    email: Mapped[str] = mapped_column(String(255), unique=True)
    city: Mapped[str] = mapped_column(String(255))
    age: Mapped[int] = mapped_column(BigInteger)
    visits: Mapped[int] = mapped_column(BigInteger)
    score: Mapped[float] = mapped_column(Double)
    is_active: Mapped[bool]
    seen_at: Mapped[dt.datetime] = mapped_column(MOMENT)
    balance: Mapped[Decimal] = mapped_column(Numeric(15, 4))
    note: Mapped[str | None] = mapped_column(String(255))
    details: Mapped[dict[str, Any]] = mapped_column(DETAILS)


class ChildColumns:
    """What belongs to a row."""

    __tablename__ = "bench_child"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    row_id: Mapped[int] = mapped_column(ForeignKey("bench_row.id"), index=True)
    label: Mapped[str] = mapped_column(String(255))
    amount: Mapped[int] = mapped_column(BigInteger)


class Base(DeclarativeBase):
    """Plain SQLAlchemy."""


class Row(RowColumns, Base):
    """Twelve columns."""

    children: Mapped[list[Child]] = relationship(back_populates="row")


class Child(ChildColumns, Base):
    """What belongs to a row."""

    row: Mapped[Row] = relationship(back_populates="children")
