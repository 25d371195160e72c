"""
SQLModel: its models and its ``AsyncSession``, and for the rest SQLAlchemy's ORM.

``session.exec`` where SQLModel has it, otherwise what ``sqlalchemy_orm`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.speed.systems.sqlalchemy_engine import make_engine
from benchmarks.speed.systems.sqlalchemy_orm import SQLAlchemyORM
from benchmarks.speed.systems.sqlmodel_models import SQLModelChild, SQLModelRow

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SYSTEM", "SQLModelSystem"]


class SQLModelSystem(SQLAlchemyORM):
    """SQLAlchemy's ORM with pydantic's classes."""

    Row = SQLModelRow
    Child = SQLModelChild
    select = staticmethod(select)

    @staticmethod
    def _execute(session: Any, statement: Any, rows: Any = None, **options: Any) -> Any:
        return session.exec(statement, params=rows, **options)

    async def open(self, url: str) -> None:
        self._engine = make_engine(url)
        self._sessions: Any = async_sessionmaker(
            self._engine, class_=AsyncSession, expire_on_commit=False
        )

    async def _all(self, statement: Any) -> Sequence[Any]:
        async with self._sessions() as session:
            return (await session.exec(statement)).all()

    async def get_by_email(self, email: str) -> Any:
        async with self._sessions() as session:
            rows = select(SQLModelRow).where(SQLModelRow.email == email)
            return (await session.exec(rows)).first()


SYSTEM = SQLModelSystem
