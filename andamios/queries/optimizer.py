"""
The optimizer: what a database does for a query, which index would help, and what repeats.

A façade: ``planning`` asks for plans and reads them, ``indexes`` tries candidates, and
``watching`` finds statements that run once a row.
"""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import FromStatement

from andamios.core.guard import translating
from andamios.errors import QueryError
from andamios.queries.builder import QueryBuilder
from andamios.queries.compose import executed
from andamios.queries.indexes.candidates import candidates_of, tables_of
from andamios.queries.indexes.copies import mysql_copies, postgresql_copies
from andamios.queries.indexes.existing import existing_indexes, is_covered
from andamios.queries.indexes.hypothetical import hypothetical
from andamios.queries.indexes.live import live_tables
from andamios.queries.indexes.proof import proven
from andamios.queries.indexes.sqlite import sqlite_copy
from andamios.queries.planning.explain import Sent, explain, sent_by
from andamios.queries.watching import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.orm import Session

    from andamios.core.engine import AndamiosEngine
    from andamios.queries.indexes.candidates import Candidate
    from andamios.queries.indexes.existing import ExistingIndexes
    from andamios.queries.indexes.laboratory import Laboratory
    from andamios.queries.indexes.suggestion import IndexSuggestion
    from andamios.queries.planning.plan import QueryPlan

__all__ = ["QueryOptimizer"]

WRITE = re.compile(
    r"(?:\s|/\*.*?\*/|(?:--|#)[^\n]*\n)*(?:insert|update|delete|replace|merge)\b",
    re.IGNORECASE | re.DOTALL,
)
"""What writes, by its first word behind comments."""

NOT_A_SELECT = "The optimizer takes a QueryBuilder or a SELECT of SQLAlchemy."

SMALL = 200
"""Rows; reading all of so small a table costs about what an index does."""


class QueryOptimizer:
    """
    Shows how queries are answered, and what would make them faster.

    Args:
        engine: Whose database is asked.
        sample_rows: Rows of each table that are copied at most, where indexes are tried on
            a copy.

    Example:
        >>> import andamios
        >>> from andamios import AndamiosEngine, BaseModel, GenericRepository, QueryBuilder
        >>> from andamios.queries import QueryOptimizer
        >>> from sqlalchemy import String
        >>> from sqlalchemy.orm import mapped_column
        >>> class Parcel(BaseModel):
        ...     city = mapped_column(String(50))
        >>> async def main() -> list[str]:
        ...     async with AndamiosEngine("sqlite://") as engine:
        ...         await engine.create_all(Parcel)
        ...         rows = ({"city": f"city {number}"} for number in range(1000))
        ...         await GenericRepository[Parcel](engine).create_many(rows)
        ...         query = QueryBuilder(Parcel, engine).filter_by(city="city 7")
        ...         return await QueryOptimizer(engine).suggest_indexes(query)
        >>> andamios.run(main())
        ['CREATE INDEX ix_parcel_city ON parcel (city)']
    """

    def __init__(self, engine: AndamiosEngine, *, sample_rows: int = 50_000) -> None:
        self._engine = engine
        self._sample_rows = sample_rows

    async def analyze_query(self, query: Any, *, analyze: bool = False) -> QueryPlan:
        """
        Give the plan that the database has for a query; its values are bound as ever.

        Args:
            query: A ``QueryBuilder``, or a SELECT of SQLAlchemy, ``text()`` too.
            analyze: Run it too and count the rows of each node, where the database can:
                PostgreSQL, MySQL 9 and MariaDB.

        Raises:
            QueryError: It is no SELECT.
        """
        async with self._engine.session(read_only=True, is_current=False) as session:
            return await explain(session, self._statement(query), analyze=analyze)

    async def suggest_indexes(self, query: Any, *, build: bool = False) -> list[IndexSuggestion]:
        """
        Give the indexes that make a query cheaper, as DDL with the proof.

        Each was tried, on a connection of its own that leaves nothing behind: PostgreSQL
        plans with indexes that are not there (HypoPG), or on temporary copies of a sample
        of the rows, like MySQL and MariaDB; SQLite on a copy in memory. Nothing is
        suggested that does not save a tenth, that exists already, or for small tables.

        Args:
            query: A ``QueryBuilder``, or a SELECT of SQLAlchemy.
            build: Try real indexes on the live tables instead, which locks writers out
                meanwhile; they are rolled back or dropped.

        Raises:
            QueryError: It is no SELECT, or one in ``text()``. Or it reads a table twice, of
                which MySQL and MariaDB can have no temporary copy, and ``build`` is not set.
        """
        sent, inner = await self._sent(query)
        async with self._reading() as connection:
            candidates, existing = await self._worth_trying(connection, inner)
        if not candidates:
            return []
        async with AsyncExitStack() as stack:
            laboratory = await self._laboratory(stack, sent, inner, build=build)
            return await proven(laboratory, candidates, existing)

    def watch(self, threshold: int = 5) -> Watch:
        """
        Watch what runs in a block, and find what runs once a row: ``with`` or ``async with``.

        Args:
            threshold: How often a line has to run a statement, in one task, to be told.
        """
        return Watch(self._engine, threshold)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connections.acquire() as connection:
            yield await connection.execution_options(andamios_read_only=True)

    def _statement(self, query: Any) -> Any:
        if isinstance(query, QueryBuilder):
            return executed(query._spec, self._engine.backend)  # noqa: SLF001  the façade's other half
        inner = query.element if isinstance(query, FromStatement) else query
        # The names of its columns are no part of what is sent.
        inner = inner.element if isinstance(inner, sa.TextualSelect) else inner
        if isinstance(inner, sa.TextClause) and not WRITE.match(inner.text):
            return inner
        if getattr(inner, "is_select", False):
            return query
        raise QueryError(f"{NOT_A_SELECT} For a write, ask with a SELECT of the same rows.")

    async def _sent(self, query: Any) -> tuple[Sent, Any]:
        """Find what is sent for a query, and the statement of Core inside it."""
        statement = self._statement(query)
        if isinstance(statement, sa.TextClause):
            raise QueryError(f"{NOT_A_SELECT} The clauses of text are not read.")

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

    async def _laboratory(
        self, stack: AsyncExitStack, sent: Sent, inner: Any, *, build: bool
    ) -> Laboratory:
        stack.enter_context(translating())
        if self._engine.backend == "sqlite" and not build:
            # Its copy is elsewhere: SQLite's writers must not wait for this.
            connection = await stack.enter_async_context(self._reading())
        else:
            acquire = self._engine.connections.acquire
            connection = await stack.enter_async_context(acquire())
        if build:
            return await stack.enter_async_context(live_tables(self._engine, connection, sent))
        if self._engine.backend == "postgresql":
            found = await stack.enter_async_context(hypothetical(connection, sent))
            if found is not None:
                return found
        copies = {"postgresql": postgresql_copies, "sqlite": sqlite_copy}
        copy = copies.get(self._engine.backend, mysql_copies)
        opened = copy(connection, sent, inner, most=self._sample_rows)
        return await stack.enter_async_context(opened)
