"""
The floors: what the raw driver needs for the same, with nothing on top.

A floor gives what a user of the raw driver would have: rows as the driver makes them, with
values equal in meaning, and writes that are durable.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.speed.system import System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.speed.system import Values

__all__ = ["FLOORS", "Floor", "make_floor"]

FLOORS = {
    "postgresql": ("asyncpg",),
    "sqlite": ("sqlite",),
    "mysql": ("asyncmy", "aiomysql"),
}
"""Modules by backend; the first is what ratios are to, others are measured beside it."""


class Floor(System, Protocol):
    """A raw driver, which also prepares what is measured and looks at what came of it."""

    async def fill(self, rows: int) -> None:
        """Store so many rows with their children in empty tables."""

    async def total(self) -> int:
        """Count all rows."""

    async def tidy(self, rows: int) -> None:
        """Remove rows that were added behind so many, and what they leave on disk."""

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        """Store many new rows and give their keys."""

    async def facts(self) -> dict[str, str]:
        """Tell the server's version, and its settings that decide about speed."""


def make_floor(name: str) -> Any:
    """
    Make a floor.

    Args:
        name: Of its module.
    """
    return import_module(f"{__name__}.{name}").FLOOR()
