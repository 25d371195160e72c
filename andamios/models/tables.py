"""How a model's table is made: its name, its key, the names of its constraints, its text order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, Table

from andamios.models.types import BIG_INTEGER

if TYPE_CHECKING:
    from sqlalchemy.schema import SchemaItem

__all__ = ["NAMING_CONVENTION", "make_table", "snake_case"]

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, so that migrations can drop it and errors can name it."""

BINARY_TEXT = {
    # Compares case, accents and trailing spaces, as PostgreSQL and SQLite do.
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_0900_bin",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_nopad_bin",
}

WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """
    Turn a class name into a table name.

    Example:
        >>> from andamios.models.tables import snake_case
        >>> snake_case("HTTPRequestLog")
        'http_request_log'
    """
    return WORD_STARTS.sub("_", name).lower()


def make_table(
    model: type[Any], name: str, metadata: MetaData, *items: SchemaItem, **options: Any
) -> Table | None:
    """
    Build the table of a model; declarative calls it with the columns that the class maps.

    Returns:
        The table; None when the class has no key and inherits from a mapped one, so that
        it shares its parent's table.
    """
    if not _has_key(items):
        if any("__table__" in vars(base) for base in model.__mro__[1:]):
            return None
        items = (Column("id", BIG_INTEGER, primary_key=True), *items)
    return Table(name, metadata, *items, **{**BINARY_TEXT, **options})


def _has_key(items: tuple[SchemaItem, ...]) -> bool:
    return any(
        isinstance(item, PrimaryKeyConstraint) or (isinstance(item, Column) and item.primary_key)
        for item in items
    )
