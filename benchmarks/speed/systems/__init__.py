"""
Andamios and its peers, one file each, doing what their documentation recommends.

A file's docstring says what its system was asked to do.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["DRIVERS", "SYSTEMS", "make_system"]

EVERYWHERE = frozenset({"postgresql", "sqlite", "mysql"})

SYSTEMS: dict[str, frozenset[str]] = {
    "andamios": EVERYWHERE,
    "sqlalchemy_core": EVERYWHERE,
    "sqlalchemy_orm": EVERYWHERE,
    "sqlmodel": EVERYWHERE,
    "advanced_alchemy": EVERYWHERE,
    "tortoise": EVERYWHERE,
    "piccolo": frozenset({"postgresql"}),
    "django": frozenset({"postgresql", "sqlite"}),
    "psycopg": frozenset({"postgresql"}),
}
"""The backends of each."""

DRIVERS = frozenset({"psycopg"})
"""Those that are drivers, to compare with and not to compete with."""


def make_system(name: str) -> Any:
    """
    Make a system.

    Args:
        name: Of its module.

    Raises:
        ImportError: It is not installed.
    """
    return import_module(f"{__name__}.{name}").SYSTEM()
