"""Values of each type of column: usual ones, those at the edge, and wrong ones."""

import datetime as dt
import decimal
import math
import uuid
from typing import Any

from harness.conformance.models import ConformanceColour

__all__ = ["MOMENT", "VALUES", "WRONG"]

MOMENT = dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC)
LIMA = dt.timezone(dt.timedelta(hours=-5))
D = decimal.Decimal

TEXTS = [
    "ana",
    "Ana",
    "José",
    "100%",
    "1000",
    "a_b",
    "a/b",
    "a\\b",
    "it's",
    "",
    " ",
    "🧉",
    ":x %s $1 ?",
]

VALUES: dict[str, list[Any]] = {
    "label": TEXTS,
    "short": ["a", "🧉" * 10, ""],
    "long": ["añ🧉" * 500, "ana", ""],
    "whole": [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1],
    "ratio": [0.0, -0.0, 0.1 + 0.2, math.pi, -1e-300, 1.7976931348623157e308, 1.0],
    "amount": [D("0.1"), D(0), D("-2.00005"), D("12345678901.2345"), D("1E+2")],
    "exact": [D("12345678901234567890.0123456789"), D("-0.0000000001"), D(9), D(10)],
    "flag": [True, False],
    "moment": [
        MOMENT,
        MOMENT.astimezone(LIMA),
        MOMENT.replace(year=1000, day=28),
        MOMENT.replace(microsecond=0),
    ],
    "day": [dt.date(2024, 2, 29), dt.date(1000, 1, 1), dt.date(9999, 12, 31)],
    "clock": [dt.time(23, 59, 59, 999_999), dt.time(0), dt.time(12, 30)],
    "span": [
        dt.timedelta(0),
        dt.timedelta(microseconds=-1),
        dt.timedelta(days=100, microseconds=1),
    ],
    "code": [uuid.UUID(int=255), uuid.UUID("00000000-0000-4000-8000-0000000000ff")],
    "colour": [ConformanceColour.RED, ConformanceColour.GREEN],
    "data": [b"", bytes(range(256)), b"\x00", b"a"],
    "document": [{}, {"a": None}, {"a": 1, "b": [None, "é", {"c": 0.1}]}, {"a": 1}],
    "items": [[], [1, "x"], [[1], None, True]],
}
"""Values of each column; the rows have them in turn, and one row has none."""

WRONG: list[Any] = [
    "x",
    1,
    1.5,
    True,
    b"x",
    D(1),
    MOMENT.replace(tzinfo=None),
    [],
    {},
    object,
    math.nan,
    "a\x00b",
]
"""Values of wrong types, for most columns; naive moments and the like are among them."""
