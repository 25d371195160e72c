"""
Real indexes on the live tables, for whoever asks for them.

Building one locks writers out. PostgreSQL and SQLite roll it back. MySQL and MariaDB
cannot; there it is dropped, by another connection if this one was lost. A server goes on
building for a client that is gone, so that it is told to stop first.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.schema import DropIndex

from andamios.errors import QueryError
from andamios.queries.indexes.copies import MeasuringLaboratory
from andamios.queries.indexes.laboratory import Laboratory
from andamios.queries.indexes.sqlite import CountingLaboratory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.core.engine import AndamiosEngine
    from andamios.queries.indexes.candidates import Candidate
    from andamios.queries.planning.explain import Sent

__all__ = ["live_tables"]

TRIED_ON = "the live tables"

CONNECTION_NUMBER = sa.text("SELECT CONNECTION_ID()")

# Source: MySQL, "Server Error Message Reference"; MariaDB, "Error Codes".
NO_SUCH_INDEX, NO_SUCH_CONNECTION = 1091, 1094


@asynccontextmanager
async def live_tables(
    engine: AndamiosEngine, connection: AsyncConnection, sent: Sent
) -> AsyncIterator[Laboratory]:
    """
    Open a laboratory on the live tables.

    Args:
        engine: Gives another connection to tidy up with.
        connection: Taken for this; its transaction is rolled back.
        sent: The statement.
    """
    if engine.backend == "sqlite":
        yield CountingLaboratory(connection, sent, tried_on=TRIED_ON, is_analyzed=False)
    elif engine.backend == "postgresql":
        yield Laboratory(connection, sent, tried_on=TRIED_ON)
    else:
        number = await connection.scalar(CONNECTION_NUMBER)
        laboratory = BuildingLaboratory(connection, sent, tried_on=TRIED_ON)
        try:
            yield laboratory
        finally:
            # In a task of its own: a cancellation must not leave an index behind.
            await asyncio.shield(asyncio.ensure_future(_remove(engine, laboratory, number)))


class BuildingLaboratory(MeasuringLaboratory):
    """Remembers the indexes that it began to build."""

    def __init__(self, connection: AsyncConnection, sent: Sent, *, tried_on: str) -> None:
        super().__init__(connection, sent, tried_on=tried_on)
        self.built: dict[str, Candidate] = {}

    async def add(self, candidate: Candidate, name: str) -> None:
        """Build an index."""
        self.built[name] = candidate
        await super().add(candidate, name)

    async def drop(self, candidate: Candidate, name: str) -> None:
        """Remove it again."""
        await super().drop(candidate, name)
        del self.built[name]


async def _remove(engine: AndamiosEngine, laboratory: BuildingLaboratory, number: int) -> None:
    if not laboratory.built:
        return
    is_lost = laboratory.connection.invalidated
    # Given back before another is taken, since there may be only one.
    await laboratory.connection.close()
    async with engine.connections.acquire() as connection:
        if is_lost:
            await _unless(NO_SUCH_CONNECTION, connection.execute(sa.text(f"KILL {int(number)}")))
        for name, candidate in laboratory.built.items():
            # Waits for the end of the building. To look first would find nothing until then.
            dropped = connection.execute(DropIndex(candidate.index(name)))
            await _unless(NO_SUCH_INDEX, dropped)


async def _unless(code: int, statement: Awaitable[object]) -> None:
    """Wait for a statement; that there is nothing to remove is no mistake."""
    try:
        await statement
    except QueryError as error:
        if error.code != code:
            raise
