"""
What a Python type in an annotation becomes in the database, the same everywhere.

==============  =============================================================
``str``         ``VARCHAR(255)``, or the ``MaxLen`` of its annotation; TEXT when that is long
``int``         64 bits
``float``       64 bits (MySQL's FLOAT has 32)
``Decimal``     ``NUMERIC(15, 4)``, or ``max_digits`` and ``decimal_places``; exact on SQLite too
``datetime``    a moment in UTC with microseconds; naive ones are refused
``time``        with microseconds (MySQL drops them otherwise)
``timedelta``   a whole number of microseconds, which every backend keeps, compares and sums
``bytes``       without MySQL's limit of 64 KB
``dict, list``  JSON, on PostgreSQL JSONB; ``None`` is NULL
``Enum``        its names, as text, since changing a native enum type needs a migration
``Literal``     its texts; like an ``Enum``, it takes no other
``UUID``        native on PostgreSQL and MariaDB, 32 characters elsewhere
==============  =============================================================
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, TypeEngine

from andamios.core.sqlite_types import RowId
from andamios.errors import DataError
from andamios.models.imported import imported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Dialect
    from sqlalchemy.orm import TypeResolve

__all__ = ["BIG_INTEGER", "Duration", "UTCDateTime", "constraints_of", "resolve_type"]

DEFAULT_LENGTH = 255
LONGEST_VARCHAR = 16_000
"""Characters; MySQL allows 65,535 bytes a row, at four bytes a character."""

DEFAULT_DIGITS, DEFAULT_PLACES = 15, 4

DEFAULT_ENUM_LENGTH = 64

BIG_INTEGER = sa.BigInteger().with_variant(RowId(), "sqlite")
MYSQL = ("mysql", "mariadb")
MICROSECOND = dt.timedelta(microseconds=1)
TEXT_LENGTH = len("2026-01-31 12:30:00.000000")
"""Characters of a moment as SQLAlchemy writes it on SQLite."""


class UTCDateTime(TypeDecorator[dt.datetime]):
    """
    A moment: timezone-aware, in UTC, with microseconds, on every backend.

    Raises:
        DataError: A naive datetime, which says no moment.

    Example:
        >>> from andamios.models import UTCDateTime
        >>> UTCDateTime().python_type
        <class 'datetime.datetime'>
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[dt.datetime]:
        """``datetime.datetime``."""
        return dt.datetime

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MySQL for microseconds, which it would round away."""
        if dialect.name in MYSQL:
            from sqlalchemy.dialects import mysql  # noqa: PLC0415  which made this dialect

            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Leave what is in UTC already to asyncpg, which takes it as it is."""
        bind = super().bind_processor(dialect)
        if dialect.driver != "asyncpg" or bind is None:
            return bind

        def quickly(value: Any) -> Any:
            is_utc = type(value) is dt.datetime and value.tzinfo is dt.UTC
            return value if is_utc else bind(value)

        return quickly

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Turn any aware datetime into UTC."""
        if value is None:
            return None
        if not isinstance(value, dt.datetime):
            raise DataError(f"A datetime was expected, not {type(value).__name__}")
        if value.tzinfo is None:
            raise DataError(
                "A datetime without a time zone says no moment; use datetime.now(timezone.utc)"
            )
        moment = value.astimezone(dt.UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Read it in one step, of which there is one for each row; asyncpg gives UTC by itself."""
        if dialect.driver == "asyncpg":
            return None
        of_dialect = self.impl_instance.result_processor(dialect, coltype)
        if of_dialect is None:
            return _in_utc
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)
        from_text = dt.datetime.fromisoformat

        def read(value: Any) -> Any:
            if value is None:
                return None
            is_usual = type(value) is str and len(value) == TEXT_LENGTH
            try:
                return from_text(f"{value}+00:00") if is_usual else _in_utc(of_dialect(value))
            except ValueError:
                return _in_utc(of_dialect(value))

        return read

    def process_result_value(
        self, value: dt.datetime | None, dialect: Dialect
    ) -> dt.datetime | None:
        """Give it back in UTC."""
        return _in_utc(value)


