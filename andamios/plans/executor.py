"""
One statement on a connection of the pool, without session, transaction and greenlet.

The server commits it by itself. The pool is SQLAlchemy's, with its events, its limit and those who
wait; where taking or returning a connection needs I/O, that happens as ever.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import exc
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.concurrency import greenlet_spawn

from andamios.core.facts import CommitStarted
from andamios.core.guard import translating
from andamios.core.listening import (
    is_every_statement_seen,
    is_pool_ours,
    statement_listeners,
    stranger_to_statements,
)
from andamios.core.pool import LivePool
from andamios.core.translation import translate, unclassified
from andamios.errors import CommitOutcomeUnknownError, ConnectionFailedError
from andamios.plans.drivers import driver_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from sqlalchemy import Table

    from andamios.core.engine import AndamiosEngine
    from andamios.plans.drivers import Answer

    Writes = Table | Literal[True] | None

__all__ = ["Executor", "adapted"]


class Executor:
    """
    Runs single statements of an engine.

    Args:
        engine: Whose.
    """

    def __init__(self, engine: AndamiosEngine) -> None:
        self.engine: Any = engine.async_engine.sync_engine
        self.hooks = engine.hooks
        self.dialect = self.engine.dialect
        self.driver = driver_of(self.dialect)
        # What was found for reads and for writes, as long as the same listen.
        self._known: list[tuple[tuple[int, ...], str | None] | None] = [None, None]

    def obstacle(self, *, writes: bool) -> str | None:
        """Say what is in the way of every statement of the engine, or of its writes."""
        if is_every_statement_seen():
            return "somebody wants to see every statement of this block"
        if writes and self.hooks.has_listeners(CommitStarted):
            return "somebody wants to know of each COMMIT before it is sent"
        listeners = statement_listeners(self.engine)
        known = self._known[writes]
        if known is None or known[0] != listeners:
            known = self._known[writes] = listeners, next(self._obstacles(writes=writes), None)
        return known[1]

    def _obstacles(self, *, writes: bool) -> Iterator[str]:
        engine, dialect = self.engine, self.dialect
        if not isinstance(engine.pool, LivePool):
            yield f"the pool is a {type(engine.pool).__name__}"
        if (name := stranger_to_statements(engine, writes=writes)) is not None:
            yield f"somebody listens to {name}"
        if self.driver is None:
            yield f"the driver {dialect.driver} is not known to the short way"
        if engine.get_execution_options():
            yield "the engine has execution options"
        if dialect._on_connect_isolation_level not in {None, "AUTOCOMMIT"}:  # noqa: SLF001
            yield "the engine has an isolation level"

    async def run(self, sql: str, values: Sequence[Any], *, writes: Writes = None) -> Answer:
        """
        Run a statement.

        Args:
            sql: In the paramstyle of the dialect.
            values: Bound ones, in the order of their places.
            writes: The table whose rules it may break; True if those of others.

        Raises:
            AndamiosError: As a session would raise it.
            CommitOutcomeUnknownError: The connection was lost during a write.
        """
        assert self.driver is not None
        send = self.driver.read if writes is None else self.driver.write
        pool: LivePool = self.engine.pool
        lent = pool.lend() or await self._wait_lent(pool) if is_pool_ours(self.engine) else None
        connection: Any = await self.connect() if lent is None else lent
        began = time.perf_counter()
        try:
            try:
                answer = await send(connection, sql, values)
            except Exception as error:
                if not self.driver.is_outdated(adapted(connection, error)):
                    raise
                answer = await send(connection, sql, values)
        except BaseException as error:
            raised = await self.failed(connection, error, sql, writes)
            self.hooks.finished_alone(sql, began, error=type(raised).__name__)
            if raised is error:
                raise
            raise raised from error
        if self.hooks.are_heard:
            self.hooks.finished_alone(sql, began, rows=answer[1] if writes is not None else None)
        if lent is not None and pool.has_room():
            pool.take_back(lent)
        else:
            await greenlet_spawn(_give_back, pool, connection)
        return answer

    async def _wait_lent(self, pool: LivePool) -> Any:
        with translating():
            return await pool.wait_lent()

    async def connect(self) -> Any:
        """Take a connection out of the pool, in SQLAlchemy's wrapper."""
        with translating():
            return await greenlet_spawn(self.engine.raw_connection)

    async def failed(
        self, connection: Any, error: BaseException, sql: str, writes: Writes = None
    ) -> BaseException:
        """
        Give a connection back, or up.

        Returns:
            The error to raise.
        """
        pool = self.engine.pool
        if isinstance(error, GeneratorExit):  # nobody runs this any longer, and nothing can wait
            _give_up(pool, connection, error)
            return error
        if not isinstance(error, Exception):  # cancelled, with a statement under way
            await greenlet_spawn(_give_up, pool, connection, error)
            return error
        raised: Any = adapted(connection, error)
        is_lost = self.dialect.is_disconnect(raised, connection.dbapi_connection, None)
        if is_lost:
            # The others of this age are broken too.
            pool._invalidate(None)  # noqa: SLF001
            await greenlet_spawn(_give_up, pool, connection, raised)
        else:
            await greenlet_spawn(_give_back, pool, connection)
        return self._translated(raised, sql, writes, is_lost=is_lost) or error

    def _translated(
        self, error: Any, sql: str, writes: Writes, *, is_lost: bool
    ) -> Exception | None:
        table = None if writes is True else writes
        found = translate(error, statement=sql, table=table, is_disconnect=is_lost)
        if found is None and isinstance(error, self.dialect.loaded_dbapi.Error):
            found = unclassified(exc.DBAPIError(sql, None, error))
        if isinstance(found, ConnectionFailedError) and writes is not None:
            return CommitOutcomeUnknownError(
                "The connection was lost during a write that commits by itself, and it may have "
                "happened or not. Look whether the change is there before you make it again.",
                statement=sql,
                code=found.code,
            )
        return found


def _give_back(pool: LivePool, connection: Any) -> None:
    """Return a connection; its end, if it is one too many, takes I/O."""
    if isinstance(connection, ConnectionPoolEntry):
        pool.take_back(connection)
    else:
        connection.close()


def _give_up(pool: LivePool, connection: Any, error: BaseException) -> None:
    """Close a connection and return what is left of it."""
    connection.invalidate(error)
    if isinstance(connection, ConnectionPoolEntry):
        pool.take_back(connection)


def adapted(connection: Any, error: Exception) -> Exception:
    """Give a driver's error as SQLAlchemy's adapter raises it."""
    try:
        connection.dbapi_connection._handle_exception(error)  # noqa: SLF001
    except Exception as found:  # noqa: BLE001  whatever it makes of it
        return found
    return error
