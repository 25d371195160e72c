"""
Advanced Alchemy: an asynchronous repository on a session of its own for each operation.

``expire_on_commit=False`` and ``auto_commit=True``, as its documentation shows them outside of a
web framework. What a repository has no method for (dicts, joins, streams) is left out. One row is
updated by ``repository.update``, which reads it first.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from advanced_alchemy.base import AdvancedDeclarativeBase, CommonTableAttributes
from advanced_alchemy.filters import LimitOffset, OrderBy
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.ext.asyncio import AsyncAttrs, async_sessionmaker
from sqlalchemy.orm import Mapped, relationship

from benchmarks.speed.system import in_tasks
from benchmarks.speed.systems.sqlalchemy_engine import make_engine
from benchmarks.speed.systems.sqlalchemy_models import ChildColumns, RowColumns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benchmarks.speed.system import Values

__all__ = ["SYSTEM", "AdvancedAlchemy"]


class Base(CommonTableAttributes, AdvancedDeclarativeBase, AsyncAttrs):
    """Advanced Alchemy's, with a key of our own."""

    __abstract__ = True


class AdvancedRow(RowColumns, Base):
    """Twelve columns."""

    children: Mapped[list[AdvancedChild]] = relationship(back_populates="row")


class AdvancedChild(ChildColumns, Base):
    """What belongs to a row."""

    row: Mapped[AdvancedRow] = relationship(back_populates="children")


class Rows(SQLAlchemyAsyncRepository[AdvancedRow]):
    """The repository."""

    model_type = AdvancedRow


class AdvancedAlchemy:
    """A repository and a session for each operation."""

    async def open(self, url: str) -> None:
        self._engine = make_engine(url)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Rows]:
        async with self._sessions() as session:
            yield Rows(session=session, auto_commit=True)

    async def get(self, key: int) -> Any:
        async with self.session() as rows:
            return await rows.get(key)

    async def get_by_email(self, email: str) -> Any:
        async with self.session() as rows:
            return await rows.get_one_or_none(email=email)

    async def get_in_transaction(self, key: int) -> Any:
        async with self._sessions() as session, session.begin():
            return await Rows(session=session).get(key)

    async def list_rows(self, count: int) -> Sequence[Any]:
        async with self.session() as rows:
            return await rows.get_many(OrderBy("id"), LimitOffset(count, 0))

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        where = AdvancedRow.city == city, AdvancedRow.age >= age
        async with self.session() as rows:
            return await rows.get_many(*where, OrderBy("id"), LimitOffset(count, 0))

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        where = AdvancedRow.id >= first
        load = [AdvancedRow.children]
        async with self.session() as rows:
            return await rows.get_many(where, OrderBy("id"), LimitOffset(count, 0), load=load)

    async def count(self, first: int, last: int) -> int:
        async with self.session() as rows:
            return await rows.count(AdvancedRow.id.between(first, last))

    async def insert(self, values: Values) -> Any:
        async with self.session() as rows:
            return (await rows.add(AdvancedRow(**values))).id

    async def update(self, key: int, visits: int) -> Any:
        async with self.session() as rows:
            await rows.update(AdvancedRow(id=key, visits=visits))

    async def delete(self, key: int) -> Any:
        async with self.session() as rows:
            await rows.delete(key)

    async def change(self, key: int, visits: int) -> Any:
        async with self.session() as rows:
            row = await rows.get(key)
            row.visits = visits
            await rows.update(row)

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await self.bulk_instances(rows)

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        return [row.id for row in await self.bulk_instances(rows)]

    async def bulk_instances(self, rows: list[Values]) -> Sequence[Any]:
        async with self.session() as repository:
            return await repository.add_many([AdvancedRow(**values) for values in rows])

    async def update_many(self, rows: list[Values]) -> Any:
        async with self.session() as repository:
            await repository.update_many([AdvancedRow(**values) for values in rows])

    async def upsert_many(self, rows: list[Values]) -> Any:
        async with self.session() as repository:
            entities = [AdvancedRow(**values) for values in rows]
            await repository.upsert_many(entities, match_fields=["email"])

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self.get, keys)


SYSTEM = AdvancedAlchemy
