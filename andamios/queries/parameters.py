"""
Filters from the query string of a URL: which are offered, and what their texts mean.

A program names the filters that it offers: an open list would let a client feel its way
through columns that are not for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pydantic

from andamios.errors import ConfigurationError, DataError, UnknownFieldError
from andamios.models.types import UTCDateTime
from andamios.queries.fields import field, relationship_of
from andamios.queries.operators import OPERATORS, SYNONYMS
from andamios.queries.values import python_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["QueryParams", "filters_of", "parameter_type"]

QueryParams = str | Mapping[str, Any] | Iterable[tuple[str, str]]
"""A URL or its query string, a mapping of texts or lists of texts, or pairs of texts."""

COLLECTIONS = {"in", "not_in", "between"}


def filters_of(
    model: type[Any], params: QueryParams, offered: tuple[str, ...], ignore: Collection[str]
) -> dict[str, Any]:
    """
    Turn texts into values for a dict of filters.

    Args:
        model: The mapped class.
        params: What a client sent.
        offered: The filters that there are, as in a dict.
        ignore: Parameters that are somebody else's, such as a page's.

    Raises:
        DataError: A text that is no value of its column, or one too many.
        UnknownFieldError: A parameter that is not offered: a misspelt filter would
            otherwise give everything.
    """
    for name in offered:
        parameter_type(model, name)
    found: dict[str, list[str]] = {}
    for name, text in _pairs(params):
        if name in offered:
            found.setdefault(name, []).append(text)
        elif name not in ignore:
            raise UnknownFieldError(f"Filter {name!r:.60} of {model.__name__} is not offered.")
    return {name: _value(model, name, texts) for name, texts in found.items()}


def parameter_type(model: type[Any], name: str) -> Any:
    """
    Give the Python type of a filter's value.

    Args:
        model: The mapped class.
        name: As in a dict of filters: ``"age__gte"``, ``"profile.city"``, ``"id__in"``.

    Raises:
        ConfigurationError: Its column holds no simple values.
        UnknownFieldError: No such field.
    """
    path, operator = split(name)
    if operator == "is_null":
        _attribute(model, path, may_end_at_relationship=True)
        return bool
    kind = _value_type(_attribute(model, path))
    return list[kind] if operator in COLLECTIONS else kind  # type: ignore[valid-type]  # a value


def split(name: str) -> tuple[str, str]:
    """Part the name of a filter from its operator."""
    path, _, operator = name.rpartition("__")
    operator = SYNONYMS.get(operator, operator)
    return (path, operator) if path and operator in OPERATORS else (name, "eq")


def _pairs(params: QueryParams) -> Iterator[tuple[str, str]]:
    if isinstance(params, str):
        is_whole = "://" in params.partition("?")[0] or params.startswith("/")
        text = urlsplit(params).query if is_whole else params.removeprefix("?")
        yield from parse_qsl(text, keep_blank_values=True)
        return
    if hasattr(params, "multi_items"):  # Starlette's, which forgets all but the last as a dict
        yield from params.multi_items()
        return
    for name, value in params.items() if isinstance(params, Mapping) else params:
        yield from ((name, each) for each in ([value] if isinstance(value, str) else value))


def _value(model: type[Any], name: str, texts: list[str]) -> Any:
    is_collection = split(name)[1] in COLLECTIONS
    if len(texts) > 1 and not is_collection:
        raise DataError(f"Filter {name!r} of {model.__name__} takes one value, not {len(texts)}.")
    try:
        adapter = pydantic.TypeAdapter[Any](parameter_type(model, name))
        return adapter.validate_python(texts if is_collection else texts[0])
    except pydantic.ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise DataError(f"Filter {name!r} of {model.__name__}: {problem}") from None


def _attribute(model: type[Any], path: str, *, may_end_at_relationship: bool = False) -> Any:
    name, _, rest = path.partition(".")
    attribute = field(model, name)
    relationship = relationship_of(attribute)
    if relationship is not None and not rest and may_end_at_relationship:
        return attribute
    if (relationship is not None) != bool(rest):
        raise UnknownFieldError(f"{model.__name__}.{path} is no column to filter by")
    if relationship is None:
        return attribute
    target = relationship.mapper.class_
    return _attribute(target, rest, may_end_at_relationship=may_end_at_relationship)


def _value_type(attribute: Any) -> Any:
    if isinstance(attribute.type, UTCDateTime):
        return pydantic.AwareDatetime
    kind = python_type(attribute.type)
    if kind is None:
        raise ConfigurationError(f"{attribute} holds no simple values to filter by")
    return kind
