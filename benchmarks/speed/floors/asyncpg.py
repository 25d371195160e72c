"""
asyncpg on a held connection that commits by itself; jsonb by orjson.

Many rows go in by COPY, and are updated and upserted from arrays, by one statement. What runs in
many tasks uses asyncpg's own pool.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson

from benchmarks.speed.schema import CHILD_COLUMNS, COLUMNS, DATA, child_values, row_values
from benchmarks.speed.sql import ALL, ARRAYS, CHILD, ROW, SET_EXCLUDED, joined
from benchmarks.speed.system import POOL, in_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from benchmarks.speed.system import Values

__all__ = ["FLOOR", "AsyncpgFloor"]

BY_KEY = f"{ALL} WHERE id = $1"
INSERT = (
    f"INSERT INTO {ROW} ({', '.join(DATA)}) "
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(DATA) + 1))}) RETURNING id"
)
JOIN = joined("$1", "$2")
CHILDREN = (
    f"SELECT {', '.join(CHILD_COLUMNS)} FROM {CHILD} WHERE row_id = ANY($1::bigint[]) ORDER BY id"
)
UPDATE = (
    f"UPDATE {ROW} AS r SET visits = n.visits, note = n.note "
    "FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS n(id, visits, note) WHERE r.id = n.id"
)
UPSERT = (
    f"INSERT INTO {ROW} ({', '.join(DATA)}) SELECT * FROM unnest("
    f"{', '.join(f'${place}::{kind}[]' for place, kind in enumerate(ARRAYS, 1))}) {SET_EXCLUDED}"
)
FACTS = ("fsync", "synchronous_commit", "full_page_writes", "max_wal_size", "shared_buffers")


class AsyncpgFloor:
    """The raw driver on PostgreSQL."""

    async def open(self, url: str) -> None:
        self._url = url
        self._connection = await _connect(url)
        self._pool: asyncpg.Pool | None = None

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
        await self._connection.close()

    async def get(self, key: int) -> Any:
        return await self._connection.fetchrow(BY_KEY, key)

    async def get_by_email(self, email: str) -> Any:
        return await self._connection.fetchrow(f"{ALL} WHERE email = $1", email)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await self._connection.fetch(f"{ALL} ORDER BY id LIMIT $1", count)

    async def dicts(self, count: int) -> Sequence[Any]:
        return [*map(dict, await self.list_rows(count))]

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        sql = f"{ALL} WHERE city = $1 AND age >= $2 ORDER BY id LIMIT $3"
        return await self._connection.fetch(sql, city, age, count)

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        return await self._connection.fetch(JOIN, first, count)

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        sql = f"{ALL} WHERE id >= $1 ORDER BY id LIMIT $2"
        rows = await self._connection.fetch(sql, first, count)
        families: dict[int, tuple[Any, list[Any]]] = {row["id"]: (row, []) for row in rows}
        for child in await self._connection.fetch(CHILDREN, list(families)):
            families[child["row_id"]][1].append(child)
        return [*families.values()]

    async def count(self, first: int, last: int) -> int:
        sql = f"SELECT count(*) FROM {ROW} WHERE id BETWEEN $1 AND $2"
        return await self._connection.fetchval(sql, first, last)

    async def insert(self, values: Values) -> Any:
        return await self._connection.fetchval(INSERT, *values.values())

    async def update(self, key: int, visits: int) -> Any:
        await self._connection.execute(f"UPDATE {ROW} SET visits = $2 WHERE id = $1", key, visits)

    async def delete(self, key: int) -> Any:
        await self._connection.execute(f"DELETE FROM {ROW} WHERE id = $1", key)

    async def change(self, key: int, visits: int) -> Any:
        if await self.get(key) is not None:
            await self.update(key, visits)

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await self._connection.copy_records_to_table(
            ROW, records=[tuple(values.values()) for values in rows], columns=DATA
        )

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        sql = f"SELECT nextval(pg_get_serial_sequence('{ROW}', 'id')) FROM generate_series(1, $1)"
        keys = [record[0] for record in await self._connection.fetch(sql, len(rows))]
        records = [(key, *values.values()) for key, values in zip(keys, rows, strict=True)]
        await self._connection.copy_records_to_table(ROW, records=records, columns=COLUMNS)
        return keys

    async def update_many(self, rows: list[Values]) -> Any:
        await self._connection.execute(
            UPDATE, *([values[name] for values in rows] for name in ("id", "visits", "note"))
        )

    async def upsert_many(self, rows: list[Values]) -> Any:
        await self._connection.execute(
            UPSERT, *([values[name] for values in rows] for name in DATA)
        )

    async def iterate(self) -> AsyncGenerator[Any, None]:
        async with self._connection.transaction():
            cursor = await self._connection.cursor(ALL)
            while rows := await cursor.fetch(1000):
                for row in rows:
                    yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._url, min_size=POOL, max_size=POOL, init=_read_json
            )
        return await in_tasks(partial(self._pool.fetchrow, BY_KEY), keys)

    async def fill(self, rows: int) -> None:
        keys = range(1, rows + 1)
        await self._connection.copy_records_to_table(
            ROW,
            records=[(key, *v.values()) for key, v in zip(keys, row_values(rows), strict=True)],
            columns=COLUMNS,
        )
        await self._connection.copy_records_to_table(
            CHILD,
            records=[tuple(values.values()) for values in child_values(keys)],
            columns=CHILD_COLUMNS[1:],
        )
        # Vacuumed when nothing is measured, and only then.
        for table in (ROW, CHILD):
            sequence = f"pg_get_serial_sequence('{table}', 'id')"
            await self._connection.execute(
                f"SELECT setval({sequence}, (SELECT max(id) FROM {table}))"
            )
            await self._connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            await self._connection.execute(f"VACUUM ANALYZE {table}")

    async def total(self) -> int:
        return await self._connection.fetchval(f"SELECT count(*) FROM {ROW}")

    async def tidy(self, rows: int) -> None:
        await self._connection.execute(f"DELETE FROM {ROW} WHERE id > $1", rows)
        await self._connection.execute(f"VACUUM {ROW}")

    async def facts(self) -> dict[str, str]:
        server = await self._connection.fetchval("SHOW server_version")
        settings = {name: str(await self._connection.fetchval(f"SHOW {name}")) for name in FACTS}
        return {"server": f"PostgreSQL {server}", **settings}


async def _connect(url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(url)
    await _read_json(connection)
    return connection


async def _read_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: b"\1" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        schema="pg_catalog",
        format="binary",
    )


FLOOR = AsyncpgFloor
