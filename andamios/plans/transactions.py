"""
A transaction that only reads, for statements that see the same moment, or a cursor.

It ends as SQLAlchemy's pool ends it when the connection comes back: by a rollback.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.util.concurrency import greenlet_spawn

from andamios.core.sqlite_writer import writer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

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

    __slots__ = ("_executor", "connection", "sql")

    def __init__(self, executor: Executor, connection: Any) -> None:
        self._executor = executor
        self.connection = connection
        self.sql = "BEGIN"

    async def run(self, sql: str, values: Sequence[Any]) -> Answer:
        """Run a statement that reads."""
        driver: Any = self._executor.driver
        self.sql, began = sql, time.perf_counter()
        try:
            answer: Answer = await driver.join(self.connection, sql, values)
        except Exception as error:
            self._executor.finished(sql, began, error=type(error).__name__)
            raise
        self._executor.finished(sql, began)
        return answer


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
        outcome = "committed"
        await greenlet_spawn(connection.close)
    finally:
        if executor.dialect.name == "sqlite":
            writer_of(executor.dialect).end(connection)
        executor.ended(began, outcome)


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
