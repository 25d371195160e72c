"""
What PostgreSQL says of a table before many rows go into it at once.

COPY and arrays bypass what INSERT does for a single row: rules, policies of rows, and the casts
that SQLAlchemy writes around each parameter. So a table is looked at first, in the same
transaction, in which nobody can change it any more: where COPY would do something else than
INSERT, SQLAlchemy's INSERT it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.plans.forms import UnplannableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column
    from sqlalchemy.engine import Dialect

__all__ = ["TableFacts", "TypeCheck", "cast_of", "look_at"]

LOOK = """
SELECT c.relkind = 'r' OR c.relkind = 'p',
 c.relhasrules OR row_security_active(c.oid),
 c.relkind = 'p' OR EXISTS (SELECT FROM pg_trigger t
  WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 2 <> 0),
 ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid
  AND a.attnum > 0 AND (a.attgenerated <> '' OR a.attidentity = 'a')),
 ARRAY(SELECT ARRAY[a.attname::text, format_type(a.atttypid, a.atttypmod),
  CASE WHEN a.attidentity = '' THEN pg_get_expr(d.adbin, d.adrelid)
   ELSE format('nextval(%L)', pg_get_serial_sequence($1, a.attname)) END]
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attgenerated = ''
  AND (d.oid IS NOT NULL OR a.attidentity <> ''))
FROM pg_class c WHERE c.oid = $1::text::regclass
"""

KNOWN_TYPES = {
    *("bool", "bytea", "date", "float4", "float8", "int2", "int4", "int8", "interval", "json"),
    *("jsonb", "numeric", "text", "time", "timestamp", "timestamptz", "timetz", "uuid", "varchar"),
    "bpchar",
}
"""Types, as the catalogue calls them, of which asyncpg writes the binary form itself."""

TEXTS = {"text", "varchar", "bpchar"}
"""Types that take each other's values as they are."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """
    What is to be known of a table.

    Args:
        obstacle: Why rows have to go in by INSERT, if they do.
        has_triggers: Whether a trigger may change what a new row gets.
        fixed: Columns whose values the database alone decides.
        defaults: What it makes for a column where no value is given, as an expression.
    """

    obstacle: str | None
    has_triggers: bool
    fixed: frozenset[str]
    defaults: dict[str, str]


async def look_at(connection: Any, driver: Any, table: str) -> TableFacts:
    """
    Ask for the facts of a table.

    Args:
        connection: Of a pool of SQLAlchemy's, with a transaction that is about to begin.
        driver: Who sends statements on it.
        table: The name, quoted where it has to be.
    """
    rows = (await driver.join(connection, LOOK, (table,)))[0]
    if not rows:  # which the statement itself will tell better
        return TableFacts(None, has_triggers=True, fixed=frozenset(), defaults={})
    is_table, is_guarded, has_triggers, fixed, defaults = rows[0]
    obstacle = None
    if not is_table:
        obstacle = f"{table} is no table"
    elif is_guarded:
        obstacle = f"{table} has rules, or policies of rows"
    made = {name: f"({made})::{kind}" for name, kind, made in defaults}
    return TableFacts(obstacle, has_triggers, frozenset(fixed), made)


class TypeCheck:
    """
    Sees that columns have the types that the model says.

    Args:
        table: The table.
        columns: Columns of it.
        dialect: Whose types.

    Raises:
        UnplannableError: SQLAlchemy does something of its own with a value.
    """

    def __init__(self, table: Any, columns: Sequence[Column[Any]], dialect: Dialect) -> None:
        preparer = dialect.identifier_preparer
        self._table, self._columns = preparer.format_table(table), columns
        names = ", ".join(map(preparer.format_column, columns))
        self._read = f"SELECT {names} FROM {self._table}"  # noqa: S608  names alone
        casts = (f"NULL::{cast_of(column.type, dialect)}" for column in columns)
        self._meant = f"SELECT {', '.join(casts)}"
        self._agreed: list[int] | None = None

    @property
    def is_done(self) -> bool:
        """Whether the types were those that the model says, when that was asked last."""
        return self._agreed is not None

    async def __call__(self, connection: Any) -> None:
        """
        Compare the types, and lock the table against changes.

        Args:
            connection: Of a pool of SQLAlchemy's, in a transaction.

        Raises:
            UnplannableError: One is another, or one that asyncpg cannot write.
        """
        driver = connection.driver_connection
        found = await _types(driver, self._read)
        oids = [each.oid for each in found]
        # What asyncpg remembers of the table may be older, and is the same, or writes the same.
        if oids == self._agreed:
            return
        meant = await _types(driver, self._meant)
        for kind, other, column in zip(found, meant, self._columns, strict=True):
            if not (_is_known(kind, column) and _are_akin(kind, other)):
                raise UnplannableError(f"{self._table} has a {kind.name} where it should not")
        self._agreed = oids


def _is_known(kind: Any, column: Column[Any]) -> bool:
    if isinstance(column.type, sa.Enum):
        return True
    return kind.schema == "pg_catalog" and kind.name.removesuffix("[]") in KNOWN_TYPES


def _are_akin(one: Any, other: Any) -> bool:
    return bool(one.oid == other.oid or {one.name, other.name} <= TEXTS)


async def _types(driver: Any, sql: str) -> list[Any]:
    # Without a name, so that it is neither kept nor has to be closed.
    return [each.type for each in (await driver.prepare(sql, name="")).get_attributes()]


def cast_of(kind: Any, dialect: Dialect) -> str:
    """
    Give what SQLAlchemy casts a parameter of a type to.

    Raises:
        UnplannableError: It does not, or does something else with it.
    """
    text = str(sa.bindparam("value", type_=kind).compile(dialect=dialect))
    place, _, cast = text.partition("::")
    if not cast and isinstance(kind, sa.Enum):
        cast = "VARCHAR"  # which it is left to the column to say
    if not (cast and place.startswith("$") and place[1:].isdigit()):
        raise UnplannableError("a type writes its parameters its own way")
    return cast
