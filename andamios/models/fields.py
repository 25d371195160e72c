"""
Field rules: what an annotation says of a value, checked when it is set.

``Mapped[Annotated[int, Ge(0)]]`` holds in the constructor and on assignment. The rules are
those of annotated-types and pydantic, and pydantic checks them, strictly: nothing is
converted behind one's back, except a whole number for a Decimal.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_args, get_origin
from weakref import WeakKeyDictionary

import annotated_types
import pydantic
from pydantic.fields import FieldInfo
from sqlalchemy import event
from sqlalchemy.orm import Mapped
from sqlalchemy.sql import ClauseElement

from andamios.errors import FieldValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.orm import Mapper

__all__ = ["FieldRule", "annotations_of", "check_fields", "checked_values", "rules_of"]

PYDANTIC_VALIDATORS = (
    pydantic.AfterValidator,
    pydantic.BeforeValidator,
    pydantic.WrapValidator,
    pydantic.PlainValidator,
    pydantic.StringConstraints,
)

RULES = (
    annotated_types.BaseMetadata,
    annotated_types.GroupedMetadata,
    FieldInfo,
    *PYDANTIC_VALIDATORS,
)

PLAIN = {bool, bytes, float, int, str, type(None)}
"""Types that are surely no SQL expressions."""

_rules: WeakKeyDictionary[type[Any], dict[str, FieldRule]] = WeakKeyDictionary()


class FieldRule:
    """
    The rule of one field.

    Args:
        model: The model class's name.
        field: The field's name.
        annotation: What stands inside ``Mapped[…]``.
    """

    def __init__(self, model: str, field: str, annotation: Any) -> None:
        self.model = model
        self.field = field
        # The adapter's own method adds a microsecond, which bulk writes pay for every value.
        self._validate = pydantic.TypeAdapter[Any](annotation).validator.validate_python
        self._is_decimal = Decimal in _plain_types(annotation)

    def check(self, value: Any) -> Any:
        """
        Check a value.

        Returns:
            The value, as a rule that changes it (such as one that strips white space)
            leaves it. SQL expressions pass unchecked.

        Raises:
            FieldValidationError: The rule does not hold.
        """
        if type(value) not in PLAIN and _is_expression(value):
            return value
        if self._is_decimal and type(value) is int:
            value = Decimal(value)
        try:
            return self._validate(value, strict=True)
        except pydantic.ValidationError as error:
            rule = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise FieldValidationError(self.model, self.field, rule, value) from None


def _is_expression(value: object) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def check_fields(mapper: Mapper[Any], model: type[Any]) -> None:
    """Listen to SQLAlchemy's ``mapper_configured`` and check each field that has rules."""
    for field, rule in rules_of(model).items():
        if field in mapper.column_attrs:
            _listen(getattr(model, field), rule)


def rules_of(model: type[Any]) -> dict[str, FieldRule]:
    """Find the fields of a model whose annotation has rules; any class may be asked."""
    if model not in _rules:
        _rules[model] = {
            field: FieldRule(model.__name__, field, annotation)
            for field, annotation in _mapped_annotations(model)
            if any(isinstance(item, RULES) for item in _metadata(annotation))
        }
    return _rules[model]


def annotations_of(model: type[Any]) -> dict[str, Any]:
    """Give what stands inside ``Mapped[…]`` by field, rules included; any class may be asked."""
    return dict(_mapped_annotations(model))


def checked_values(model: type[Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Check values that are written without an object, as bulk writes do.

    Returns:
        The values, as the rules leave them.

    Raises:
        FieldValidationError: A rule does not hold.
    """
    rules = rules_of(model)
    checked = {name: rule.check(values[name]) for name, rule in rules.items() if name in values}
    return {**values, **checked} if checked else values


def _listen(attribute: Any, rule: FieldRule) -> None:
    @event.listens_for(attribute, "set", retval=True)
    def check(_entity: Any, value: Any, _old: Any, _initiator: Any) -> Any:
        return rule.check(value)


def _mapped_annotations(model: type[Any]) -> Iterator[tuple[str, Any]]:
    for base in reversed(model.__mro__):
        for field, annotation in inspect.get_annotations(base).items():
            resolved = _resolve(base, field, annotation)
            if get_origin(resolved) is Mapped:
                yield field, get_args(resolved)[0]


def _resolve(owner: type[Any], field: str, annotation: Any) -> Any:
    holder = types.SimpleNamespace(__annotations__={field: annotation})
    module = sys.modules.get(owner.__module__)
    try:
        return typing.get_type_hints(
            holder, vars(module) if module else {}, dict(vars(owner)), include_extras=True
        )[field]
    except (NameError, TypeError, AttributeError):
        # A relationship to a model that is defined later: it has no rules.
        return None


def _metadata(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        if get_origin(argument) is not None:
            yield from _metadata(argument)


def _plain_types(annotation: Any) -> set[Any]:
    arguments = get_args(annotation)
    if not arguments:
        return {annotation}
    return {found for argument in arguments for found in _plain_types(argument)}
