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
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import event
from sqlalchemy.util.concurrency import await_only, in_greenlet

from andamios.core.hooks import INTERNAL
from andamios.core.sqlite_types import STRICT_TYPES, StrictTypeCompiler, refuse_too_long
from andamios.core.turns import Turns
from andamios.errors import SessionTaskError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["BUSY_TIMEOUT", "connect_args", "is_memory", "prepare", "shared_memory_url"]

BUSY_TIMEOUT = 10.0
"""How long a writer waits for another one, in seconds."""

_Tasks: TypeAlias = "weakref.WeakKeyDictionary[Connection, asyncio.Task[Any] | None]"


class SQLiteConnection(sqlite3.Connection):
    """A connection that sets itself up in the thread, and so in the one hop, that opens it."""

    def __init__(self, database: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(database, *args, **kwargs)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()
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
        """Close cursors too: one that a traceback refers to would keep the transaction open."""
        for cursor in self._cursors:
            cursor.close()
        if self.in_transaction:
            self.rollback()
        super().close()


def connect_args() -> dict[str, Any]:
    """Give the arguments for ``sqlite3.connect``; ``isolation_level=None`` leaves BEGIN to us."""
    return {"factory": SQLiteConnection, "isolation_level": None, "timeout": BUSY_TIMEOUT}


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
    writer = _Writer(blocks_readers=in_memory)
    event.listen(sync_engine, "invalidate", _interrupt)
    event.listen(sync_engine, "before_cursor_execute", _check_lengths)
    event.listen(sync_engine, "begin", writer.begin)
    event.listen(sync_engine, "commit", writer.end)
    event.listen(sync_engine, "rollback", writer.end)


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


class _Writer:
    """
    Knows which task writes, and lets writers take turns.

    A second writing session in the task that holds the writer would wait for itself until
    the busy time-out; it is refused at once instead. A database in memory has no WAL, so
    there a second reading session would wait as well.
    """

    def __init__(self, *, blocks_readers: bool) -> None:
        self._blocks_readers = blocks_readers
        self._turns = Turns(BUSY_TIMEOUT)
        # Weak: a connection that nobody closes must still be found by the garbage collector.
        self._writers: _Tasks = weakref.WeakKeyDictionary()
        self._readers: _Tasks = weakref.WeakKeyDictionary()

    def begin(self, connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("andamios_begin", True):
            return
        read_only = bool(options.get("andamios_read_only"))
        if options.get("isolation_level") == "AUTOCOMMIT":
            _set_query_only(connection, read_only=read_only)
            return
        task = asyncio.current_task()
        if task in self._writers.values() and (self._blocks_readers or not read_only):
            raise SessionTaskError(
                "This task already writes to this SQLite database in another session, and would "
                "wait for itself. Use that session"
                + ("." if self._blocks_readers else ", or open this one with read_only=True.")
            )
        if not read_only and task in self._readers.values():
            raise SessionTaskError(
                "This task reads from this SQLite database in memory in another session, and "
                "would wait for itself. End the reading first, or use a file."
            )
        _set_query_only(connection, read_only=read_only)
        if read_only:
            _send(connection, "BEGIN")
            if self._blocks_readers:
                self._readers[connection] = task
            return
        self._turns.take(connection)
        try:
            _send(connection, "BEGIN IMMEDIATE")
        except BaseException:
            self._turns.give_up(connection)
            raise
        self._writers[connection] = task

    def end(self, connection: Connection) -> None:
        self._readers.pop(connection, None)
        self._writers.pop(connection, None)
        self._turns.give_up(connection)


def _check_lengths(*execution: Any) -> None:
    _connection, _cursor, _statement, parameters, context, _is_many = execution
    if context is not None:
        refuse_too_long(parameters, context)


def _interrupt(connection: Any, _record: Any, _error: Any) -> None:
    # Its task was cancelled: nobody waits any longer for a statement that is under way.
    if in_greenlet():
        await_only(connection.driver_connection.interrupt())


def _set_query_only(connection: Connection, *, read_only: bool) -> None:
    if bool(connection.info.get("query_only")) is not read_only:
        _send(connection, f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
        connection.info["query_only"] = read_only


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
