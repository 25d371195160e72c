"""
What SQLite needs to behave like the servers do.

WAL and a busy time-out, so that readers and the writer do not block each other; foreign
keys on; explicit transactions (``BEGIN IMMEDIATE`` for those that write, since a read
that turns into a write in a deferred one fails at once with "database is locked");
``:memory:`` as one database for all connections of the engine; types that refuse what the
servers would refuse; and text functions that know more than ASCII.
"""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import aiosqlite
from sqlalchemy import event
from sqlalchemy.util.concurrency import await_only, in_greenlet

from andamios.core.endings import Endings
from andamios.core.hooks import INTERNAL
from andamios.core.listening import listen
from andamios.core.sqlite_compiler import StrictTypeCompiler
from andamios.core.sqlite_types import STRICT_TYPES, refuse_too_long
from andamios.core.sqlite_writer import QUERY_ONLY, Writer, give_writer

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["BUSY_TIMEOUT", "is_memory", "prepare", "shared_memory_url", "target"]

BUSY_TIMEOUT = 10.0
"""How long a writer waits for another one, in seconds."""

THREAD_LOOK = 0.005
"""How often a thread that is to end is looked at, in seconds."""


class SQLiteConnection(sqlite3.Connection):
    """A connection that sets itself up in the thread, and so in the one hop, that opens it."""

    def __init__(self, database: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(database, *args, **kwargs)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()
        self._is_closed = False
        self.execute("PRAGMA foreign_keys=ON")
        if "vfs=memdb" not in str(database):
            self.execute("PRAGMA journal_mode=WAL")
        # LIKE and lower() know ASCII only, and LIKE ignores its case; servers do neither.
        self.execute("PRAGMA case_sensitive_like=ON")
        self.create_function("lower", 1, _lower, deterministic=True)
        self.create_function("upper", 1, _upper, deterministic=True)
        self.create_collation("andamios_decimal", _compare_decimals)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Make a cursor, and remember it as long as somebody else does."""
        made = super().cursor(*args, **kwargs)
        self._cursors.add(made)
        return made

    def commit(self) -> None:
        """Commit; what is refused is rolled back, where SQLite would leave it open."""
        try:
            super().commit()
        except sqlite3.Error:
            self.rollback()
            raise

    def close(self) -> None:
        """
        Close cursors too: one that a traceback refers to would keep the transaction open.

        Closing twice is fine, as it is in sqlite3: who is cancelled while it closes does it again.
        """
        if self._is_closed:
            return
        self._is_closed = True
        for cursor in self._cursors:
            cursor.close()
        if self.in_transaction:
            self.rollback()
        super().close()


class ThreadedConnection(aiosqlite.Connection):
    """
    The connection's thread, which is stopped once.

    aiosqlite 0.22 waits for the answer to each ``stop``, and a thread that was stopped gives
    none: a task that was cancelled twice while it closed its connection would never end, and
    nor would ``asyncio.run``.
    """

    _is_stopped = False

    def stop(self) -> asyncio.Future[Any] | None:
        """Stop the thread; None if it was told before."""
        if self._is_stopped:
            return None
        self._is_stopped = True
        return super().stop()


class Threads(Endings[ThreadedConnection]):
    """Keeps an event loop until threads have told it how an interrupted statement ended."""

    def victim_of(self, driver_connection: Any) -> ThreadedConnection | None:
        """Tell whose thread has to end."""
        return driver_connection if isinstance(driver_connection, ThreadedConnection) else None

    def address_of(self, _victim: ThreadedConnection) -> tuple[Any, ...]:
        """Tell that it is in this process."""
        return ("SQLite",)

    async def end_all(self, first: ThreadedConnection) -> None:
        """Wait until they have ended."""
        while connection := self.next_at(self.address_of(first)):
            # A thread has no event that could be waited for here.
            while connection._thread.is_alive():  # noqa: ASYNC110, SLF001
                await asyncio.sleep(THREAD_LOOK)
            self.remove(connection)


def connect(database: str, **options: Any) -> ThreadedConnection:
    """Connect as ``aiosqlite.connect`` does; a process that ends does not wait for the thread."""
    connection = ThreadedConnection(partial(sqlite3.connect, database, **options), 64)
    connection._thread.daemon = True  # noqa: SLF001  as SQLAlchemy does it
    return connection


def target(url: URL) -> tuple[URL, dict[str, Any]]:
    """
    Give the URL to connect to, and the arguments for ``sqlite3.connect``.

    ``isolation_level=None`` leaves BEGIN to us.
    """
    arguments: dict[str, Any] = {
        "factory": SQLiteConnection,
        "isolation_level": None,
        "timeout": BUSY_TIMEOUT,
        "async_creator_fn": connect,
    }
    return shared_memory_url(url) if is_memory(url) else url, arguments


def is_memory(url: URL) -> bool:
    """Whether the URL means a database in memory."""
    return url.database in {None, "", ":memory:"}


def shared_memory_url(url: URL) -> URL:
    """
    Name a database in memory that all connections of this engine share.

    SQLite's "memdb" file system shares a database between the connections of a process,
    with the same locks as a file, where ``:memory:`` gives each connection its own.
    """
    name = f"file:/andamios-{uuid.uuid4().hex}"
    return url.set(database=name).update_query_dict({"vfs": "memdb", "uri": "true"})


def prepare(engine: AsyncEngine) -> None:
    """Register what an engine on SQLite needs."""
    sync_engine = engine.sync_engine
    dialect = sync_engine.dialect
    dialect.colspecs = {**dialect.colspecs, **STRICT_TYPES}
    dialect.type_compiler_instance = StrictTypeCompiler(dialect)
    in_memory = engine.url.query.get("vfs") == "memdb"
    if in_memory:
        _keep_memory(engine)
    writer = Writer(BUSY_TIMEOUT, blocks_readers=in_memory)
    give_writer(dialect, writer)
    event.listen(sync_engine, "invalidate", _interrupt)
    Threads().watch(sync_engine)
    listen(sync_engine, "before_cursor_execute", _check_lengths)
    listen(sync_engine, "begin", partial(_begin, writer))
    listen(sync_engine, "commit", writer.end)
    listen(sync_engine, "rollback", writer.end)


def _keep_memory(engine: AsyncEngine) -> None:
    """Hold a database in memory for as long as the engine: it ends with its last connection."""
    anchors: list[sqlite3.Connection] = []

    def anchor(_connection: Any, _record: Any) -> None:
        if not anchors:
            address = f"{engine.url.database}?vfs=memdb"
            anchors.append(sqlite3.connect(address, uri=True, check_same_thread=False))

    def release(_engine: Any) -> None:
        while anchors:
            anchors.pop().close()

    event.listen(engine.sync_engine, "connect", anchor)
    event.listen(engine.sync_engine, "engine_disposed", release)


def _begin(writer: Writer, connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("andamios_begin", True):
        return
    read_only = bool(options.get("andamios_read_only"))
    if options.get("isolation_level") == "AUTOCOMMIT":
        _set_query_only(connection, read_only=read_only)
        return
    writer.refuse_twice(read_only=read_only)
    _set_query_only(connection, read_only=read_only)
    if read_only:
        _send(connection, "BEGIN")
        writer.reads(connection)
    else:
        with writer.taking(connection):
            _send(connection, "BEGIN IMMEDIATE")


def _check_lengths(*execution: Any) -> None:
    _connection, _cursor, _statement, parameters, context, _is_many = execution
    if context is not None:
        refuse_too_long(parameters, context)


def _interrupt(connection: Any, _record: Any, _error: Any) -> None:
    # Its task was cancelled: nobody waits any longer for a statement that is under way.
    if in_greenlet():
        await_only(connection.driver_connection.interrupt())


def _set_query_only(connection: Connection, *, read_only: bool) -> None:
    if bool(connection.info.get(QUERY_ONLY)) is not read_only:
        _send(connection, f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
        connection.info[QUERY_ONLY] = read_only


def _send(connection: Connection, statement: str) -> None:
    """Send what is nobody's query, and so is announced to nobody."""
    connection.exec_driver_sql(statement, execution_options={INTERNAL: True})


def _lower(value: object) -> str | None:
    return None if value is None else str(value).lower()


def _upper(value: object) -> str | None:
    return None if value is None else str(value).upper()


def _compare_decimals(left: str, right: str) -> int:
    from decimal import Decimal  # noqa: PLC0415  only tables with long decimals need it

    a, b = Decimal(left), Decimal(right)
    return (a > b) - (a < b)
