"""
Whether a value fits a column, found out before any SQL is sent.

Drivers disagree: for an ``int`` column asyncpg refuses ``"18"``, MySQL converts it, and
SQLite stores the text. Here the column's own Python type decides, alike everywhere.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
import weakref
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import types as sa_types
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BooleanClauseList,
    Grouping,
    UnaryExpression,
)
from sqlalchemy.sql.operators import eq, ge, gt, in_op, is_comparison, le, lt, ne, not_in_op

from andamios.errors import DataError, QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "all_fit",
    "check_comparisons",
    "checked",
    "is_expression",
    "python_type",
    "whole_number",
]

WIDER: dict[type[Any], tuple[type[Any], ...]] = {
    float: (float, int, Decimal),
    Decimal: (Decimal, int, float),
    bytes: (bytes, bytearray, memoryview),
}
"""What a column takes besides its own Python type."""

SIMPLE = {str, bool, bytes, uuid.UUID, dt.datetime, dt.date, dt.time, dt.timedelta}
"""Types of which every value fits a column that takes them."""

_known: weakref.WeakKeyDictionary[type[Any], dict[str, KnownType]] = weakref.WeakKeyDictionary()

COMPARISONS = {eq, ne, lt, le, gt, ge}

AKIN: tuple[set[type[Any]], ...] = ({int, float, Decimal}, {dt.date, dt.datetime})
"""Types whose values every database compares with each other."""

BITS: tuple[tuple[type[Any], int], ...] = (
    (sa_types.BigInteger, 64),
    (sa_types.SmallInteger, 16),
    (sa_types.Integer, 32),
)


def is_expression(value: Any) -> bool:
    """Whether a value is SQL, which the database judges, and not a Python value."""
    return isinstance(value, sa.ClauseElement) or hasattr(value, "__clause_element__")


def python_type(column_type: Any) -> type[Any] | None:
    """Give the Python type of a column's type, or None where any value may fit."""
    if isinstance(column_type, sa_types.JSON | sa_types.PickleType | sa_types.ARRAY):
        return None
    try:
        found = column_type.python_type
    except (AttributeError, NotImplementedError):
        return None
    return found if isinstance(found, type) and found is not object else None


def checked(attribute: Any, value: Any, column_type: Any = None) -> Any:
    """
    Check a value that is compared with a column, or written to it.

    Args:
        attribute: The column.
        value: None and SQL expressions pass.
        column_type: The type that the value is bound as, if it is not the column's.

    Returns:
        What to bind.

    Raises:
        DataError: The value has the wrong type, or is out of range.
    """
    known = _known_type(attribute) if column_type is None else KnownType(column_type)
    expected = known.python
    if value is None or expected is None:
        return value
    if type(value) is expected and (known.is_simple or _is_within(value, known.limit)):
        return value  # nearly always
    if is_expression(value):
        return value
    if isinstance(known.kind, sa_types.Enum):
        return _checked_enum(attribute, known.kind, value)
    if not _fits(expected, value):
        raise DataError(f"{attribute} takes {expected.__name__}, not {type(value).__name__}")
    if expected is int:
        _check_range(attribute, known, value)
    return Decimal(repr(value)) if expected is Decimal and isinstance(value, float) else value


def all_fit(attribute: Any, values: Sequence[Any]) -> bool:
    """Whether :func:`checked` would give each of many values back as it is, as far as is told."""
    known = _known_type(attribute)
    if known.python is None:
        return True
    kinds = {*map(type, values)} - {type(None)}
    is_simple = known.is_simple or known.python in {float, Decimal}
    if not kinds or (is_simple and kinds == {known.python}):
        return True
    if kinds != {int} or known.python is not int:
        return False
    numbers = [value for value in values if value is not None]
    return _is_within(min(numbers), known.limit) and _is_within(max(numbers), known.limit)


class KnownType:
    """What is to be known of a column's type, which takes long to find."""

    __slots__ = ("bits", "is_simple", "kind", "limit", "python")

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.python = python_type(kind)
        self.is_simple = self.python in SIMPLE and not isinstance(kind, sa_types.Enum)
        self.bits = next((bits for each, bits in BITS if isinstance(kind, each)), 64)
        self.limit = 1 << (self.bits - 1) if self.python is int else 0


def _known_type(attribute: Any) -> KnownType:
    try:
        names = _known.setdefault(attribute.class_, {})
        found = names.get(attribute.key)
    except (AttributeError, TypeError):  # no attribute of a model
        return KnownType(getattr(attribute, "type", None))
    if found is None:
        found = names[attribute.key] = KnownType(getattr(attribute, "type", None))
    return found


def _is_within(value: Any, limit: int) -> bool:
    return bool(limit) and -limit <= value < limit


def check_comparisons(condition: Any) -> None:
    """
    Check the values that an expression compares columns with, joined by AND, OR and NOT.

    Raises:
        DataError: A value has another type than its column, which some databases convert,
            some refuse, and one takes for a value that is simply not there.
    """
    if isinstance(condition, BooleanClauseList):
        for part in condition.clauses:
            check_comparisons(part)
    elif isinstance(condition, Grouping | UnaryExpression):
        check_comparisons(condition.element)
    elif isinstance(condition, BinaryExpression) and is_comparison(condition.operator):
        sides = condition.left, condition.right
        for column, bound in (sides, reversed(sides)):
            if isinstance(column, sa.Column) and isinstance(bound, sa.BindParameter):
                _check_bound(condition.operator, column, bound)


def _check_bound(operator: Any, column: sa.Column[Any], bound: sa.BindParameter[Any]) -> None:
    value = bound.value
    kind = bound.type if _are_akin(column.type, bound.type) else column.type
    if operator in {in_op, not_in_op} and isinstance(value, list | tuple | set | frozenset):
        for each in value:
            checked(column, each, kind)
    elif operator in COMPARISONS:
        checked(column, value, kind)


def _are_akin(left: Any, right: Any) -> bool:
    kinds = {python_type(left), python_type(right)}
    return any(kinds <= akin for akin in AKIN)


def whole_number(what: str, value: Any, *, least: int = 0) -> int:
    """
    Check a number of rows, or of a page.

    Args:
        what: What it is, for the error.
        value: What was given.
        least: The smallest that will do.

    Raises:
        QueryError: It is no whole number, or too small.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise QueryError(f"{what} takes a whole number from {least}, not {value!r:.40}.")
    return value


def _fits(expected: type[Any], value: Any) -> bool:
    if isinstance(value, bool) and expected is not bool:
        return False
    if isinstance(value, dt.datetime) and expected is dt.date:
        return False
    return isinstance(value, WIDER.get(expected, (expected,)))


def _check_range(attribute: Any, known: KnownType, value: int) -> None:
    if not _is_within(value, known.limit):
        raise DataError(f"{attribute} holds numbers of {known.bits} bits; the value does not fit")


def _checked_enum(attribute: Any, column_type: sa_types.Enum, value: Any) -> Any:
    kind = column_type.enum_class
    if isinstance(value, kind) if kind is not None else value in column_type.enums:
        return value
    if isinstance(value, str) and not isinstance(value, enum.Enum) and value in column_type.enums:
        return value
    raise DataError(f"{attribute} takes one of: {', '.join(column_type.enums)}")
