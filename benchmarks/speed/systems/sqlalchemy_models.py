"""The tables as plain SQLAlchemy maps them, with the types that its documentation shows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Double, ForeignKey, Numeric, String
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = ["Child", "Row"]


class Base(DeclarativeBase):
    """Plain SQLAlchemy."""

    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's way
        int: BigInteger(),
        str: String(255),
        float: Double(),
        dt.datetime: DateTime(timezone=True).with_variant(DATETIME(fsp=6), "mysql"),
        Decimal: Numeric(15, 4),
        dict[str, Any]: JSON().with_variant(JSONB(), "postgresql"),
    }


class Row(Base):
    """Twelve columns."""

    __tablename__ = "bench_row"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    city: Mapped[str]
    age: Mapped[int]
    visits: Mapped[int]
    score: Mapped[float]
    is_active: Mapped[bool]
    seen_at: Mapped[dt.datetime]
    balance: Mapped[Decimal]
    note: Mapped[str | None]
    details: Mapped[dict[str, Any]]

    children: Mapped[list[Child]] = relationship(back_populates="row")


class Child(Base):
    """What belongs to a row."""

    __tablename__ = "bench_child"

    id: Mapped[int] = mapped_column(primary_key=True)
    row_id: Mapped[int] = mapped_column(ForeignKey("bench_row.id"), index=True)
    label: Mapped[str]
    amount: Mapped[int]

    row: Mapped[Row] = relationship(back_populates="children")
