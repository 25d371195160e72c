"""
Indexes that PostgreSQL plans with although they are not there, by the extension HypoPG.

They belong to one connection. An extension that has to be created for it goes with the
transaction, which is rolled back.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.schema import CreateIndex

from andamios.errors import AndamiosError
from andamios.queries.indexes.laboratory import Laboratory, renamed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.queries.indexes.candidates import Candidate
    from andamios.queries.planning.explain import Sent
    from andamios.queries.planning.plan import QueryPlan

__all__ = ["hypothetical"]

AVAILABLE = text("SELECT count(*) FROM pg_available_extensions WHERE name = 'hypopg'")
CREATE = text("CREATE EXTENSION IF NOT EXISTS hypopg")
ADD = text("SELECT indexrelid, indexname FROM hypopg_create_index(:ddl)")
DROP = text("SELECT hypopg_drop_index(:number)")
RESET = text("SELECT hypopg_reset()")


@asynccontextmanager
async def hypothetical(connection: AsyncConnection, sent: Sent) -> AsyncIterator[Laboratory | None]:
    """
    Open a laboratory of indexes that are not there; None where HypoPG is not.

    Args:
        connection: Taken for this; its transaction is rolled back.
        sent: The statement.
    """
    if not await _has_hypopg(connection):
        yield None
        return
    try:
        async with connection.begin_nested():
            yield HypotheticalLaboratory(connection, sent, tried_on="hypothetical indexes")
    finally:
        # A connection that was lost took them along.
        if not (connection.closed or connection.invalidated):
            await connection.execute(RESET)


async def _has_hypopg(connection: AsyncConnection) -> bool:
    if not await connection.scalar(AVAILABLE):
        return False
    try:
        async with connection.begin_nested():
            await connection.execute(CREATE)
    except AndamiosError:
        return False  # not this user's right
    return True


class HypotheticalLaboratory(Laboratory):
    """Makes indexes that only the planner sees."""

    def __init__(self, connection: AsyncConnection, sent: Sent, *, tried_on: str) -> None:
        super().__init__(connection, sent, tried_on=tried_on)
        self._numbers: dict[str, int] = {}
        self._names: dict[str, str] = {}

    async def plan(self) -> QueryPlan:
        """Plan with them, by the names that they were given here."""
        return renamed(await super().plan(), self._names)

    async def add(self, candidate: Candidate, name: str) -> None:
        """Make one; HypoPG chooses the name that the planner knows it by."""
        create = CreateIndex(candidate.index(name, self._schema))
        ddl = str(create.compile(dialect=self.connection.dialect))
        number, its_name = (await self.connection.execute(ADD, {"ddl": ddl})).one()
        self._numbers[name], self._names[its_name] = number, name

    async def drop(self, candidate: Candidate, name: str) -> None:
        """Forget it."""
        await self.connection.execute(DROP, {"number": self._numbers.pop(name)})
