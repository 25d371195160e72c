"""The server behind an engine, as its administrator sees it."""

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from andamios import AndamiosEngine

__all__ = ["Server", "eventually", "other_connections"]

BACKEND_ID = {
    "postgresql": text("SELECT pg_backend_pid()"),
    "mysql": text("SELECT CONNECTION_ID()"),
}

# Of this worker's database only: others use the same server.
TRANSACTIONS = {
    "postgresql": text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
    ),
    # Not innodb_trx, which is gathered anew only when nobody has looked for a tenth of a second
    # (MySQL Reference Manual, "InnoDB INFORMATION_SCHEMA Transaction and Locking Information").
    "mysql": text("SHOW ENGINE INNODB STATUS"),
}

ACTIVE = re.compile(
    r"^---TRANSACTION \S+, ACTIVE.*\n(?:(?!---).*\n)*?\w+ thread id (\d+)", re.MULTILINE
)
"""In InnoDB's status: the thread of a transaction that is open."""

SLEEP = {"postgresql": "SELECT pg_sleep(:seconds)", "mysql": "SELECT SLEEP(:seconds)"}

COUNT = (
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < :seconds * 4000000)"
    " SELECT count(*) FROM n"
)
"""How SQLite spends time: about this long, on an ordinary machine."""


class Server:
    """
    What a test asks of a server behind the back of the engine under test.

    Args:
        engine: An engine of its own, so that it disturbs no pool.
    """

    def __init__(self, engine: AndamiosEngine) -> None:
        self._engine = engine
        self.backend = "mysql" if engine.backend == "mariadb" else engine.backend

    async def connection_id(self, session: Any) -> Any:
        """Give the server's own number for a session's connection."""
        if self.backend == "sqlite":
            connection = await session.connection()
            return id((await connection.get_raw_connection()).driver_connection)
        return await session.scalar(BACKEND_ID[self.backend])

    async def kill(self, connection_id: int) -> None:
        """End a connection from the server's side."""
        statement = {
            "postgresql": f"SELECT pg_terminate_backend({connection_id})",
            "mysql": f"KILL {connection_id}",
        }[self.backend]
        async with self._autocommit() as connection:
            await connection.execute(text(statement))

    async def open_transactions(self) -> int:
        """Count others' transactions in this database; on SQLite and MySQL, those that write."""
        if self.backend == "sqlite":
            return await asyncio.to_thread(_sqlite_writers, str(self._engine.url.database))
        async with self._autocommit() as connection:
            row = (await connection.execute(TRANSACTIONS[self.backend])).one()
            if self.backend == "postgresql":
                return int(row[0])
            found = map(int, ACTIVE.findall(row[-1]))
            others = {other["Id"] for other in await other_connections(connection)}
            return len(others.intersection(found))

    async def uptime(self) -> int:
        """Tell for how many seconds MySQL has been up."""
        async with self._autocommit() as connection:
            found = await connection.execute(text("SHOW GLOBAL STATUS LIKE 'Uptime'"))
            return int(found.one()[1])

    def slow(self, seconds: float = 1) -> Any:
        """Give a statement that takes this long."""
        return text(SLEEP.get(self.backend, COUNT)).bindparams(seconds=seconds)

    def _autocommit(self) -> Any:
        return self._engine.async_engine.execution_options(isolation_level="AUTOCOMMIT").connect()


async def other_connections(connection: AsyncConnection) -> list[RowMapping]:
    """
    Tell what else is connected to this database on MySQL.

    By SHOW: a SELECT from the list fails while any statement of the server holds an emoji.
    """
    mine, name = (await connection.execute(text("SELECT connection_id(), database()"))).one()
    listed = await connection.execute(text("SHOW PROCESSLIST"))
    return [row for row in listed.mappings() if row["db"] == name and row["Id"] != mine]


def _sqlite_writers(path: str) -> int:
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return 1
        other.execute("ROLLBACK")
        return 0


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> bool:
    """Wait until a condition holds; False when it does not in this time."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True
