"""
The form of a statement: all that changes its SQL, and nothing that does not.

Two statements of one form differ in the values of their parameters alone, and share a plan. The
form is read off the parts of a statement, which then need not be put together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import ColumnProperty, InstrumentedAttribute

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Form", "Given", "UnplannableError", "is_models_own"]


class UnplannableError(Exception):
    """A statement that SQLAlchemy has to run."""


class Given:
    """
    A value that is a parameter by itself.

    Args:
        value: What is bound.
        key: The name of the parameter in the statement.
    """

    __slots__ = ("effective_value", "key")

    def __init__(self, value: Any, key: str) -> None:
        self.effective_value = value
        self.key = key


class Form:
    """
    Collects the form of a statement and its parameters.

    Args:
        parts: Texts, classes and other plain values that tell statements apart.
    """

    __slots__ = ("key", "parameters")

    def __init__(self, *parts: object) -> None:
        self.key: list[object] = list(parts)
        self.parameters: list[Any] = []

    @property
    def values(self) -> list[Any]:
        """The values of the parameters."""
        return [parameter.effective_value for parameter in self.parameters]

    def add(self, items: Iterable[Any]) -> None:
        """
        Add expressions of SQLAlchemy, texts, models, or what has a ``form`` and a value.

        Raises:
            UnplannableError: An expression has no form.
        """
        for item in items:
            if isinstance(item, str | type):
                self.key.append(item)
            elif hasattr(type(item), "form"):  # asking attributes of models for one is slow
                self.key.append(item.form)
                self.parameters.append(item)
            elif is_models_own(item):
                self.key += (item.class_, item.key)
            else:
                self._add_expression(item)
        self.key.append(None)  # an end, so that one item more here is not one more there

    def _add_expression(self, item: Any) -> None:
        generate = getattr(item, "_generate_cache_key", None)
        found = generate() if callable(generate) else None
        if found is None or found.params:
            raise UnplannableError("it has a part whose form cannot be told")
        if any(each.required for each in found.bindparams):
            raise UnplannableError("a parameter has no value")
        self.key.append(found.key)
        self.parameters.extend(found.bindparams)


def is_models_own(item: Any) -> bool:
    """Whether something is a model's attribute as it stands there, without values of its own."""
    is_own = isinstance(item, InstrumentedAttribute) and item is vars(item.class_).get(item.key)
    prop: Any = item.property if is_own else None
    return is_own and (not isinstance(prop, ColumnProperty) or type(prop.columns[0]) is sa.Column)
