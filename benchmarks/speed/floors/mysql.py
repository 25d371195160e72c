"""
What both drivers for MySQL do alike: a held connection that commits by itself, and plain cursors.

Rows are tuples as the driver gives them, moments without a time zone, JSON as text. Many rows go
in by statements of a thousand rows in one transaction, and are updated by a join with VALUES.
What runs in many tasks uses the driver's own pool.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from benchmarks.speed.schema import CHILD_COLUMNS, COLUMNS, DATA, child_values, row_values
from benchmarks.speed.sql import ALL, CHILD, ROW, joined
from benchmarks.speed.system import POOL, in_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

    from benchmarks.speed.system import Values

__all__ = ["MySQLFloor"]

BATCH = 1000
BY_KEY = f"{ALL} WHERE id = %s"
JOIN = joined("%s", "%s")
FACTS = ("innodb_flush_log_at_trx_commit", "innodb_doublewrite", "log_bin")
FACTS += ("innodb_buffer_pool_size",)


class MySQLFloor:
    """
    The raw driver on MySQL.

    Args:
        driver: The module with ``connect`` and ``create_pool``.
        unbuffered: Its cursor that leaves rows on the server.
    """

    def __init__(self, driver: Any, unbuffered: Any) -> None:
        self._driver = driver
        self._unbuffered = unbuffered
        self._pool: Any = None

    async def open(self, url: str) -> None:
        parsed = make_url(url)
        self._address = {
            "host": parsed.host,
            "port": parsed.port,
            "user": parsed.username,
            "password": parsed.password,
            "db": parsed.database,
            "autocommit": True,
        }
        self._connection = await self._driver.connect(**self._address)

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            await self._pool.wait_closed()
        await self._connection.ensure_closed()

    async def _one(self, sql: str, *values: Any) -> Any:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, values)
            return await cursor.fetchone()

    async def _all(self, sql: str, *values: Any) -> Sequence[Any]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, values)
            return await cursor.fetchall()

    async def _write(self, sql: str, *values: Any) -> Any:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, values)
            return cursor.lastrowid

    async def get(self, key: int) -> Any:
        return await self._one(BY_KEY, key)

    async def get_by_email(self, email: str) -> Any:
        return await self._one(f"{ALL} WHERE email = %s", email)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await self._all(f"{ALL} ORDER BY id LIMIT %s", count)

    async def dicts(self, count: int) -> Sequence[Any]:
        return [dict(zip(COLUMNS, row, strict=True)) for row in await self.list_rows(count)]

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        sql = f"{ALL} WHERE city = %s AND age >= %s ORDER BY id LIMIT %s"
        return await self._all(sql, city, age, count)

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        return await self._all(JOIN, first, count)

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        rows = await self._all(f"{ALL} WHERE id >= %s ORDER BY id LIMIT %s", first, count)
        families: dict[int, tuple[Any, list[Any]]] = {row[0]: (row, []) for row in rows}
        sql = (
            f"SELECT {', '.join(CHILD_COLUMNS)} FROM {CHILD} "
            f"WHERE row_id IN ({', '.join(['%s'] * len(families))}) ORDER BY id"
        )
        for child in await self._all(sql, *families):
            families[child[1]][1].append(child)
        return [*families.values()]

    async def count(self, first: int, last: int) -> int:
        sql = f"SELECT count(*) FROM {ROW} WHERE id BETWEEN %s AND %s"
        return (await self._one(sql, first, last))[0]

    async def insert(self, values: Values) -> Any:
        return await self._write(*_inserted(ROW, DATA, [_bound(values)]))

    async def update(self, key: int, visits: int) -> Any:
        await self._write(f"UPDATE {ROW} SET visits = %s WHERE id = %s", visits, key)

    async def delete(self, key: int) -> Any:
        await self._write(f"DELETE FROM {ROW} WHERE id = %s", key)

    async def change(self, key: int, visits: int) -> Any:
        if await self.get(key) is not None:
            await self.update(key, visits)

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await self._in_batches(ROW, DATA, map(_bound, rows))

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        firsts = await self._in_batches(ROW, DATA, map(_bound, rows))
        # The keys of one statement follow one another.
        return [key for first in firsts for key in range(first, first + BATCH)][: len(rows)]

    async def _in_batches(
        self, table: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
    ) -> list[int]:
        await self._connection.begin()
        firsts = [await self._write(*_inserted(table, columns, batch)) for batch in _batches(rows)]
        await self._connection.commit()
        return firsts

    async def update_many(self, rows: list[Values]) -> Any:
        values = ", ".join(["ROW(%s, %s, %s)"] * len(rows))
        sql = (
            f"UPDATE {ROW} r JOIN (VALUES {values}) AS n(id, visits, note) ON r.id = n.id "
            "SET r.visits = n.visits, r.note = n.note"
        )
        await self._write(sql, *(value for row in rows for value in row.values()))

    async def upsert_many(self, rows: list[Values]) -> Any:
        sql, *values = _inserted(ROW, DATA, [*map(_bound, rows)])
        changed = ", ".join(f"{name} = n.{name}" for name in DATA if name != "email")
        await self._write(f"{sql} AS n ON DUPLICATE KEY UPDATE {changed}", *values)

    async def iterate(self) -> AsyncGenerator[Any, None]:
        async with self._connection.cursor(self._unbuffered) as cursor:
            await cursor.execute(ALL)
            while rows := await cursor.fetchmany(BATCH):
                for row in rows:
                    yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        if self._pool is None:
            self._pool = await self._driver.create_pool(minsize=POOL, maxsize=POOL, **self._address)
        return await in_tasks(self._get_from_pool, keys)

    async def _get_from_pool(self, key: int) -> Any:
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(BY_KEY, (key,))
            return await cursor.fetchone()

    async def fill(self, rows: int) -> None:
        keys = range(1, rows + 1)
        made = ((key, *_bound(v)) for key, v in zip(keys, row_values(rows), strict=True))
        await self._in_batches(ROW, COLUMNS, made)
        children = (tuple(values.values()) for values in child_values(keys))
        await self._in_batches(CHILD, CHILD_COLUMNS[1:], children)
        await self._all(f"ANALYZE TABLE {ROW}, {CHILD}")

    async def total(self) -> int:
        return (await self._one(f"SELECT count(*) FROM {ROW}"))[0]

    async def tidy(self, rows: int) -> None:
        await self._write(f"DELETE FROM {ROW} WHERE id > %s", rows)

    async def facts(self) -> dict[str, str]:
        version = (await self._one("SELECT version()"))[0]
        settings = {name: str((await self._one(f"SELECT @@{name}"))[0]) for name in FACTS}
        return {"server": f"MySQL {version}", **settings}


def _inserted(table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[Any]:
    places = f"({', '.join(['%s'] * len(columns))})"
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([places] * len(rows))}"
    return [sql, *(value for row in rows for value in row)]


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _bound(values: Values) -> tuple[Any, ...]:
    moment, text = values["seen_at"].replace(tzinfo=None), json.dumps(values["details"])
    return tuple((values | {"seen_at": moment, "details": text}).values())
