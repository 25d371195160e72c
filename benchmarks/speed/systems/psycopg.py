"""
psycopg 3, the other asynchronous driver for PostgreSQL: its pool, autocommit, rows as dicts.

A connection from the pool for each operation, statements prepared by psycopg itself after the
fifth time, jsonb by orjson, many rows by COPY, updated and upserted from arrays as by the floor.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from psycopg.rows import dict_row, scalar_row
from psycopg.types.json import Jsonb, set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool

from benchmarks.speed.schema import CHILD_COLUMNS, COLUMNS, DATA
from benchmarks.speed.sql import ALL, ARRAYS, CHILD, ROW, SET_EXCLUDED, joined
from benchmarks.speed.system import POOL, in_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from psycopg import AsyncConnection

    from benchmarks.speed.system import Values

__all__ = ["SYSTEM", "Psycopg"]

BY_KEY = f"{ALL} WHERE id = %s"
INSERT = (
    f"INSERT INTO {ROW} ({', '.join(DATA)}) VALUES ({', '.join(['%s'] * len(DATA))}) RETURNING id"
)
JOIN = joined("%s", "%s")
CHILDREN = f"SELECT {', '.join(CHILD_COLUMNS)} FROM {CHILD} WHERE row_id = ANY(%s) ORDER BY id"
UPDATE = (
    f"UPDATE {ROW} AS r SET visits = n.visits, note = n.note "
    "FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS n(id, visits, note) WHERE r.id = n.id"
)
UPSERT = (
    f"INSERT INTO {ROW} ({', '.join(DATA)}) "
    f"SELECT * FROM unnest({', '.join(f'%s::{kind}[]' for kind in ARRAYS)}) {SET_EXCLUDED}"
)


class Psycopg:
    """A driver."""

    async def open(self, url: str) -> None:
        set_json_loads(orjson.loads)
        set_json_dumps(orjson.dumps)
        options = {"autocommit": True, "row_factory": dict_row}
        self._pool: Any = AsyncConnectionPool(
            url, min_size=1, max_size=POOL, kwargs=options, open=False
        )
        await self._pool.open(wait=True)

    async def close(self) -> None:
        await self._pool.close()

    async def _one(self, sql: str, *values: Any) -> Any:
        async with self._pool.connection() as connection:
            return await (await connection.execute(sql, values)).fetchone()

    async def _all(self, sql: str, *values: Any) -> Any:
        async with self._pool.connection() as connection:
            return await (await connection.execute(sql, values)).fetchall()

    async def _write(self, sql: str, *values: Any) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(sql, values)

    async def get(self, key: int) -> Any:
        return await self._one(BY_KEY, key)

    async def get_by_email(self, email: str) -> Any:
        return await self._one(f"{ALL} WHERE email = %s", email)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[_Session]:
        async with self._pool.connection() as connection, connection.transaction():
            yield _Session(connection)

    async def get_in_transaction(self, key: int) -> Any:
        async with self.session() as session:
            return await session.get(key)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await self._all(f"{ALL} ORDER BY id LIMIT %s", count)

    async def dicts(self, count: int) -> Sequence[Any]:
        return await self.list_rows(count)

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        sql = f"{ALL} WHERE city = %s AND age >= %s ORDER BY id LIMIT %s"
        return await self._all(sql, city, age, count)

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        return await self._all(JOIN, first, count)

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        rows = await self._all(f"{ALL} WHERE id >= %s ORDER BY id LIMIT %s", first, count)
        families: dict[int, tuple[Any, list[Any]]] = {row["id"]: (row, []) for row in rows}
        for child in await self._all(CHILDREN, list(families)):
            families[child["row_id"]][1].append(child)
        return [*families.values()]

    async def count(self, first: int, last: int) -> int:
        sql = f"SELECT count(*) AS n FROM {ROW} WHERE id BETWEEN %s AND %s"
        return (await self._one(sql, first, last))["n"]

    async def insert(self, values: Values) -> Any:
        return (await self._one(INSERT, *_bound(values)))["id"]

    async def update(self, key: int, visits: int) -> Any:
        await self._write(f"UPDATE {ROW} SET visits = %s WHERE id = %s", visits, key)

    async def delete(self, key: int) -> Any:
        await self._write(f"DELETE FROM {ROW} WHERE id = %s", key)

    async def change(self, key: int, visits: int) -> Any:
        if await self.get(key) is not None:
            await self.update(key, visits)

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await self._copy(DATA, map(_bound, rows))

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        sql = f"SELECT nextval(pg_get_serial_sequence('{ROW}', 'id')) FROM generate_series(1, %s)"
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            keys = await (await cursor.execute(sql, (len(rows),))).fetchall()
        pairs = zip(keys, rows, strict=True)
        await self._copy(COLUMNS, ((key, *_bound(values)) for key, values in pairs))
        return keys

    async def _copy(self, columns: tuple[str, ...], rows: Any) -> None:
        sql = f"COPY {ROW} ({', '.join(columns)}) FROM STDIN"
        async with (
            self._pool.connection() as connection,
            connection.cursor() as cursor,
            cursor.copy(sql) as copy,
        ):
            for row in rows:
                await copy.write_row(row)

    async def update_many(self, rows: list[Values]) -> Any:
        columns = ("id", "visits", "note")
        await self._write(UPDATE, *([values[name] for values in rows] for name in columns))

    async def upsert_many(self, rows: list[Values]) -> Any:
        await self._write(UPSERT, *map(list, zip(*map(_bound, rows), strict=True)))

    async def iterate(self) -> AsyncGenerator[Any, None]:
        async with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor("every_row") as cursor,
        ):
            cursor.itersize = 1000
            await cursor.execute(ALL)
            async for row in cursor:
                yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self.get, keys)


class _Session:
    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def get(self, key: int) -> Any:
        return await (await self._connection.execute(BY_KEY, (key,))).fetchone()


def _bound(values: Values) -> tuple[Any, ...]:
    return tuple((values | {"details": Jsonb(values["details"])}).values())


SYSTEM = Psycopg
