"""Cursors as texts: exact for every type, and refused when they were touched."""

from __future__ import annotations

import base64
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from andamios import QueryError
from andamios.queries.cursors import Position, _signature, decode, encode


class CursorShade(enum.Enum):
    dark = 1


VALUES: list[Any] = [
    None,
    0,
    -(2**63),
    True,
    False,
    "",
    "ñandú \x00 '\"%",
    1 / 3,
    -0.0,
    1e308,
    Decimal("0.10"),
    Decimal("123456789012345678901234567890.5"),
    dt.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=dt.UTC),
    dt.datetime(2024, 2, 29, 12, 0),  # noqa: DTZ001  columns without a zone exist
    dt.date(1, 1, 1),
    dt.time(23, 59, 59, 1),
    dt.timedelta(days=-3, microseconds=1),
    uuid.UUID(int=7),
    b"\x00\xff",
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_exactly(value: Any) -> None:
    """A value keeps its type and every digit."""
    position = Position((value, 1), backwards=True, inclusive=True)
    again = decode(encode(position, "order"), "order", [sa.Integer(), sa.Integer()])

    assert position == again
    assert type(value) is type(again.values[0])
    assert repr(value) == repr(again.values[0])


def test_enums_come_back() -> None:
    """A member is found in the column's own enumeration."""
    text = encode(Position((CursorShade.dark,)), "order")

    assert (CursorShade.dark,) == decode(text, "order", [sa.Enum(CursorShade)]).values


def test_unknown_types_are_refused() -> None:
    """A value that no cursor can hold is refused when the page is made."""
    with pytest.raises(QueryError, match="complex"):
        encode(Position((1j,)), "order")


def test_any_touch_is_noticed() -> None:
    """Changing any character, cutting, or another order makes a cursor invalid."""
    cursor = encode(Position((5, "five")), "order")
    types = [sa.Integer(), sa.String()]
    for place in range(len(cursor) - 1):
        other = "A" if cursor[place] != "A" else "B"
        with pytest.raises(QueryError, match="cursor"):
            decode(cursor[:place] + other + cursor[place + 1 :], "order", types)
    for bad in ("", "x", cursor[:-4], cursor + "AAAA", "ñ", "=", base64.b64encode(b"[]").decode()):
        with pytest.raises(QueryError, match="cursor"):
            decode(bad, "order", types)
    with pytest.raises(QueryError, match="cursor"):
        decode(cursor, "other order", types)


@pytest.mark.parametrize(
    "content",
    [
        '[0,["d","no number"]]',
        '[0,["f","0x1p99999"]]',
        '[0,["i",[99999999999,0,0]]]',
        '[0,["i",5]]',
        '[0,["e","dark"]]',
        '[0,["z","unknown"]]',
        '[0,[["d"],"1"]]',
        '[0,["d"]]',
        '["x",5]',
        "[null,5]",
        "[0.5,5]",
        "[]",
        "5",
        "[" * 100_000,
        b"\xff",
    ],
    ids=lambda content: repr(content)[:30],
)
def test_nonsense_with_a_good_signature_is_refused(content: Any) -> None:
    """Whatever stands in a cursor that somebody else signed, it is a QueryError."""
    payload = content if isinstance(content, bytes) else content.encode()
    cursor = base64.urlsafe_b64encode(_signature(payload, "order") + payload).decode()

    with pytest.raises(QueryError, match="cursor"):
        decode(cursor, "order", [sa.Integer()])


def test_a_key_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cursors that were signed with another key are refused."""
    before = encode(Position((5,)), "order")
    monkeypatch.setenv("ANDAMIOS_CURSOR_KEY", "s3cret")

    assert (5,) == decode(encode(Position((5,)), "order"), "order", [sa.Integer()]).values
    with pytest.raises(QueryError):
        decode(before, "order", [sa.Integer()])


def test_cursors_are_the_same_in_every_process() -> None:
    """A cursor of today is read by another process tomorrow."""
    assert "AHkdcVZjLH1HIyxjS4GNCFswLDVd" == encode(Position((5,)), "order")
