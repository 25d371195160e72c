"""
What filters compare with: one function an operator, from an attribute and a value to SQL.

Each checks its value first. Text operators escape ``%`` and ``_`` in what a user typed,
except ``like`` and ``ilike``, which take a pattern. Those with an ``i`` in front ignore
case, on every backend.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.errors import DataError
from andamios.queries.fields import relationship_of
from andamios.queries.values import checked, is_expression, python_type

if TYPE_CHECKING:
    from collections.abc import Callable

    Condition = sa.ColumnElement[bool]
    Column = sa.ColumnElement[Any]
    Operator = Callable[[Any, Any], Condition]

__all__ = ["COMPARISONS", "OPERATORS", "RELATIONSHIP_OPERATORS", "SYNONYMS"]

ESCAPE = "/"
"""What stands before a ``%`` or ``_`` that is an ordinary character."""


def _eq(attribute: Column, value: Any) -> Condition:
    operand = _operand(attribute, value)
    # Relationships have no IS; == None asks for nothing on the other side.
    if operand is None and relationship_of(attribute) is None:
        return attribute.is_(None)
    equal: Condition = attribute == operand
    return equal


def _ne(attribute: Column, value: Any) -> Condition:
    operand = _operand(attribute, value)
    if operand is None and relationship_of(attribute) is None:
        return attribute.is_not(None)
    unequal: Condition = attribute != operand
    return unequal


def _ordered(compare: Operator) -> Operator:
    def operator(attribute: Any, value: Any) -> Condition:
        return compare(attribute, _present(attribute, value))

    return operator


def _in(attribute: Column, values: Any) -> Condition:
    if is_expression(values):
        return attribute.in_(values)
    given, has_null = _collected(attribute, values)
    found = attribute.in_(given)
    return sa.or_(found, attribute.is_(None)) if has_null else found


def _not_in(attribute: Column, values: Any) -> Condition:
    if is_expression(values):
        return attribute.not_in(values)
    given, has_null = _collected(attribute, values)
    if not given and not has_null:
        return sa.true()
    found = attribute.not_in(given)
    return sa.and_(found, attribute.is_not(None)) if has_null else found


def _between(attribute: Column, bounds: Any) -> Condition:
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:  # noqa: PLR2004
        raise DataError(f"between on {attribute} takes two values, a start and an end")
    start, end = (_present(attribute, bound) for bound in bounds)
    return attribute.between(start, end)


def _is_null(attribute: Any, value: Any) -> Condition:
    if not isinstance(value, bool):
        raise DataError(f"is_null on {attribute} takes True or False, not {value!r:.40}")
    relationship = relationship_of(attribute)
    if relationship is None:
        return _eq(attribute, None) if value else _ne(attribute, None)
    related: Condition = attribute.any() if relationship.uselist else attribute.has()
    return sa.not_(related) if value else related


def _pattern(method: str) -> Operator:
    def operator(attribute: Any, value: Any) -> Condition:
        _require_text(method, attribute, value)
        compare: Callable[[Any], Condition] = getattr(attribute, method)
        return compare(_unlimited(attribute, value))

    return operator


def _text(method: str, shape: str) -> Operator:
    def operator(attribute: Any, value: Any) -> Condition:
        _require_text(method, attribute, value)
        if is_expression(value):
            compare: Callable[[Any], Condition] = getattr(attribute, method)
            return compare(value)
        like: Callable[..., Condition] = attribute.ilike if method[0] == "i" else attribute.like
        return like(_unlimited(attribute, shape.format(_escaped(value))), escape=ESCAPE)

    return operator


OPERATORS: dict[str, Operator] = {
    "eq": _eq,
    "ne": _ne,
    "lt": _ordered(lambda left, right: left < right),
    "le": _ordered(lambda left, right: left <= right),
    "gt": _ordered(lambda left, right: left > right),
    "ge": _ordered(lambda left, right: left >= right),
    "in": _in,
    "not_in": _not_in,
    "between": _between,
    "is_null": _is_null,
    "like": _pattern("like"),
    "ilike": _pattern("ilike"),
    "contains": _text("contains", "%{}%"),
    "startswith": _text("startswith", "{}%"),
    "endswith": _text("endswith", "%{}"),
    "icontains": _text("icontains", "%{}%"),
    "istartswith": _text("istartswith", "{}%"),
    "iendswith": _text("iendswith", "%{}"),
}
"""Every operator by the name that stands behind ``__`` in a dict."""

COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
"""Those that compare with one value."""

RELATIONSHIP_OPERATORS = {"eq", "ne", "is_null"}
"""Those that compare a relationship itself; the others compare what lies behind it."""

SYNONYMS = {"in_": "in", "lte": "le", "gte": "ge"}
"""Other spellings that are in use."""


def _operand(attribute: Any, value: Any) -> Any:
    relationship = relationship_of(attribute)
    if relationship is not None:
        if value is not None and not isinstance(value, relationship.mapper.class_):
            kind = relationship.mapper.class_.__name__
            raise DataError(f"{attribute} takes a {kind}, not {type(value).__name__}")
        return value
    if isinstance(value, list | tuple | set | frozenset) and _is_scalar(attribute):
        raise DataError(f"{attribute} is compared with one value here; for several there is in")
    if isinstance(getattr(attribute, "type", None), sa.JSON) and not is_expression(value):
        return None if value is None else _document(value)
    return _unlimited(attribute, checked(attribute, value))


def _document(value: Any) -> Any:
    from andamios.queries.documents import DOCUMENT  # noqa: PLC0415  brings two dialects

    return sa.literal(value, DOCUMENT)


def _present(attribute: Any, value: Any) -> Any:
    if value is None:
        raise DataError(f"{attribute} cannot be ordered against None; is_null asks for NULL")
    return _operand(attribute, value)


def _collected(attribute: Any, values: Any) -> tuple[list[Any], bool]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise DataError(
            f"in and not_in on {attribute} take a collection, not {type(values).__name__}"
        )
    given = [_operand(attribute, value) for value in values]
    present = [value for value in given if value is not None]
    return present, len(present) < len(given)


def _escaped(text: str) -> str:
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return text


def _is_scalar(attribute: Any) -> bool:
    return python_type(getattr(attribute, "type", None)) is not None


def _require_text(name: str, attribute: Any, value: Any) -> None:
    if python_type(getattr(attribute, "type", None)) not in {str, None}:
        raise DataError(f"{name} needs a text column, and {attribute} is none")
    if not isinstance(value, str) and not is_expression(value):
        raise DataError(f"{name} on {attribute} takes a text, not {type(value).__name__}")


def _unlimited(attribute: Any, value: Any) -> Any:
    # Bound as the column's own VARCHAR(n), a longer text would be refused, though it is
    # only compared.
    if isinstance(value, str) and getattr(getattr(attribute, "type", None), "length", None):
        return sa.literal(value, sa.String()) if type(attribute.type) is sa.String else value
    return value
