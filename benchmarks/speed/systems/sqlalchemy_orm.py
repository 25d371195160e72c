"""
SQLAlchemy's ORM, as its asyncio documentation shows it.

One ``AsyncSession`` for each operation on its own, ``expire_on_commit=False``, reads by
``session.get`` and ``select``, children by ``selectinload``, bulk inserts by
``session.execute(insert(Row), rows)`` with ``render_nulls=True``, without which rows with and
without a note would go in separate statements (7 times slower), and keys and objects by
``add_all``. A session that only read is closed without a commit, as ``async with session`` does.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import selectinload

from benchmarks.speed.system import in_tasks
from benchmarks.speed.systems.sqlalchemy_engine import make_engine
from benchmarks.speed.systems.sqlalchemy_models import Child, Row
from benchmarks.speed.systems.upserts import upsert

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from benchmarks.speed.system import Values

__all__ = ["SYSTEM", "SQLAlchemyORM"]

WITH_NULLS = {"render_nulls": True}


class SQLAlchemyORM:
    """A session for each operation."""

    Row: Any = Row
    Child: Any = Child
    select: Any = staticmethod(select)
    _execute: Any = staticmethod(AsyncSession.execute)

    async def open(self, url: str) -> None:
        self._engine = make_engine(url)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _all(self, statement: Any) -> Sequence[Any]:
        async with self._sessions() as session:
            return (await session.scalars(statement)).all()

    async def get(self, key: int) -> Any:
        async with self._sessions() as session:
            return await session.get(self.Row, key)

    async def get_by_email(self, email: str) -> Any:
        async with self._sessions() as session:
            return await session.scalar(select(self.Row).where(self.Row.email == email))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[_Session]:
        async with self._sessions() as session:
            yield _Session(session, self.Row)

    async def get_in_transaction(self, key: int) -> Any:
        async with self._sessions() as session, session.begin():
            return await session.get(self.Row, key)

    async def list_rows(self, count: int) -> Sequence[Any]:
        return await self._all(self.select(self.Row).order_by(self.Row.id).limit(count))

    async def dicts(self, count: int) -> Sequence[Any]:
        async with self._sessions() as session:
            columns = self.Row.__table__.columns
            rows = select(*columns).order_by(columns.id).limit(count)
            return [*map(dict, (await self._execute(session, rows)).mappings())]

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        rows = self.select(self.Row).where(self.Row.city == city, self.Row.age >= age)
        return await self._all(rows.order_by(self.Row.id).limit(count))

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        async with self._sessions() as session:
            rows = select(self.Child, self.Row.name).join(self.Child.row)
            rows = rows.where(self.Child.id >= first).order_by(self.Child.id).limit(count)
            return (await self._execute(session, rows)).all()

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        rows = self.select(self.Row).where(self.Row.id >= first).order_by(self.Row.id).limit(count)
        return await self._all(rows.options(selectinload(self.Row.children)))

    async def count(self, first: int, last: int) -> int:
        async with self._sessions() as session:
            rows = select(func.count()).select_from(self.Row)
            return await session.scalar(rows.where(self.Row.id.between(first, last)))

    async def insert(self, values: Values) -> Any:
        async with self._sessions() as session:
            row = self.Row(**values)
            session.add(row)
            await session.commit()
            return row.id

    async def update(self, key: int, visits: int) -> Any:
        async with self._sessions.begin() as session:
            await self._execute(
                session, update(self.Row).where(self.Row.id == key).values(visits=visits)
            )

    async def delete(self, key: int) -> Any:
        async with self._sessions.begin() as session:
            await self._execute(session, delete(self.Row).where(self.Row.id == key))

    async def change(self, key: int, visits: int) -> Any:
        async with self._sessions.begin() as session:
            row = await session.get_one(self.Row, key)
            row.visits = visits

    async def bulk_insert(self, rows: list[Values]) -> Any:
        async with self._sessions.begin() as session:
            await self._execute(session, insert(self.Row), rows, execution_options=WITH_NULLS)

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        return [row.id for row in await self.bulk_instances(rows)]

    async def bulk_instances(self, rows: list[Values]) -> Sequence[Any]:
        async with self._sessions.begin() as session:
            entities = [self.Row(**values) for values in rows]
            session.add_all(entities)
        return entities

    async def update_many(self, rows: list[Values]) -> Any:
        async with self._sessions.begin() as session:
            await self._execute(session, update(self.Row), rows)

    async def upsert_many(self, rows: list[Values]) -> Any:
        async with self._sessions.begin() as session:
            statement = upsert(self._engine.dialect.name, self.Row)
            await self._execute(session, statement, rows, execution_options=WITH_NULLS)

    async def iterate(self) -> AsyncGenerator[Any, None]:
        async with self._sessions() as session:
            rows = select(self.Row).execution_options(yield_per=1000)
            async for row in await session.stream_scalars(rows):
                yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self.get, keys)


class _Session:
    def __init__(self, session: AsyncSession, model: Any) -> None:
        self._session = session
        self._model = model

    async def get(self, key: int) -> Any:
        return await self._session.get(self._model, key)


SYSTEM = SQLAlchemyORM
