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
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sa_types

from andamios.errors import DataError

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

__all__ = ["finite", "make_strict", "whole_number"]

Check = Callable[[Any], Any]


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

        def bind(value: Any) -> Any:
            if value is None:
                return None
            checked = check(value)
            return convert(checked) if convert else checked

        return bind

    strict: type[Any] = type(f"Strict{kind.__name__}", (kind,), {"bind_processor": bind_processor})
    return strict


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


CHECKS: dict[type[Any], Check] = {
    sa_types.SmallInteger: partial(whole_number, bits=16),
    sa_types.Integer: partial(whole_number, bits=32),
    sa_types.BigInteger: partial(whole_number, bits=64),
    sa_types.Numeric: finite,
    sa_types.Float: finite,
    sa_types.Double: finite,
}

MYSQL_CHECKS: dict[type[Any], Check] = CHECKS | {
    sa_types.String: _instance(str, "A text"),
    sa_types.Date: _instance(dt.date, "A date"),
    sa_types.Time: _instance(dt.time, "A time"),
}
