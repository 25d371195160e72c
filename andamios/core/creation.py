"""
Creating and dropping tables while others do the same.

Several workers that start at once all see that a table is missing, and all but one of them
would fail to create it. A lock of the server lets them go one after the other; SQLite's
transaction is such a lock already.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["COMPANIONS", "one_at_a_time"]

COMPANIONS = "andamios_companions"
"""In the ``info`` of a table: tables that it is not complete without."""

LOCK = {
    "postgresql": "SELECT pg_advisory_xact_lock(hashtext('andamios.create_all'))",
    "mysql": "SELECT GET_LOCK('andamios.create_all', 60)",
    "mariadb": "SELECT GET_LOCK('andamios.create_all', 60)",
}
"""Takes the lock; PostgreSQL's ends with the transaction."""

UNLOCK = dict.fromkeys(("mysql", "mariadb"), "SELECT RELEASE_LOCK('andamios.create_all')")


@asynccontextmanager
async def one_at_a_time(connection: AsyncConnection) -> AsyncIterator[None]:
    """
    Keep others of this server from creating or dropping tables in the block.

    Args:
        connection: In a transaction.
    """
    backend = connection.dialect.name
    if backend in LOCK:
        await connection.execute(text(LOCK[backend]))
    try:
        yield
    finally:
        if backend in UNLOCK and not connection.invalidated:
            await connection.execute(text(UNLOCK[backend]))
