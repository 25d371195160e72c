"""
Cursors: where a page ends, as a text that a client hands back.

A cursor holds the values of the order keys and a signature. It is signed with
``ANDAMIOS_CURSOR_KEY`` from the environment, the same for all processes that serve the
same pages. Without it the key follows from the model and its order, which finds
mistakes (a cut-off cursor, one of another query) but not forgery; all that a forged
cursor can do is start at another place of the same result. Values are not encrypted.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import hashlib
import hmac
import json
import os
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from andamios.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Position", "decode", "encode"]

SIGNATURE_BYTES = 16
INVALID = (
    "This cursor is not valid for this query: it was changed, cut off, or made for another order."
)

UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a text that nobody here wrote can end in."""


@dataclass(frozen=True, slots=True)
class Position:
    """
    A place between two results.

    Args:
        values: What the result next to it is ordered by.
        backwards: Whether to read towards the beginning.
        inclusive: Whether that result itself belongs to the page.
    """

    values: tuple[Any, ...]
    backwards: bool = False
    inclusive: bool = False


def encode(position: Position, order: str) -> str:
    """
    Write a cursor.

    Args:
        position: The place.
        order: Model and order, as text; only a query with the same reads the cursor.

    Raises:
        QueryError: A value is of a type that cursors do not hold.
    """
    flags = 2 * position.inclusive + position.backwards
    content = json.dumps([flags, *map(_packed, position.values)], separators=(",", ":"))
    payload = content.encode()
    return base64.urlsafe_b64encode(_signature(payload, order) + payload).decode().rstrip("=")


def decode(cursor: str, order: str, types: Sequence[Any]) -> Position:
    """
    Read a cursor.

    Args:
        cursor: What a client handed back.
        order: Model and order of the query that reads it.
        types: The SQL types of the order keys.

    Raises:
        QueryError: It was changed, or made for another query.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, _signature(payload, order)):
            raise QueryError(INVALID)
        flags, *packed = json.loads(payload)
        values = tuple(_unpacked(item, kind) for item, kind in zip(packed, types, strict=True))
        return Position(values, backwards=bool(flags & 1), inclusive=bool(flags & 2))
    except UNREADABLE as error:
        raise QueryError(INVALID) from error


def _signature(payload: bytes, order: str) -> bytes:
    key = os.environ.get("ANDAMIOS_CURSOR_KEY") or "andamios"
    context = hashlib.sha256(order.encode()).digest()
    return hmac.digest(key.encode(), context + payload, "sha256")[:SIGNATURE_BYTES]


PACK: dict[type[Any], tuple[str, Callable[[Any], Any]]] = {
    float: ("f", float.hex),
    Decimal: ("d", str),
    dt.datetime: ("t", dt.datetime.isoformat),
    dt.date: ("D", dt.date.isoformat),
    dt.time: ("T", dt.time.isoformat),
    dt.timedelta: ("i", lambda value: [value.days, value.seconds, value.microseconds]),
    uuid.UUID: ("u", str),
    bytes: ("b", bytes.hex),
}
"""The types that JSON does not have: a tag, and how to write one."""

UNPACK: dict[str, Callable[[Any], Any]] = {
    "f": float.fromhex,
    "d": Decimal,
    "t": dt.datetime.fromisoformat,
    "D": dt.date.fromisoformat,
    "T": dt.time.fromisoformat,
    "i": lambda parts: dt.timedelta(*parts),
    "u": uuid.UUID,
    "b": bytes.fromhex,
}


def _packed(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return ["e", value.name]
    if value is None or isinstance(value, bool | int | str):
        return value
    for kind in type(value).__mro__:
        if kind in PACK:
            tag, write = PACK[kind]
            return [tag, write(value)]
    raise QueryError(f"A cursor cannot hold a {type(value).__name__}; order by something else")


def _unpacked(item: Any, column_type: Any) -> Any:
    if not isinstance(item, list):
        return item
    tag, text = item
    return column_type.enum_class[text] if tag == "e" else UNPACK[tag](text)
