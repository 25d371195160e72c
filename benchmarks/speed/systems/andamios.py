"""
Andamios by its public names: a repository on an engine, whose calls stand alone.

What is one call of the repository is measured as one call. In a session, the repository is bound
to it. The engine has the options that it always has, except for the size of its pool. On MySQL it
uses asyncmy, as the floor does.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from andamios import AndamiosEngine, GenericRepository
from benchmarks.speed.schema import BenchChild, BenchRow
from benchmarks.speed.system import POOL, in_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from benchmarks.speed.system import Values

__all__ = ["SYSTEM", "Andamios"]


class Andamios:
    """What all of this is about."""

    async def open(self, url: str) -> None:
        url = url.replace("mysql://", "mysql+asyncmy://")
        self.engine = AndamiosEngine(url, uvloop=False, pool_size=POOL, max_overflow=0)
        self._rows = GenericRepository[BenchRow](self.engine)
        self._children = GenericRepository[BenchChild](self.engine)

    async def close(self) -> None:
        await self.engine.close()

    async def get(self, key: int) -> Any:
        return await self._rows.get_by_id(key)

    async def get_by_email(self, email: str) -> Any:
        return await self._rows.find_one({"email": email})

    @asynccontextmanager
    async def session(self) -> AsyncIterator[_Session]:
        async with self.engine.session() as session:
            yield _Session(GenericRepository[BenchRow](session))

    async def get_in_transaction(self, key: int) -> Any:
        async with self.engine.session() as session:
            return await GenericRepository[BenchRow](session).get_by_id(key)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await self._rows.list(order_by="id", limit=count)

    async def dicts(self, count: int) -> Sequence[Any]:
        return await self._rows.query().order_by("id").limit(count).as_dicts()

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        filters = {"city": city, "age__gte": age}
        return await self._rows.list(filters, order_by="id", limit=count)

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        query = self._children.query().join(BenchChild.row).filter(BenchChild.id >= first)
        rows = query.only(BenchChild, BenchRow.name).order_by("id").limit(count)
        return await rows.execute()

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        filters = {"id__gte": first}
        return await self._rows.list(filters, order_by="id", limit=count, load=BenchRow.children)

    async def count(self, first: int, last: int) -> int:
        return await self._rows.count({"id__between": (first, last)})

    async def insert(self, values: Values) -> Any:
        return (await self._rows.create(BenchRow(**values))).id

    async def update(self, key: int, visits: int) -> Any:
        return await self._rows.update_where({"id": key}, {"visits": visits})

    async def delete(self, key: int) -> Any:
        return await self._rows.delete(key)

    async def change(self, key: int, visits: int) -> Any:
        row = await self._rows.get_one(key)
        row.visits = visits
        return await self._rows.update(row)

    async def bulk_insert(self, rows: list[Values]) -> Any:
        return await self._rows.create_many(rows)

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        return await self._rows.create_many(rows, returning="keys")

    async def bulk_instances(self, rows: list[Values]) -> Sequence[Any]:
        return await self._rows.create_many(rows, returning="entities")

    async def update_many(self, rows: list[Values]) -> Any:
        return await self._rows.update_many(rows)

    async def upsert_many(self, rows: list[Values]) -> Any:
        return await self._rows.upsert_many(rows, on="email")

    async def iterate(self) -> AsyncGenerator[Any, None]:
        async with aclosing(self._rows.stream()) as rows:
            async for row in rows:
                yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self._rows.get_by_id, keys)


class _Session:
    def __init__(self, rows: GenericRepository[BenchRow]) -> None:
        self._rows = rows

    async def get(self, key: int) -> Any:
        return await self._rows.get_by_id(key)


SYSTEM = Andamios
