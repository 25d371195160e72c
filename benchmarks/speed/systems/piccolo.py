"""
Piccolo: tables on its own pool of asyncpg.

Reads by ``objects()`` with JSON loaded, dicts by ``select()``, children by a second query, as
Piccolo has no reverse relationships, many rows by ``insert`` with a thousand at a time, which is
near PostgreSQL's limit of parameters. Left out: updating many rows to different values, and
SQLite, where it opens a connection for each query.
"""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from piccolo.engine.postgres import PostgresEngine

from benchmarks.speed.schema import DATA
from benchmarks.speed.system import POOL, in_tasks
from benchmarks.speed.systems.piccolo_models import PiccoloChild, PiccoloRow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from benchmarks.speed.system import Values

__all__ = ["SYSTEM", "Piccolo"]

BATCH = 1000

# It registers converters for the whole process, also for others that use SQLite; Django needs
# numbers to be numbers.
sqlite3.converters.pop("NUMERIC", None)


class Piccolo:
    """Tables with queries."""

    async def open(self, url: str) -> None:
        self._engine = PostgresEngine(config={"dsn": url})
        await self._engine.start_connection_pool(min_size=1, max_size=POOL)
        PiccoloRow._meta.db = PiccoloChild._meta.db = self._engine  # noqa: SLF001  as documented

    async def close(self) -> None:
        await self._engine.close_connection_pool()

    async def get(self, key: int) -> Any:
        return await _objects().where(PiccoloRow.id == key).first()

    async def get_by_email(self, email: str) -> Any:
        return await _objects().where(PiccoloRow.email == email).first()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Piccolo]:
        async with self._engine.transaction():
            yield self

    async def get_in_transaction(self, key: int) -> Any:
        async with self._engine.transaction():
            return await self.get(key)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await _objects().order_by(PiccoloRow.id).limit(count)

    async def dicts(self, count: int) -> Sequence[Any]:
        rows = PiccoloRow.select().order_by(PiccoloRow.id).limit(count)
        return await rows.output(load_json=True)

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        rows = _objects().where((PiccoloRow.city == city) & (PiccoloRow.age >= age))
        return await rows.order_by(PiccoloRow.id).limit(count)

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        rows = PiccoloChild.select(
            PiccoloChild.id,
            PiccoloChild.row.as_alias("row_id"),
            PiccoloChild.label,
            PiccoloChild.amount,
            PiccoloChild.row.name.as_alias("row_name"),
        )
        rows = rows.where(PiccoloChild.id >= first)
        return await rows.order_by(PiccoloChild.id).limit(count)

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        rows = _objects().where(PiccoloRow.id >= first).order_by(PiccoloRow.id).limit(count)
        families: dict[int, tuple[Any, list[Any]]] = {row.id: (row, []) for row in await rows}
        children = PiccoloChild.objects().where(PiccoloChild.row.is_in([*families]))
        for child in await children.order_by(PiccoloChild.id):
            families[child.row_id][1].append(child)
        return [*families.values()]

    async def count(self, first: int, last: int) -> int:
        return await PiccoloRow.count().where((PiccoloRow.id >= first) & (PiccoloRow.id <= last))

    async def insert(self, values: Values) -> Any:
        return (await PiccoloRow.objects().create(**values)).id

    async def update(self, key: int, visits: int) -> Any:
        await PiccoloRow.update({PiccoloRow.visits: visits}).where(PiccoloRow.id == key)

    async def delete(self, key: int) -> Any:
        await PiccoloRow.delete().where(PiccoloRow.id == key)

    async def change(self, key: int, visits: int) -> Any:
        row = await _objects().get(PiccoloRow.id == key)
        row.visits = visits
        await row.save([PiccoloRow.visits])

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await self.bulk_instances(rows)

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        return [row.id for row in await self.bulk_instances(rows)]

    async def bulk_instances(self, rows: list[Values]) -> Sequence[Any]:
        entities = [PiccoloRow(**values) for values in rows]
        async with self._engine.transaction():
            for start in range(0, len(entities), BATCH):
                await PiccoloRow.insert(*entities[start : start + BATCH])
        return entities

    async def upsert_many(self, rows: list[Values]) -> Any:
        changed: Any = [getattr(PiccoloRow, name) for name in DATA if name != "email"]
        await PiccoloRow.insert(*(PiccoloRow(**values) for values in rows)).on_conflict(
            target=PiccoloRow.email, action="DO UPDATE", values=changed
        )

    async def iterate(self) -> AsyncGenerator[Any, None]:
        async with await _objects().batch(batch_size=BATCH) as batch:
            async for rows in batch:
                for row in rows:
                    yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self.get, keys)


def _objects() -> Any:
    return PiccoloRow.objects().output(load_json=True)


SYSTEM = Piccolo
