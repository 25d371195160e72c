"""aiomysql, in pure Python: slower than asyncmy, and Andamios' default."""

from __future__ import annotations

import aiomysql

from benchmarks.speed.floors.mysql import MySQLFloor

__all__ = ["FLOOR"]


def FLOOR() -> MySQLFloor:  # noqa: N802  in place of a class
    """Make the floor."""
    return MySQLFloor(aiomysql, aiomysql.SSCursor)
