"""The type of documents that filters compare with."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

__all__ = ["DOCUMENT"]


class ComparedJSON(mysql.JSON):
    """A document to compare with: MySQL takes a bare parameter for a JSON text."""

    def bind_expression(self, bindvalue: Any) -> Any:
        """Read it as a document."""
        return sa.cast(bindvalue, sa.JSON)


DOCUMENT = (
    sa.JSON(none_as_null=True)
    .with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    .with_variant(ComparedJSON(none_as_null=True), "mysql")
)
