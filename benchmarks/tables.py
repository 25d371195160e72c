"""The table that is measured: a bit of everything that rows in use have."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Mapped

from andamios import BaseModel


class BenchRow(BaseModel):
    """Twelve columns."""

    name: Mapped[str]
    email: Mapped[str]
    city: Mapped[str]
    age: Mapped[int]
    visits: Mapped[int]
    score: Mapped[float]
    is_active: Mapped[bool]
    seen_at: Mapped[dt.datetime]
    balance: Mapped[Decimal]
    note: Mapped[str | None]
    details: Mapped[dict[str, Any]]


def make_rows(count: int) -> Iterator[dict[str, Any]]:
    """Make rows that are the same in every run."""
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for number in range(count):
        yield {
            "name": f"Name {number}",
            "email": f"user{number}@example.org",
            "city": ("Lima", "Quito", "La Paz")[number % 3],
            "age": number % 90,
            "visits": number * 7,
            "score": number / 3,
            "is_active": number % 2 == 0,
            "seen_at": start + dt.timedelta(minutes=number),
            "balance": Decimal(number) / 100,
            "note": None if number % 4 else f"note {number}",
            "details": {"tags": ["a", "b"], "number": number},
        }
