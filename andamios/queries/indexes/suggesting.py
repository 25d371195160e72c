"""Suggesting indexes: which are worth a try, and where they are tried."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.core.guard import translating
from andamios.queries.indexes.candidates import candidates_of, tables_of
from andamios.queries.indexes.copies import mysql_copies, postgresql_copies
from andamios.queries.indexes.existing import existing_indexes, is_covered
from andamios.queries.indexes.hypothetical import hypothetical
from andamios.queries.indexes.live import live_tables
from andamios.queries.indexes.proof import proven
from andamios.queries.indexes.sqlite import sqlite_copy
from andamios.queries.planning.explain import Sent, sent_by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.orm import Session

    from andamios.core.engine import AndamiosEngine
    from andamios.queries.indexes.candidates import Candidate
    from andamios.queries.indexes.existing import ExistingIndexes
    from andamios.queries.indexes.laboratory import Laboratory
    from andamios.queries.indexes.suggestion import IndexSuggestion

__all__ = ["Suggesting"]

SMALL = 200
"""Rows; reading all of so small a table costs about what an index does."""


class Suggesting:
    """
    How the indexes of a query are tried.

    Args:
        engine: Whose database is asked.
        sample_rows: Rows of each table that are copied at most.
        build: Whether to try real indexes on the live tables instead of copies.

    Example:
        >>> from andamios import AndamiosEngine
        >>> from andamios.queries.indexes.suggesting import Suggesting
        >>> suggesting = Suggesting(AndamiosEngine("sqlite://"), sample_rows=1000)
    """

    def __init__(self, engine: AndamiosEngine, *, sample_rows: int, build: bool = False) -> None:
        self._engine = engine
        self._sample_rows = sample_rows
        self._build = build

    async def suggest(self, statement: Any) -> list[IndexSuggestion]:
        """Give the indexes that make a SELECT cheaper."""
        sent, inner = await self._sent(statement)
        async with self._reading() as connection:
            candidates, existing = await self._worth_trying(connection, inner)
        if not candidates:
            return []
        async with AsyncExitStack() as stack:
            laboratory = await self._laboratory(stack, sent, inner)
            return await proven(laboratory, candidates, existing)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connections.acquire() as connection:
            yield await connection.execution_options(andamios_read_only=True)

    async def _sent(self, statement: Any) -> tuple[Sent, Any]:
        """Find what is sent for a statement, and the statement of Core inside it."""

        def find(session: Session) -> tuple[Sent, Any]:
            connection, sent = sent_by(session, statement)
            state = sent.statement.compile(dialect=connection.dialect).compile_state
            return sent, sent.statement if state is None else state.statement

        async with self._engine.session(read_only=True, is_current=False) as session:
            return await session.run_sync(find)

    async def _worth_trying(
        self, connection: AsyncConnection, inner: Any
    ) -> tuple[list[Candidate], dict[str, ExistingIndexes]]:
        existing = {}
        for table in tables_of(inner):
            few = sa.select(sa.literal(1)).select_from(table).limit(SMALL).subquery()
            if await connection.scalar(sa.select(sa.func.count()).select_from(few)) == SMALL:
                existing[table.key] = await connection.run_sync(existing_indexes, table)
        candidates = [
            each
            for each in candidates_of(inner)
            if (found := existing.get(each.table.key)) and not is_covered(each, found.columns)
        ]
        return candidates, existing

    async def _laboratory(self, stack: AsyncExitStack, sent: Sent, inner: Any) -> Laboratory:
        stack.enter_context(translating())
        if self._engine.backend == "sqlite" and not self._build:
            # Its copy is elsewhere: SQLite's writers must not wait for this.
            connection = await stack.enter_async_context(self._reading())
        else:
            acquire = self._engine.connections.acquire
            connection = await stack.enter_async_context(acquire())
        if self._build:
            return await stack.enter_async_context(live_tables(self._engine, connection, sent))
        if self._engine.backend == "postgresql":
            found = await stack.enter_async_context(hypothetical(connection, sent))
            if found is not None:
                return found
        copies = {"postgresql": postgresql_copies, "sqlite": sqlite_copy}
        copy = copies.get(self._engine.backend, mysql_copies)
        opened = copy(connection, sent, inner, most=self._sample_rows)
        return await stack.enter_async_context(opened)
