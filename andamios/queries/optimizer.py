"""
The optimizer: what a database does for a query, which index would help, and what repeats.

A façade: ``planning`` asks for plans and reads them, ``indexes`` tries candidates, and
``watching`` finds statements that run once a row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import FromStatement

from andamios.errors import QueryError
from andamios.queries.builder import QueryBuilder
from andamios.queries.compose import executed
from andamios.queries.watching import Watch

if TYPE_CHECKING:
    from andamios.core.engine import AndamiosEngine
    from andamios.queries.indexes.suggestion import IndexSuggestion
    from andamios.queries.planning.plan import QueryPlan

__all__ = ["QueryOptimizer"]

WRITE = re.compile(
    r"(?:\s|/\*.*?\*/|(?:--|#)[^\n]*\n)*(?:insert|update|delete|replace|merge)\b",
    re.IGNORECASE | re.DOTALL,
)
"""What writes, by its first word behind comments."""

NOT_A_SELECT = "The optimizer takes a QueryBuilder or a SELECT of SQLAlchemy."


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
        from andamios.queries.planning.explain import explain  # noqa: PLC0415  used rarely

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
        from andamios.queries.indexes.suggesting import Suggesting  # noqa: PLC0415  much, used rarely

        statement = self._statement(query)
        if isinstance(statement, sa.TextClause):
            raise QueryError(f"{NOT_A_SELECT} The clauses of text are not read.")
        suggesting = Suggesting(self._engine, sample_rows=self._sample_rows, build=build)
        return await suggesting.suggest(statement)

    def watch(self, threshold: int = 5) -> Watch:
        """
        Watch what runs in a block, and find what runs once a row: ``with`` or ``async with``.

        Args:
            threshold: How often a line has to run a statement, in one task, to be told.
        """
        return Watch(self._engine, threshold)

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
