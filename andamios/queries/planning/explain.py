"""
Asking a database for its plan of a statement, with the values bound as ever.

What is explained is what a session would send: its listeners have their say first, so
that the plan knows of hidden rows too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement, Executable

from andamios.errors import ConfigurationError
from andamios.queries.planning import mariadb, mysql, postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Connection, Result
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import ORMExecuteState, Session

    from andamios.queries.planning.plan import QueryPlan

__all__ = ["Explain", "Sent", "explain", "explain_sent", "sent_by"]

READERS = {
    "mariadb": mariadb.read,
    "mysql": mysql.read,
    "postgresql": postgresql.read,
    "sqlite": sqlite.read,
}

PREFIXES = {
    ("mariadb", False): "EXPLAIN FORMAT=JSON",
    ("mariadb", True): "ANALYZE FORMAT=JSON",
    ("mysql", False): "EXPLAIN FORMAT=JSON",
    ("mysql", True): "EXPLAIN ANALYZE FORMAT=JSON",
    ("postgresql", False): "EXPLAIN (FORMAT JSON)",
    ("postgresql", True): "EXPLAIN (ANALYZE, FORMAT JSON)",
    ("sqlite", False): "EXPLAIN QUERY PLAN",
    ("sqlite", True): "EXPLAIN QUERY PLAN",
}
"""By backend, and by whether the statement is run for it; SQLite cannot."""


class Explain(Executable, ClauseElement):
    """
    A statement with the backend's word for EXPLAIN in front.

    Args:
        statement: What to explain.
        analyze: Whether to run it and count.
    """

    inherit_cache = False

    def __init__(self, statement: Any, *, analyze: bool = False) -> None:
        self.statement = statement
        self.analyze = analyze


@compiles(Explain)
def _compile(element: Explain, compiler: Any, **options: Any) -> str:
    prefix = PREFIXES.get((compiler.dialect.name, element.analyze))
    if prefix is None:
        raise ConfigurationError(f"Plans of {compiler.dialect.name} cannot be read.")
    return f"{prefix} {compiler.process(element.statement, **options)}"


@dataclass(frozen=True, slots=True)
class Sent:
    """
    A statement as a session would send it.

    Args:
        statement: With everything that the session's listeners added.
        parameters: Given apart from the statement, if any.
        options: Execution options.
    """

    statement: Any
    parameters: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)


async def explain(session: AsyncSession, statement: Any, *, analyze: bool = False) -> QueryPlan:
    """
    Give the plan of a statement, inside a session.

    Args:
        session: Where it would run.
        statement: Anything that can be executed and explained.
        analyze: Whether to run it, and count the rows that come.
    """

    def ask(inner: Session) -> QueryPlan:
        connection, sent = sent_by(inner, statement)
        return explain_sent(connection, sent, analyze=analyze)

    return await session.run_sync(ask)


def sent_by(session: Session, statement: Any) -> tuple[Connection, Sent]:
    """Find what a session would send for a statement, and on which connection."""
    seen: list[ORMExecuteState] = []

    def instead(state: ORMExecuteState) -> Result[Any]:
        seen.append(state)
        return IteratorResult(SimpleResultMetaData(()), iter(()))

    event.listen(session, "do_orm_execute", instead)
    try:
        session.execute(statement)
    finally:
        event.remove(session, "do_orm_execute", instead)
    state = seen[0]
    connection = session.connection(bind_arguments=state.bind_arguments)
    return connection, Sent(state.statement, state.parameters, state.execution_options)


def explain_sent(connection: Connection, sent: Sent, *, analyze: bool = False) -> QueryPlan:
    """Give the plan that a connection has for a statement."""
    explained = Explain(sent.statement, analyze=analyze)
    result = connection.execute(explained, sent.parameters, execution_options=sent.options)
    plan = READERS[connection.dialect.name](result.all())
    return postgresql.with_primary_keys(connection, plan)
