"""The tables as Piccolo maps them."""

from __future__ import annotations

from typing import Any

from piccolo.columns import (
    JSONB,
    BigInt,
    BigSerial,
    Boolean,
    DoublePrecision,
    ForeignKey,
    Numeric,
    Timestamptz,
    Varchar,
)
from piccolo.table import Table

__all__ = ["PiccoloChild", "PiccoloRow"]


class PiccoloRow(Table, tablename="bench_row"):
    """Twelve columns."""

    id = BigSerial(primary_key=True)
    name = Varchar(255)
    email = Varchar(255, unique=True)
    city = Varchar(255)
    age = BigInt()
    visits = BigInt()
    score = DoublePrecision()
    is_active = Boolean()
    seen_at = Timestamptz()
    balance = Numeric((15, 4))
    note = Varchar(255, null=True, default=None)
    details = JSONB()


class PiccoloChild(Table, tablename="bench_child"):
    """What belongs to a row."""

    id = BigSerial(primary_key=True)
    row = ForeignKey(PiccoloRow, db_column_name="row_id")
    label = Varchar(255)
    amount = BigInt()

    @property
    def row_id(self) -> Any:
        """The key of its row."""
        return self.row
