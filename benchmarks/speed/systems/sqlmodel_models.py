"""The tables as SQLModel maps them; it reads annotations itself, so they are no strings here."""

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field, Relationship, SQLModel

from benchmarks.speed.systems.sqlalchemy_models import DETAILS, MOMENT

__all__ = ["SQLModelChild", "SQLModelRow"]


class SQLModelRow(SQLModel, table=True):
    """Twelve columns."""

    __tablename__ = "bench_row"

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    name: str
    email: str = Field(unique=True)
    city: str
    age: int = Field(sa_type=BigInteger)
    visits: int = Field(sa_type=BigInteger)
    score: float
    is_active: bool
    seen_at: dt.datetime = Field(sa_type=MOMENT)
    balance: Decimal = Field(max_digits=15, decimal_places=4)
    note: str | None = None
    details: dict[str, Any] = Field(sa_type=DETAILS)

    children: list["SQLModelChild"] = Relationship(back_populates="row")


class SQLModelChild(SQLModel, table=True):
    """What belongs to a row."""

    __tablename__ = "bench_child"

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    row_id: int = Field(foreign_key="bench_row.id", sa_type=BigInteger)
    label: str
    amount: int = Field(sa_type=BigInteger)

    row: SQLModelRow = Relationship(back_populates="children")
