"""
A transaction that only reads, for statements that see the same moment, or a cursor.

It ends as SQLAlchemy's pool ends it when the connection comes back: by a rollback.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.util.concurrency import greenlet_spawn

from andamios.core.sqlite_writer import writer_of
from andamios.plans.executor import adapted
from andamios.plans.forms import UnplannableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from andamios.core.facts import Outcome
    from andamios.plans.drivers import Answer
    from andamios.plans.executor import Executor

__all__ = ["Transaction", "reading", "sees_one_moment"]

SEEING_OTHERS = {"READ COMMITTED", "READ UNCOMMITTED"}
"""Isolation levels in which each statement of a transaction sees what was committed before it."""


class Transaction:
    """
    A connection on which a transaction was begun.

    Args:
        executor: Of the engine.
        connection: Out of the pool.
    """

    __slots__ = ("_executor", "connection", "has_given", "outcome", "sql")

    def __init__(self, executor: Executor, connection: Any) -> None:
        self._executor = executor
        self.connection = connection
        self.sql = "BEGIN"
        self.has_given = False  # something to the caller, so that it cannot begin anew
        self.outcome: Outcome = "committed"  # what it counts as, once it has ended well

    async def run(self, sql: str, values: Sequence[Any]) -> Answer:
        """Run a statement that reads."""
        driver: Any = self._executor.driver
        with self.telling(sql):
            answer: Answer = await driver.join(self.connection, sql, values)
        return answer

    @contextmanager
    def telling(self, sql: str) -> Iterator[Callable[[], None]]:
        """
        Announce a statement: at the end of the block, or once what it yields is called.

        Raises:
            UnplannableError: It was prepared before tables have changed.
        """
        self.sql, began, is_told = sql, time.perf_counter(), False
        driver: Any = self._executor.driver

        def tell() -> None:
            nonlocal is_told
            if not is_told:
                self._executor.hooks.finished_within(sql, began)
            is_told = True

        try:
            yield tell
        except Exception as error:
            self._executor.hooks.finished_within(sql, began, error=type(error).__name__)
            if driver.is_outdated(adapted(self.connection, error)) and not self.has_given:
                raise UnplannableError("tables have changed since it was prepared") from error
            raise
        tell()


def sees_one_moment(executor: Executor) -> bool:
    """Whether a transaction of the engine sees more than its statements would one by one."""
    level = getattr(executor.dialect, "default_isolation_level", None)  # unknown until it connects
    return level not in SEEING_OTHERS


@asynccontextmanager
async def reading(executor: Executor) -> AsyncIterator[Transaction]:
    """
    Begin a transaction that only reads, and end it with the block.

    Raises:
        AndamiosError: As a session would raise it.
    """
    connection = await executor.connect()
    transaction, began = Transaction(executor, connection), time.perf_counter()
    outcome: Outcome = "rolled back"
    try:
        await _begin(executor, connection)
        yield transaction
    except BaseException as error:
        raised = await executor.failed(connection, error, transaction.sql)
        if raised is error:
            raise
        raise raised from error
    else:
        outcome = transaction.outcome
        await greenlet_spawn(connection.close)
    finally:
        if executor.dialect.name == "sqlite":
            writer_of(executor.dialect).end(connection)
        executor.hooks.ended(began, outcome)


async def _begin(executor: Executor, connection: Any) -> None:
    driver: Any = executor.driver
    if executor.dialect.name == "postgresql":
        adapter = connection.dbapi_connection
        adapter.readonly = True
        try:
            await adapter._start_transaction()  # noqa: SLF001
        finally:
            adapter.readonly = False
    elif executor.dialect.name == "sqlite":
        await driver.read(connection, "BEGIN", ())
        writer_of(executor.dialect).reads(connection)
    else:
        await driver.read(connection, "START TRANSACTION READ ONLY", ())
