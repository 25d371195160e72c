"""
The tables that are measured, and what stands in them.

Rows of twelve columns, a bit of everything that rows in use have, and three children a row.
Andamios creates the tables; every other system maps the same ones its own way.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from andamios import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CHILDREN",
    "CHILD_COLUMNS",
    "CITIES",
    "COLUMNS",
    "DATA",
    "ROWS",
    "BenchBase",
    "BenchChild",
    "BenchRow",
    "child_values",
    "plain",
    "row_values",
]

ROWS = 100_000
CHILDREN = 3
"""Children of a row."""

CITIES = ("Lima", "Quito", "La Paz")
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class BenchBase(BaseModel, DeclarativeBase):
    """Tables of their own, apart from those of any other model."""


class BenchRow(BenchBase):
    """Twelve columns."""

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

    children: Mapped[list[BenchChild]] = relationship(back_populates="row")


class BenchChild(BenchBase):
    """What belongs to a row."""

    row_id: Mapped[int] = mapped_column(ForeignKey("bench_row.id"), index=True)
    label: Mapped[str]
    amount: Mapped[int]

    row: Mapped[BenchRow] = relationship(back_populates="children")


COLUMNS = tuple(column.key for column in BenchRow.__table__.columns)
DATA = COLUMNS[1:]
"""What is written; the key comes from the database."""

CHILD_COLUMNS = tuple(column.key for column in BenchChild.__table__.columns)


def row_values(count: int, first: int = 0) -> Iterator[dict[str, Any]]:
    """
    Make rows that are the same in every run.

    Args:
        count: How many.
        first: The number of the first one; equal numbers make equal rows.
    """
    for number in range(first, first + count):
        yield {
            "name": f"Name {number}",
            "email": f"user{number}@example.org",
            "city": CITIES[number % 3],
            "age": number % 90,
            "visits": number * 7,
            "score": number / 3,
            "is_active": number % 2 == 0,
            "seen_at": START + dt.timedelta(minutes=number % 500_000),
            "balance": Decimal(number % 1_000_000) / 100,
            "note": None if number % 4 else f"note {number}",
            "details": {"tags": ["a", "b"], "number": number},
        }


def child_values(row_ids: range) -> Iterator[dict[str, Any]]:
    """Make the children of rows."""
    for row_id in row_ids:
        for place in range(CHILDREN):
            yield {"row_id": row_id, "label": f"child {row_id}.{place}", "amount": row_id * place}


def plain(item: Any, columns: tuple[str, ...] = COLUMNS) -> tuple[Any, ...]:
    """
    Give the values of a row in one form, whatever object a system made of it.

    Drivers differ in what they give for the same value: a text or a moment, a number or a
    Decimal. Equal in meaning is equal here.
    """
    if hasattr(item, "keys"):  # mappings, and the rows of drivers
        return tuple(_plain(column, item[column]) for column in columns)
    if isinstance(item, tuple) and not hasattr(item, columns[0]):
        return tuple(map(_plain, columns, item))
    return tuple(_plain(column, getattr(item, column)) for column in columns)


def _plain(column: str, value: Any) -> Any:
    if column == "seen_at":
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    if column == "balance":
        return Decimal(str(value)).quantize(Decimal("0.0001"))
    if column == "details" and isinstance(value, str | bytes):
        return json.loads(value)
    return bool(value) if column == "is_active" else value
