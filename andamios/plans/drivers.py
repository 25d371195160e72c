"""
The drivers, asked directly: one statement, its parameters, all of its rows.

What a connection needs around a statement (codecs, its cache of prepared statements) stays
SQLAlchemy's, whose connections these are.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from andamios.core.sqlite_types import refuse_any_long_text, refuse_long_texts
from andamios.core.sqlite_writer import QUERY_ONLY, writer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.engine import Dialect

    Fetch = Callable[[int], Awaitable[tuple[Sequence[Any], Any]]]

__all__ = ["Answer", "Batch", "Driver", "driver_of"]

LONGEST = 500_000
"""Characters of a statement that inserts many rows; servers take several megabytes."""

Answer = tuple["Sequence[Any]", int, Any]
"""
Rows; how many were written, -1 if the driver does not say; and what tells the types of the rows.

Of an INSERT without rows the last is the key that MySQL gave to the new one.
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Many rows that are written by the same statement.

    Args:
        parts: The statement for one row: what stands before the row, the row, and what comes then.
        records: Bound values of each row.
        beside: Bound values of what comes behind a row.
        is_numbered: Whether the rows' new keys are wanted, which are the answer's rows.
    """

    parts: tuple[str, str, str]
    records: Sequence[tuple[Any, ...]]
    beside: Sequence[Any]
    is_numbered: bool


class Driver(Protocol):
    """
    What is asked of a driver; connections are SQLAlchemy's, as they lie in its pool.

    Args:
        dialect: Whose.
    """

    _dialect: Any

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect

    async def read(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """
        Run a statement that reads, as a transaction by itself.

        Args:
            connection: Of a pool of SQLAlchemy's.
            sql: In the paramstyle of its dialect.
            values: Bound ones, in the order of their places.
        """

    async def write(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Run a statement that writes, likewise."""

    async def join(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Run a statement in the transaction that SQLAlchemy began, or is about to."""

    async def write_many(self, connection: Any, batch: Batch) -> Answer:
        """Write many rows in the transaction that SQLAlchemy began, or is about to."""

    def open(
        self, connection: Any, sql: str, values: Sequence[Any]
    ) -> AbstractAsyncContextManager[Fetch]:
        """
        Open a cursor in a transaction.

        Returns:
            What fetches so many rows, and what tells their types.
        """

    def codes(self, _description: Any) -> tuple[Any, ...] | None:
        """Give the database's codes of the types that an answer has, if it tells them."""
        return None

    def is_outdated(self, _error: Exception) -> bool:
        """Whether a statement was not run since tables have changed, and may be run again."""
        return False


class AsyncpgDriver(Driver):
    """PostgreSQL."""

    async def read(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Run it prepared, by SQLAlchemy's cache of prepared statements."""
        statement, attributes = await self._prepared(connection, sql)
        rows = await statement.fetch(*values)
        return rows, _count(statement.get_statusmsg()), attributes

    write = read

    async def join(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Begin, which SQLAlchemy's adapter leaves to the first statement, and run it."""
        adapter = connection.dbapi_connection
        if adapter._transaction is None:  # noqa: SLF001
            await adapter._start_transaction()  # noqa: SLF001
        return await self.read(connection, sql, values)

    @asynccontextmanager
    async def open(self, connection: Any, sql: str, values: Sequence[Any]) -> AsyncIterator[Fetch]:
        """Open a portal, which ends with its transaction."""
        statement, attributes = await self._prepared(connection, sql)
        cursor = await statement.cursor(*values)

        async def fetch(count: int) -> tuple[Sequence[Any], Any]:
            return await cursor.fetch(count), attributes

        yield fetch

    async def _prepared(self, connection: Any, sql: str) -> Any:
        since = self._dialect._invalidate_schema_cache_asof  # noqa: SLF001
        return await connection.dbapi_connection._prepare(sql, since)  # noqa: SLF001

    def codes(self, description: Any) -> tuple[Any, ...] | None:
        """Give the object ids of the types."""
        return tuple(attribute.type.oid for attribute in description)

    def is_outdated(self, error: Exception) -> bool:
        """Say so if a prepared statement is; the next try prepares it anew."""
        dbapi = self._dialect.loaded_dbapi
        if not isinstance(error, dbapi.InvalidCachedStatementError):
            return False
        self._dialect._invalidate_schema_cache()  # noqa: SLF001
        return True


class AiosqliteDriver(Driver):
    """SQLite: the whole statement in one hop to its thread."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self._writer = writer_of(dialect)

    async def read(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Run it and fetch everything."""
        self._writer.refuse_twice(read_only=True)
        return await self.join(connection, sql, values)

    async def join(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Run it and fetch everything."""
        driver = connection.driver_connection
        rows, count = await driver._execute(_run, driver._conn, sql, values)  # noqa: SLF001
        return rows, count, None

    async def write(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Run it when it is this writer's turn."""
        refuse_long_texts(values)
        driver = connection.driver_connection
        async with self._writer.turn(connection):
            if connection.info.get(QUERY_ONLY):
                await driver.execute_fetchall("PRAGMA query_only=OFF")
                connection.info[QUERY_ONLY] = False
            return await self.join(connection, sql, values)

    async def write_many(self, connection: Any, batch: Batch) -> Answer:
        """Run one statement for each row, all in one hop to its thread."""
        refuse_any_long_text([*batch.records, batch.beside])
        driver = connection.driver_connection
        run = _insert_each if batch.is_numbered else _insert_all
        numbers, count = await driver._execute(run, driver._conn, batch)  # noqa: SLF001
        return numbers, count, None

    @asynccontextmanager
    async def open(self, connection: Any, sql: str, values: Sequence[Any]) -> AsyncIterator[Fetch]:
        """Open a cursor, whose parts take one hop to its thread each."""
        cursor = await connection.driver_connection.execute(sql, values)
        async with _fetching(cursor) as fetch:
            yield fetch


class MySQLDriver(Driver):
    """MySQL and MariaDB, through aiomysql or asyncmy."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        # SQLAlchemy's cursor of aiomysql, which asks for no warnings.
        self._cursors = [c for c in [getattr(dialect.loaded_dbapi, "Cursor", None)] if c]

    async def read(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Run it in autocommit, which stays on until a transaction begins."""
        driver = connection.driver_connection
        if not driver.get_autocommit():
            await driver.autocommit(True)  # noqa: FBT003  its signature
        return await self.join(connection, sql, values)

    write = read

    async def join(self, connection: Any, sql: str, values: Sequence[Any]) -> Answer:
        """Run it and fetch everything."""
        async with connection.driver_connection.cursor(*self._cursors) as cursor:
            await cursor.execute(sql, values)
            if cursor.description is None:
                return (), cursor.rowcount, cursor.lastrowid
            return await cursor.fetchall(), cursor.rowcount, cursor.description

    async def write_many(self, connection: Any, batch: Batch) -> Answer:
        """Run statements of many rows each, which the driver writes out."""
        numbers: list[int] = []
        count = 0
        head, row, tail = batch.parts
        async with connection.driver_connection.cursor(*self._cursors) as cursor:
            write = cursor.mogrify
            step = await _step(cursor) if batch.is_numbered else 0
            head, tail = write(head, ()), write(tail, batch.beside)
            for rows in _statements(write(row, record) for record in batch.records):
                await cursor.execute(head + ",".join(rows) + tail)
                count += cursor.rowcount
                if step:
                    first = cursor.lastrowid
                    numbers += range(first, first + len(rows) * step, step)
        return numbers, count, None

    @asynccontextmanager
    async def open(self, connection: Any, sql: str, values: Sequence[Any]) -> AsyncIterator[Fetch]:
        """Open an unbuffered cursor, with which the server sends while it is read."""
        cursors = getattr(self._dialect.loaded_dbapi, self._dialect.driver).cursors
        cursor = cursors.SSCursor(connection.driver_connection)
        await cursor.execute(sql, values)
        async with _fetching(cursor) as fetch:
            yield fetch

    def codes(self, description: Any) -> tuple[Any, ...] | None:
        """Give the numbers of the types."""
        return tuple(column[1] for column in description)


DRIVERS: dict[str, type[Any]] = {
    "asyncpg": AsyncpgDriver,
    "aiosqlite": AiosqliteDriver,
    "aiomysql": MySQLDriver,
    "asyncmy": MySQLDriver,
}


def driver_of(dialect: Dialect) -> Driver | None:
    """Give the driver of a dialect, or None if the short way does not know it."""
    kind = DRIVERS.get(dialect.driver)
    return None if kind is None else kind(dialect)


@asynccontextmanager
async def _fetching(cursor: Any) -> AsyncIterator[Fetch]:
    """Close a cursor, unless its task was cancelled: then its connection is given up."""

    async def fetch(count: int) -> tuple[Sequence[Any], Any]:
        return await cursor.fetchmany(count), cursor.description

    try:
        yield fetch
    except Exception:
        await cursor.close()
        raise
    await cursor.close()


def _run(connection: Any, sql: str, values: Sequence[Any]) -> tuple[Sequence[Any], int]:
    cursor = connection.execute(sql, values)
    return cursor.fetchall(), cursor.rowcount


def _insert_all(connection: Any, batch: Batch) -> tuple[Sequence[int], int]:
    records, beside = batch.records, tuple(batch.beside)
    if beside:
        records = [record + beside for record in records]
    return (), connection.executemany("".join(batch.parts), records).rowcount


def _insert_each(connection: Any, batch: Batch) -> tuple[Sequence[int], int]:
    run, sql = connection.cursor().execute, "".join(batch.parts)
    numbers = [run(sql, record).lastrowid for record in batch.records]
    return numbers, len(numbers)


def _statements(rows: Iterable[str]) -> Iterator[list[str]]:
    """Part rows into statements that are not too long."""
    part: list[str] = []
    size = 0
    for row in rows:
        if part and size + len(row) > LONGEST:
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row)
    yield part


async def _step(cursor: Any) -> int:
    """Ask by how much a key is greater than the one before."""
    await cursor.execute("SELECT @@auto_increment_increment")
    ((step,),) = await cursor.fetchall()
    return int(step)


def _count(status: str | None) -> int:
    """Read the number of rows out of ``UPDATE 3`` or ``INSERT 0 1``."""
    last = (status or "").rpartition(" ")[2]
    return int(last) if last.isdigit() else -1
