"""
How JSON is written and read.

Read by msgspec, which takes a sixth of the time of Python's own module; what it refuses (``1e400``,
a lone surrogate, NaN in a text that something else stored) is left to that one, so that nothing
reads otherwise than before. Written by Python's own, which refuses what is no JSON.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = ["dumps", "dumps_quickly", "loads"]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

dumps = json.JSONEncoder(allow_nan=False).encode
"""Write a value; what is no JSON is refused everywhere, as servers do."""


def dumps_quickly(value: Any) -> str:
    """
    Write a value for a server that keeps no text of it, so that spaces and escapes do not matter.

    msgspec writes more than JSON has: NaN as null, a moment as a text. So it is read again, and
    what does not come back as it was is left to Python's own.
    """
    try:
        written = _encode(value)
        if _decode(written) == value:
            return written.decode()
    except Exception:  # noqa: BLE001, S110  whatever it is, the other one says what is wrong
        pass
    return dumps(value)


def loads(text: str | bytes) -> Any:
    """Read a text."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(text)
