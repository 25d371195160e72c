"""
Refusing what drivers would convert without a word.

asyncpg stores 1.5 as 1 in an integer column and MySQL stores it as 2; MySQL also takes a
number for a text, a text for a number, a date or a time, and compares with a number that
no row could have. SQLite has types of its own
(:mod:`andamios.core.sqlite_types`), since it would take anything.
"""

from __future__ import annotations

import datetime as dt
import math
import operator
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sa_types

from andamios.errors import DataError

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

__all__ = ["finite", "make_strict", "whole_number"]

Check = Callable[[Any], Any]

LARGEST = sys.float_info.max
DIGITS = 300
"""Before the point; with fewer, a decimal is one of the numbers that a float has room for."""


def whole_number(value: Any, bits: int) -> int:
    """
    Give an integer for whatever Python itself takes for one.

    Raises:
        DataError: It is something else, such as a float, or does not fit so many bits.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise _unexpected("A whole number", value) from None
    limit = 1 << (bits - 1)
    if not -limit <= number < limit:
        raise DataError(f"The number does not fit {bits} bits")
    return number


def make_strict(dialect: Dialect) -> None:
    """Check values before they are sent, in the generic types that a server's dialect has."""
    checks = MYSQL_CHECKS if dialect.name in {"mysql", "mariadb"} else CHECKS
    known, found = dialect.colspecs, dict(dialect.colspecs)
    for kind, check in checks.items():
        base = next((known[parent] for parent in kind.__mro__ if parent in known), kind)
        found[kind] = _checked(base, check)
    dialect.colspecs = found


def _checked(kind: type[Any], check: Check) -> type[Any]:
    def bind_processor(self: Any, dialect: Dialect) -> Check:
        convert = super(strict, self).bind_processor(dialect)
        if convert is None and check in BINDERS:
            return BINDERS[check]

        def bind(value: Any) -> Any:
            if value is None:
                return None
            checked = check(value)
            return convert(checked) if convert else checked

        return bind

    strict: type[Any] = type(f"Strict{kind.__name__}", (kind,), {"bind_processor": bind_processor})
    return strict


def _whole_number_of(bits: int) -> tuple[Check, Check]:
    """Give the check of a whole number, and the same with a short way for what most values are."""
    check = partial(whole_number, bits=bits)
    limit = 1 << (bits - 1)

    def bind(value: Any) -> Any:
        if type(value) is int and -limit <= value < limit:
            return value
        return None if value is None else check(value)

    return check, bind


def _bind_finite(value: Any) -> Any:
    kind = type(value)
    if kind is float and -LARGEST <= value <= LARGEST:
        return value
    if kind is Decimal and value.is_finite() and value.adjusted() < DIGITS:
        return value
    return None if value is None else finite(value)


def finite(value: Any) -> Any:
    """
    Give a number that has a size.

    Raises:
        DataError: It is NaN, infinite, or a text.
    """
    if isinstance(value, str | bytes):
        raise _unexpected("A decimal", value)
    if not math.isfinite(value):
        raise DataError("NaN and Infinity are not numbers that every backend can store")
    return value


def _instance(kind: type[Any], name: str) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise _unexpected(name, value)
        return value

    return check


def _unexpected(expected: str, value: Any) -> DataError:
    return DataError(f"{expected} was expected, not {type(value).__name__}")


BINDERS: dict[Check, Check] = {
    **dict(_whole_number_of(bits) for bits in (16, 32, 64)),
    finite: _bind_finite,
}
"""What checks a value and binds it as it is, by the check."""

AS_IT_IS: dict[Check, str] = {
    bind: f"type({{0}}) is int and {-1 << bits - 1} <= {{0}} < {1 << bits - 1}"
    for bind, bits in zip(BINDERS.values(), (16, 32, 64), strict=False)
}
"""
Of what binds a value: the condition, as an expression, under which that is the value itself.

For generated code, which saves a call for most values.
"""

WHOLE16, WHOLE32, WHOLE64, _ = BINDERS

CHECKS: dict[type[Any], Check] = {
    sa_types.SmallInteger: WHOLE16,
    sa_types.Integer: WHOLE32,
    sa_types.BigInteger: WHOLE64,
    sa_types.Numeric: finite,
    sa_types.Float: finite,
    sa_types.Double: finite,
}

MYSQL_CHECKS: dict[type[Any], Check] = CHECKS | {
    sa_types.String: _instance(str, "A text"),
    sa_types.Date: _instance(dt.date, "A date"),
    sa_types.Time: _instance(dt.time, "A time"),
}
