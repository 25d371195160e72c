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
from typing import TYPE_CHECKING, Any, get_args, get_origin
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.orm import Mapped

from andamios.models.imported import imported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.orm import Mapper

    from andamios.models.field_rule import FieldRule

__all__ = ["annotations_of", "check_fields", "checked_values", "is_rule", "rules_of"]

RULES = {
    "annotated_types": ("BaseMetadata",),
    "pydantic.fields": ("FieldInfo",),
    "pydantic.functional_validators": (
        "AfterValidator",
        "BeforeValidator",
        "PlainValidator",
        "WrapValidator",
    ),
}
"""Whose instances are rules, by module."""

_rules: WeakKeyDictionary[type[Any], dict[str, FieldRule]] = WeakKeyDictionary()


def check_fields(mapper: Mapper[Any], model: type[Any]) -> None:
    """Listen to SQLAlchemy's ``mapper_configured`` and check each field that has rules."""
    for field, rule in rules_of(model).items():
        if field in mapper.column_attrs:
            _listen(getattr(model, field), rule)


def rules_of(model: type[Any]) -> dict[str, FieldRule]:
    """Find the fields of a model whose annotation has rules; any class may be asked."""
    if model not in _rules:
        _rules[model] = {
            field: _rule(model.__name__, field, annotation)
            for field, annotation in _mapped_annotations(model)
            if any(map(is_rule, _metadata(annotation)))
        }
    return _rules[model]


def is_rule(item: object) -> bool:
    """Whether an item of an ``Annotated`` is a rule."""
    # What anybody may have made after the protocol of annotated-types.
    if hasattr(item, "__is_annotated_types_grouped_metadata__"):
        return True
    return any(isinstance(item, imported(module, *names)) for module, names in RULES.items())


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


def _rule(model: str, field: str, annotation: Any) -> FieldRule:
    from andamios.models.field_rule import FieldRule  # noqa: PLC0415  pydantic takes long to import

    return FieldRule(model, field, annotation)


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
