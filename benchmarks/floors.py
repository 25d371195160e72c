"""The floors: what the raw driver needs for the same rows, with nothing on top."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy.engine import URL, make_url

COLUMNS = "name, email, city, age, visits, score, is_active, seen_at, balance, note, details"


class Floor(Protocol):
    """A held connection of a raw driver."""

    async def get(self, key: int) -> Any:
        """Read one row by its key."""

    async def list_rows(self, count: int) -> Sequence[Any]:
        """Read the first rows."""

    async def insert(self, row: dict[str, Any]) -> Any:
        """Write one row and get its key."""

    async def close(self) -> None:
        """End the connection."""


async def open_floor(url: str) -> Floor:
    """Open the raw driver that a URL leads to."""
    parsed = make_url(url)
    openers = {"sqlite": open_sqlite, "postgresql": open_asyncpg, "mysql": open_aiomysql}
    return await openers[parsed.get_backend_name()](parsed)


class AsyncpgFloor:
    """asyncpg."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def get(self, key: int) -> Any:
        return await self._connection.fetchrow("SELECT * FROM bench_row WHERE id = $1", key)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await self._connection.fetch("SELECT * FROM bench_row ORDER BY id LIMIT $1", count)

    async def insert(self, row: dict[str, Any]) -> Any:
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        sql = f"INSERT INTO bench_row ({COLUMNS}) VALUES ({places}) RETURNING id"
        return await self._connection.fetchval(sql, *row.values())

    async def close(self) -> None:
        await self._connection.close()


async def open_asyncpg(url: URL) -> Floor:
    import asyncpg

    connection = await asyncpg.connect(
        url.set(drivername="postgresql").render_as_string(hide_password=False)
    )
    await connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )
    return AsyncpgFloor(connection)


class SQLiteFloor:
    """sqlite3, the whole statement in one hop to a thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def get(self, key: int) -> Any:
        sql = "SELECT * FROM bench_row WHERE id = ?"
        return await asyncio.to_thread(lambda: self._connection.execute(sql, (key,)).fetchone())

    async def list_rows(self, count: int) -> Sequence[Any]:
        sql = "SELECT * FROM bench_row ORDER BY id LIMIT ?"
        return await asyncio.to_thread(lambda: self._connection.execute(sql, (count,)).fetchall())

    async def insert(self, row: dict[str, Any]) -> Any:
        values = row | {
            "seen_at": row["seen_at"].replace(tzinfo=None).isoformat(" "),
            "balance": float(row["balance"]),
            "details": json.dumps(row["details"]),
        }
        places = ", ".join("?" * len(row))
        sql = f"INSERT INTO bench_row ({COLUMNS}) VALUES ({places})"
        return await asyncio.to_thread(
            lambda: self._connection.execute(sql, tuple(values.values())).lastrowid
        )

    async def close(self) -> None:
        self._connection.close()


async def open_sqlite(url: URL) -> Floor:
    connection = sqlite3.connect(
        url.database or "", isolation_level=None, check_same_thread=False, timeout=10
    )
    return SQLiteFloor(connection)


class AiomysqlFloor:
    """aiomysql."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def get(self, key: int) -> Any:
        async with self._connection.cursor() as cursor:
            await cursor.execute("SELECT * FROM bench_row WHERE id = %s", (key,))
            return await cursor.fetchone()

    async def list_rows(self, count: int) -> Sequence[Any]:
        async with self._connection.cursor() as cursor:
            await cursor.execute("SELECT * FROM bench_row ORDER BY id LIMIT %s", (count,))
            return await cursor.fetchall()

    async def insert(self, row: dict[str, Any]) -> Any:
        values = row | {
            "seen_at": row["seen_at"].replace(tzinfo=None),
            "details": json.dumps(row["details"]),
        }
        places = ", ".join(["%s"] * len(row))
        async with self._connection.cursor() as cursor:
            await cursor.execute(
                f"INSERT INTO bench_row ({COLUMNS}) VALUES ({places})", tuple(values.values())
            )
            return cursor.lastrowid

    async def close(self) -> None:
        self._connection.close()


async def open_aiomysql(url: URL) -> Floor:
    import aiomysql

    connection = await aiomysql.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        db=url.database,
        autocommit=True,
    )
    return AiomysqlFloor(connection)
