"""
SQLite's types, as strict as the servers'.

SQLite stores a text of any length in VARCHAR(10), a text in an INTEGER column, and turns
NUMERIC(20, 6) into a float. These types refuse the first two while binding, and keep
every digit of the third: up to 15 digits in a REAL, which holds them exactly, more in a
TEXT with a numeric collation.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import TYPE_CHECKING, Any, Self, cast

from sqlalchemy import types as sa_types

from andamios.core.decimals import fit
from andamios.core.strict import finite, whole_number
from andamios.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy.engine import Dialect

__all__ = [
    "REAL_DIGITS",
    "STRICT_TYPES",
    "RowId",
    "refuse_any_long_text",
    "refuse_long_texts",
    "refuse_too_long",
]

DEFAULT_SCALE = 10
"""Digits behind the point that SQLAlchemy reads where a column does not say."""

REAL_DIGITS = 15
"""Decimal digits that a 64-bit float always keeps (DBL_DIG)."""


class TooLong(str):  # noqa: SLOT000  a text cannot have slots
    """A text that is longer than its column: harmless where it is compared, not where stored."""

    length: int

    def __new__(cls, text: str, length: int) -> Self:
        """Remember the column's length."""
        marked = super().__new__(cls, text)
        marked.length = length
        return marked


def refuse_too_long(parameters: Any, context: Any) -> None:
    """
    Refuse to store what is longer than its column.

    Raises:
        DataError: A text of an INSERT or UPDATE is.
    """
    if not (context.isinsert or context.isupdate):
        return
    # Many rows come as a list of tuples, or in one tuple where one statement holds them.
    is_flat = not (parameters and isinstance(parameters[0], tuple))
    refuse_any_long_text((parameters,) if is_flat else parameters)


def refuse_any_long_text(rows: Iterable[Iterable[Any]]) -> None:
    """
    Refuse rows with a text that is longer than its column.

    Raises:
        DataError: One of them has one.
    """
    if TooLong in {*map(type, chain.from_iterable(rows))}:
        for row in rows:
            refuse_long_texts(row)


def refuse_long_texts(row: Iterable[Any]) -> None:
    """
    Refuse a row with a text that is longer than its column.

    Raises:
        DataError: It has one.
    """
    for value in row:
        if type(value) is TooLong:
            raise DataError(f"The text has {len(value)} characters, the column {value.length}")


class StrictString(sa_types.String):
    """A text; one that is longer than its column is marked, since no type knows why it is bound."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Check type and length."""
        length = self.length

        def check(value: Any) -> Any:
            if value is None:
                return None
            if not isinstance(value, str):
                raise DataError(f"A text was expected, not {type(value).__name__}")
            if length is not None and len(value) > length:
                return TooLong(value, length)
            return value

        return check


class StrictInteger(sa_types.Integer):
    """A whole number that is refused when it is no number or out of range."""

    bits = 32

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Check type and range."""
        limit = 1 << (self.bits - 1)

        def check(value: Any) -> Any:
            if type(value) is int and -limit <= value < limit:  # nearly always
                return value
            return None if value is None else whole_number(value, self.bits)

        return check


class StrictBigInteger(StrictInteger, sa_types.BigInteger):
    """64 bits."""

    bits = 64


class StrictSmallInteger(StrictInteger, sa_types.SmallInteger):
    """16 bits."""

    bits = 16


class RowId(StrictInteger):
    """SQLite's INTEGER, which has 64 bits and counts by itself as a primary key."""

    bits = 64


class StrictNumeric(sa_types.Numeric[Any]):
    """A decimal that keeps its digits."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Round to the scale as servers do, and refuse what is too large."""
        precision, scale = self.precision, self.scale
        as_text = precision is not None and precision > REAL_DIGITS

        def bind(value: Any) -> Any:
            if value is None:
                return None
            number = _decimal(value)
            if precision is not None:
                number = fit(number, precision, scale or 0)
            return f"{number:f}" if as_text else float(number)

        return bind

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Give back a Decimal of the column's scale, or a float if the type asks for one."""
        if not self.asdecimal:
            return lambda value: None if value is None else float(value)
        scale = self.decimal_return_scale or self.scale or DEFAULT_SCALE
        step = Decimal(1).scaleb(-scale)

        def read(value: Any) -> Any:
            if value is None:
                return None
            if isinstance(value, str):
                return Decimal(value)
            return (
                Decimal(f"{value:.{scale}f}")
                if isinstance(value, float)
                else (Decimal(value).quantize(step))
            )

        return read


class StrictFloat(sa_types.Float[Any]):
    """A float that is a number, since SQLite would store NaN as NULL."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Refuse NaN and infinity, as every backend does."""
        return lambda value: None if value is None else finite(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, float):
        return Decimal(repr(value))
    try:
        return Decimal(cast("int", value)) if isinstance(value, int | Decimal) else _refuse(value)
    except InvalidOperation:
        return _refuse(value)


def _refuse(value: Any) -> Decimal:
    raise DataError(f"A decimal was expected, not {type(value).__name__}")


STRICT_TYPES: dict[type[sa_types.TypeEngine[Any]], type[sa_types.TypeEngine[Any]]] = {
    # Enum is a String to SQLAlchemy and has checks of its own.
    sa_types.Enum: sa_types.Enum,
    sa_types.String: StrictString,
    sa_types.Integer: StrictInteger,
    sa_types.BigInteger: StrictBigInteger,
    sa_types.SmallInteger: StrictSmallInteger,
    sa_types.Numeric: StrictNumeric,
    sa_types.Float: StrictFloat,
    sa_types.Double: StrictFloat,
}