def _in_utc(value: dt.datetime | None) -> dt.datetime | None:
    if value is None:
        return None
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Duration(TypeDecorator[dt.timedelta]):
    """
    A span of time, exact to the microsecond on every backend.

    Raises:
        DataError: No timedelta, or one of more than 292,000 years.

    Example:
        >>> from andamios.models import Duration
        >>> Duration().python_type
        <class 'datetime.timedelta'>
    """

    impl = BIG_INTEGER
    cache_ok = True

    @property
    def python_type(self) -> type[dt.timedelta]:
        """``datetime.timedelta``."""
        return dt.timedelta

    def process_bind_param(self, value: dt.timedelta | None, _dialect: Dialect) -> int | None:
        """Count its microseconds."""
        if value is None:
            return None
        if not isinstance(value, dt.timedelta):
            raise DataError(f"A timedelta was expected, not {type(value).__name__}")
        found = value // MICROSECOND
        if not -(1 << 63) <= found < 1 << 63:
            raise DataError("A timedelta of more than 292,000 years does not fit")
        return found

    def process_result_value(self, value: Any, _dialect: Dialect) -> dt.timedelta | None:
        """Give it back; a sum comes as a Decimal."""
        return None if value is None else dt.timedelta(microseconds=int(value))


FIXED: dict[Any, TypeEngine[Any]] = {
    int: BIG_INTEGER,
    float: sa.Double(),
    dt.datetime: UTCDateTime(),
    dt.timedelta: Duration(),
}


# The others are made when a model has one: SQLAlchemy's dialects take long to import.
@cache
def _time() -> TypeEngine[Any]:
    from sqlalchemy.dialects import mysql  # noqa: PLC0415

    return sa.Time().with_variant(mysql.TIME(fsp=6), *MYSQL)


@cache
def _bytes() -> TypeEngine[Any]:
    from sqlalchemy.dialects import mysql  # noqa: PLC0415

    return sa.LargeBinary().with_variant(mysql.LONGBLOB(), *MYSQL)


@cache
def _long_text() -> TypeEngine[Any]:
    from sqlalchemy.dialects import mysql  # noqa: PLC0415

    return sa.Text().with_variant(mysql.LONGTEXT(), *MYSQL)


@cache
def _document() -> TypeEngine[Any]:
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    binary = postgresql.JSONB(none_as_null=True)
    return sa.JSON(none_as_null=True).with_variant(binary, "postgresql")


VARIED: dict[Any, Callable[[], TypeEngine[Any]]] = {
    dt.time: _time,
    bytes: _bytes,
    dict: _document,
    list: _document,
}


def resolve_type(resolve: TypeResolve) -> TypeEngine[Any] | None:
    """Choose the column type for an annotation; None leaves it to SQLAlchemy."""
    python_type = resolve.resolved_type
    if get_origin(python_type) is Literal:
        return _texts(get_args(python_type))
    python_type = get_origin(python_type) or python_type
    rules = list(constraints_of(getattr(resolve.raw_pep_593_type, "__metadata__", ())))
    if python_type is str:
        return _text(rules)
    if python_type is decimal.Decimal:
        return _numeric(rules)
    if isinstance(python_type, type) and issubclass(python_type, enum.Enum):
        return _enum(python_type)
    if python_type in VARIED:
        return VARIED[python_type]()
    return FIXED.get(python_type)


def constraints_of(metadata: tuple[Any, ...]) -> Iterator[Any]:
    """Flatten the metadata of an ``Annotated``: pydantic's fields hold constraints inside."""
    for item in metadata:
        if isinstance(item, imported("pydantic.fields", "FieldInfo")):
            yield from item.metadata
        elif hasattr(item, "__is_annotated_types_grouped_metadata__"):
            yield from item
        else:
            yield item


def _text(rules: list[Any]) -> TypeEngine[Any]:
    kinds = imported("annotated_types", "MaxLen")
    lengths = [rule.max_length for rule in rules if isinstance(rule, kinds)]
    length = min(lengths, default=DEFAULT_LENGTH)
    if length > LONGEST_VARCHAR:
        return _long_text()
    return sa.String(length)


def _texts(values: tuple[Any, ...]) -> TypeEngine[Any] | None:
    return _enum(*values) if all(isinstance(value, str) for value in values) else None


def _enum(*members: Any) -> sa.Enum:
    longest = max((len(item) for item in members if isinstance(item, str)), default=0)
    length = max(longest, DEFAULT_ENUM_LENGTH)
    return sa.Enum(*members, native_enum=False, length=length, validate_strings=True)


def _numeric(rules: list[Any]) -> TypeEngine[Any]:
    digits, places = DEFAULT_DIGITS, DEFAULT_PLACES
    for rule in rules:
        digits = getattr(rule, "max_digits", None) or digits
        found = getattr(rule, "decimal_places", None)
        places = places if found is None else found
    return sa.Numeric(digits, places)
