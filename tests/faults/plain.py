"""The same stores with SQLAlchemy alone, and the loop that people write around it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from tests.faults.models import FltElement
from tests.faults.stores import DEADLINE, SetStore

__all__ = ["PlainSetStore", "plain_engine"]

DRIVERS = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+aiomysql"}
ATTEMPTS = 1000


def plain_engine(url: str, **options: Any) -> AsyncEngine:
    """Make an engine as SQLAlchemy's documentation has it for servers that go away."""
    target = make_url(url)
    name = "postgresql" if target.get_backend_name() == "postgresql" else "mysql"
    driver = target.set(drivername=DRIVERS[name])
    return create_async_engine(driver, pool_pre_ping=True, **options)


class PlainSetStore(SetStore):
    """
    A set behind a loop that repeats a transaction which met an error of the database.

    Args:
        engine: SQLAlchemy's.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def _run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(DEADLINE):
            for _ in range(ATTEMPTS):
                try:
                    async with self._sessions.begin() as session:
                        return await work(session)
                except (DBAPIError, OSError):
                    await asyncio.sleep(random.uniform(0.01, 0.1))
        raise AssertionError(ATTEMPTS)

    async def add(self, element: int) -> None:
        async def work(session: AsyncSession) -> None:
            session.add(FltElement(element=element))

        await self._run(work)
