"""asyncmy, the fastest asynchronous driver for MySQL."""

from __future__ import annotations

import asyncmy
from asyncmy.cursors import SSCursor

from benchmarks.speed.floors.mysql import MySQLFloor

__all__ = ["FLOOR"]


def FLOOR() -> MySQLFloor:  # noqa: N802  in place of a class
    """Make the floor."""
    return MySQLFloor(asyncmy, SSCursor)
