"""
What is measured of flights, as SQL expressions that give the same number everywhere.

``avg`` of whole numbers is a float on SQLite, a decimal on PostgreSQL, and a decimal of
four digits on MySQL. A sum of whole numbers, made a 64-bit float and divided, is the same
on all three, so that answers can be compared to the last digit.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Double, case, cast, func

__all__ = ["ON_TIME", "band", "mean", "share"]

ON_TIME = 15
"""Minutes: the aviation authorities call a flight late from then on."""


def mean(column: Any) -> ColumnElement[Any]:
    """Give the mean of a column of whole numbers, over the rows that have one."""
    return cast(func.sum(column), Double) / func.count(column)


def share(condition: Any) -> ColumnElement[Any]:
    """Give how many in a hundred rows fulfil a condition, of those where it is known."""
    hits = func.sum(case((condition, 100), (~condition, 0)))
    return cast(hits, Double) / func.count(case((condition, 1), (~condition, 0)))


def band(value: Any, *edges: int) -> ColumnElement[int]:
    """Sort a value into bands: give the largest of the edges that it reaches."""
    return case(*((value >= edge, edge) for edge in sorted(edges, reverse=True)))
