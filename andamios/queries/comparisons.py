"""
Comparisons of a column with a value, by name: what most filters consist of.

SQLAlchemy's expression is built only when a statement needs it. On the short way none does, once
the statement is known: its name, its operator and the value's type tell which one it is.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
import weakref
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import ColumnProperty, InstrumentedAttribute

from andamios.queries.fields import mapper_of
from andamios.queries.operators import COMPARISONS, OPERATORS, SYNONYMS
from andamios.queries.values import checked

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Comparison", "comparisons", "expression_of", "form_of_value"]

PLAIN = {
    *(str, int, float, bool, bytes, Decimal, uuid.UUID),
    *(dt.datetime, dt.date, dt.time, dt.timedelta),
}
"""Types of values that are one value to every column."""

INTEGER, BIGINT = 31, 63
"""Bits of whole numbers that fit such a type, without the sign."""

Known = dict[str, tuple[Any, str] | None]

_known: weakref.WeakKeyDictionary[type[Any], Known] = weakref.WeakKeyDictionary()


class Comparison:
    """
    A condition, of which there is no expression yet.

    Args:
        attribute: The column.
        operator: ``eq``, ``ne``, ``lt``, ``le``, ``gt`` or ``ge``.
        value: What it is compared with, checked.
    """

    __slots__ = ("_expression", "attribute", "effective_value", "operator")

    def __init__(self, attribute: Any, operator: str, value: Any) -> None:
        self.attribute = attribute
        self.operator = operator
        self.effective_value = value
        self._expression: Any = None

    @property
    def form(self) -> Hashable:
        """What tells it from other comparisons but for its value."""
        return self.attribute.key, self.operator, form_of_value(self.effective_value)

    @property
    def expression(self) -> Any:
        """SQLAlchemy's expression."""
        if self._expression is None:
            self._expression = OPERATORS[self.operator](self.attribute, self.effective_value)
        return self._expression

    @property
    def key(self) -> str:
        """The name of the expression's parameter."""
        return str(self.expression.right.key)


def form_of_value(value: Any) -> object:
    """Give all of a value that may change the SQL of a comparison with it."""
    kind = type(value)
    if kind is int:  # compared with a column of another type, it has the smallest that fits
        return kind, value.bit_length() > INTEGER, value.bit_length() > BIGINT
    if kind is dt.datetime or kind is dt.time:
        return kind, value.tzinfo is None
    return value if kind is bool else kind  # a bool is written into the SQL, as a word


def comparisons(model: type[Any], name: str, value: Any) -> tuple[Comparison, ...] | None:
    """
    Give the comparisons that an entry of a dict stands for, or None if it is something else.

    Raises:
        DataError: A value does not fit the column.
    """
    known = _known.get(model)
    if known is None:
        known = _known.setdefault(model, {})
    if name not in known:
        known[name] = _read(model, name)
    found = known[name]
    if found is None:
        return None
    attribute, operator = found
    if operator != "between":
        if not _is_plain(value):
            return None
        return (Comparison(attribute, operator, checked(attribute, value)),)
    if not (isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_plain, value))):  # noqa: PLR2004
        return None
    pairs = zip(("ge", "le"), value, strict=True)
    return tuple(Comparison(attribute, each, checked(attribute, bound)) for each, bound in pairs)


def _is_plain(value: Any) -> bool:
    return type(value) in PLAIN or isinstance(value, enum.Enum)


def expression_of(condition: Any) -> Any:
    """Give the expression of a condition."""
    return condition.expression if isinstance(condition, Comparison) else condition


def _read(model: type[Any], name: str) -> tuple[Any, str] | None:
    field, _, operator = name.rpartition("__")
    columns = mapper_of(model).column_attrs
    if name in columns:
        field, operator = name, "eq"
    operator = SYNONYMS.get(operator, operator)
    if field not in columns or operator not in {*COMPARISONS, "between"}:
        return None
    attribute = getattr(model, field)
    is_plain = isinstance(attribute, InstrumentedAttribute) and isinstance(
        attribute.property, ColumnProperty
    )
    return (attribute, operator) if is_plain and not isinstance(attribute.type, sa.JSON) else None
