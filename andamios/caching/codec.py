"""
Values as text and back: JSON, in which anything that JSON does not know is tagged.

Not pickle, since whoever can write to Redis could make a process run what they like.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import json
import sys
import uuid
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Row, result_tuple

from andamios.caching.entities import is_entity, rebuilt, taken_apart
from andamios.errors import CacheError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["decode", "encode"]

PLAIN = {type(None), bool, int, float, str}

# By exact type: a child of one of them would come back as its parent.
WRITERS: dict[type[Any], tuple[str, Callable[[Any], Any]]] = {
    dt.datetime: ("datetime", dt.datetime.isoformat),
    dt.date: ("date", dt.date.isoformat),
    dt.time: ("time", dt.time.isoformat),
    dt.timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("decimal", str),
    uuid.UUID: ("uuid", str),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
}

READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda parts: dt.timedelta(*parts),
    "decimal": Decimal,
    "uuid": uuid.UUID,
    "bytes": base64.b64decode,
    "enum": lambda parts: _enum(*parts[:2])[parts[2]],
    "flag": lambda parts: _enum(*parts[:2])(parts[2]),
}

# Of values that were read already.
BUILDERS: dict[str, Callable[[Any], Any]] = {
    "dict": dict,
    "row": lambda parts: result_tuple(parts[0])(parts[1]),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}

SEQUENCES: dict[type[Any], str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}


def encode(value: Any) -> str:
    """
    Write a value as text.

    Args:
        value: Plain values, dates and times, Decimal, UUID, bytes, Enum, lists, tuples, sets,
            dicts, rows, and stored objects of models.

    Raises:
        CacheError: A value of another type.
    """
    writer = _Writer()
    root = writer.write(value)
    return json.dumps([root, writer.nodes], separators=(",", ":"))


def decode(text: str) -> Any:
    """
    Read a value that :func:`encode` wrote; each call gives new objects.

    Raises:
        LookupError: It holds an object of a class that is not there or has changed.
    """
    root, nodes = json.loads(text)
    entities = rebuilt([tuple(node) for node in nodes], _read)
    return _read(root, entities)


class _Writer:
    """Writes one value; each object in it once, so that circles end."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self._numbers: dict[int, int] = {}

    def write(self, value: Any) -> Any:
        kind = type(value)
        if kind in PLAIN:
            return value
        if kind is list:
            return [self.write(item) for item in value]
        if kind in WRITERS:
            tag, convert = WRITERS[kind]
            return {tag: convert(value)}
        if kind is dict:
            return {"dict": [[self.write(k), self.write(v)] for k, v in value.items()]}
        if kind in SEQUENCES:
            return {SEQUENCES[kind]: [self.write(item) for item in value]}
        return self._special(value)

    def _special(self, value: Any) -> Any:
        if isinstance(value, enum.Enum) and _is_found(kind := type(value)):
            where = [kind.__module__, kind.__qualname__]
            # Several flags together have no name of their own.
            if isinstance(value, enum.Flag):
                return {"flag": [*where, value.value]}
            return {"enum": [*where, value.name]}
        if isinstance(value, uuid.UUID):
            # asyncpg has a child of its own for what is equal to it.
            return {"uuid": str(value)}
        if isinstance(value, Row):
            return {"row": [list(value._fields), [self.write(item) for item in value]]}
        if is_entity(value):
            return {"entity": self._entity(value)}
        raise CacheError(
            f"A {type(value).__name__} cannot be cached. What can: plain values, dates and times, "
            "Decimal, UUID, bytes, Enums of a module, lists, tuples, sets, dicts, rows and stored "
            "objects."
        )

    def _entity(self, entity: object) -> int:
        number = self._numbers.get(id(entity))
        if number is None:
            number = self._numbers[id(entity)] = len(self.nodes)
            self.nodes.append(None)
            name, known, columns, relationships = taken_apart(entity)
            written = [{k: self.write(v) for k, v in d.items()} for d in (columns, relationships)]
            self.nodes[number] = [name, known, *written]
        return number


def _read(value: Any, entities: list[Any]) -> Any:
    if isinstance(value, list):
        return [_read(item, entities) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "entity":
        return entities[content]
    if tag in READERS:
        return READERS[tag](content)
    return BUILDERS[tag](_read(content, entities))


def _enum(module: str, path: str) -> Any:
    """Find an Enum that is imported; a stored name must not make anything run."""
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, enum.Enum)):
        raise LookupError(path)  # noqa: TRY004  a class that is not there, not a wrong type
    return found


def _is_found(kind: type[enum.Enum]) -> bool:
    with suppress(LookupError):
        return _enum(kind.__module__, kind.__qualname__) is kind
    return False
