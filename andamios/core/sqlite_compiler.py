"""How SQLite declares the columns of :mod:`andamios.core.sqlite_types`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column
from sqlalchemy.dialects.sqlite.base import SQLiteTypeCompiler

from andamios.core.sqlite_types import REAL_DIGITS

if TYPE_CHECKING:
    from sqlalchemy.types import Numeric

__all__ = ["StrictTypeCompiler"]


class StrictTypeCompiler(SQLiteTypeCompiler):
    """Declares columns for more digits than a REAL holds as TEXT that compares as numbers."""

    def visit_NUMERIC(self, type_: Numeric[Any], **kw: Any) -> str:  # noqa: N802
        """Choose by precision; a CAST stays a number, since TEXT there would not compare."""
        is_column = isinstance(kw.get("type_expression"), Column)
        if is_column and (type_.precision or 0) > REAL_DIGITS:
            return "TEXT COLLATE andamios_decimal"
        return super().visit_NUMERIC(type_, **kw)
