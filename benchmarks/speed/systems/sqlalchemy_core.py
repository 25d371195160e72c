"""
SQLAlchemy Core on an ``AsyncEngine``: tables, statements and rows, no objects.

Reads use ``engine.connect()``, writes ``engine.begin()``, one for each operation. Statements are
built anew each time and compiled once, as SQLAlchemy caches them. Bulk inserts are one ``execute``
with a list; updates of many rows are ``executemany`` with ``bindparam``.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from benchmarks.speed.system import in_tasks
from benchmarks.speed.systems.sqlalchemy_engine import make_engine
from benchmarks.speed.systems.sqlalchemy_models import Child, Row
from benchmarks.speed.systems.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from benchmarks.speed.system import Values

__all__ = ["SYSTEM", "SQLAlchemyCore"]

ROW: Any = Row.__table__
CHILD: Any = Child.__table__


class SQLAlchemyCore:
    """Rows instead of objects."""

    async def open(self, url: str) -> None:
        self._engine = make_engine(url)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _one(self, statement: Any) -> Any:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).first()

    async def _all(self, statement: Any) -> Any:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).all()

    async def _write(self, statement: Any, values: Any = None) -> Any:
        async with self._engine.begin() as connection:
            return await connection.execute(statement, values)

    async def get(self, key: int) -> Any:
        return await self._one(select(ROW).where(ROW.c.id == key))

    async def get_by_email(self, email: str) -> Any:
        return await self._one(select(ROW).where(ROW.c.email == email))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[_Session]:
        async with self._engine.begin() as connection:
            yield _Session(connection)

    async def get_in_transaction(self, key: int) -> Any:
        async with self._engine.begin() as connection:
            return await _Session(connection).get(key)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await self._all(select(ROW).order_by(ROW.c.id).limit(count))

    async def dicts(self, count: int) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            result = await connection.execute(select(ROW).order_by(ROW.c.id).limit(count))
            return [*map(dict, result.mappings())]

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        where = ROW.c.city == city, ROW.c.age >= age
        return await self._all(select(ROW).where(*where).order_by(ROW.c.id).limit(count))

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        rows = select(CHILD, ROW.c.name).join_from(CHILD, ROW).where(CHILD.c.id >= first)
        return await self._all(rows.order_by(CHILD.c.id).limit(count))

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            rows = select(ROW).where(ROW.c.id >= first).order_by(ROW.c.id).limit(count)
            families = {row.id: (row, []) for row in await connection.execute(rows)}
            children = select(CHILD).where(CHILD.c.row_id.in_(families)).order_by(CHILD.c.id)
            for child in await connection.execute(children):
                families[child.row_id][1].append(child)
        return [*families.values()]

    async def count(self, first: int, last: int) -> int:
        where = ROW.c.id.between(first, last)
        return (await self._one(select(func.count()).select_from(ROW).where(where)))[0]

    async def insert(self, values: Values) -> Any:
        return (await self._write(insert(ROW).values(values))).inserted_primary_key[0]

    async def update(self, key: int, visits: int) -> Any:
        await self._write(update(ROW).where(ROW.c.id == key).values(visits=visits))

    async def delete(self, key: int) -> Any:
        await self._write(delete(ROW).where(ROW.c.id == key))

    async def change(self, key: int, visits: int) -> Any:
        async with self._engine.begin() as connection:
            row = (await connection.execute(select(ROW).where(ROW.c.id == key))).one()
            changed = update(ROW).where(ROW.c.id == row.id).values(visits=visits)
            await connection.execute(changed)

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await self._write(insert(ROW), rows)

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        if self._engine.dialect.name == "mysql":
            raise NotImplementedError("MySQL returns nothing from an INSERT")
        statement = insert(ROW).returning(ROW.c.id, sort_by_parameter_order=True)
        return (await self._write(statement, rows)).scalars().all()

    async def update_many(self, rows: list[Values]) -> Any:
        statement = (
            update(ROW)
            .where(ROW.c.id == bindparam("key"))
            .values(visits=bindparam("new_visits"), note=bindparam("new_note"))
        )
        values = [
            {"key": row["id"], "new_visits": row["visits"], "new_note": row["note"]} for row in rows
        ]
        await self._write(statement, values)

    async def upsert_many(self, rows: list[Values]) -> Any:
        statement = upsert(self._engine.dialect.name, ROW)
        await self._write(statement, rows)

    async def iterate(self) -> AsyncGenerator[Any, None]:
        async with self._engine.connect() as connection:
            rows = await connection.stream(select(ROW))
            async for row in rows:
                yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self.get, keys)


class _Session:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, key: int) -> Any:
        return (await self._connection.execute(select(ROW).where(ROW.c.id == key))).first()


SYSTEM = SQLAlchemyCore
