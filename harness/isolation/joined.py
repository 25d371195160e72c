"""
One connection for a whole test: what is committed in it are savepoints, and nothing stays.

Every connection that the engine hands out is the same one of the driver, in a transaction
that is never committed. What SQLAlchemy takes for BEGIN, COMMIT and ROLLBACK are savepoints
in it, through methods of the dialect, which are public; so sessions, repositories, hooks
and caches work as on any other engine, and see each other's commits.

What a stack of savepoints cannot do fails the test, with the tier that can.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.util.concurrency import await_only, greenlet_spawn

from andamios import AndamiosEngine, AndamiosError, ReadOnlyError
from harness.isolation.savepoints import Savepoint, Savepoints
from harness.isolation.statements import commits_first, ends_transaction, first_word, only_reads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from sqlalchemy.engine import URL, Connection, Engine

__all__ = ["IsolationError", "JoinedPlugin", "Stack", "joined_engine"]

PLUGIN = "andamios_joined"
GUARD = "andamios_guard"

ABORTED = "25P02"
"""PostgreSQL's word for a transaction in which a statement failed."""

CURE = "Mark the test @pytest.mark.isolation"


class IsolationError(AndamiosError):
    """
    What a test of the tier ``rolled_back`` did cannot be done inside its transaction.

    The message says what it was and which tier can do it.
    """


class Stack:
    """
    The one connection of a test, in which savepoints take the place of transactions.

    Args:
        checks_deferred: Whether the tables have constraints that are checked at COMMIT.
    """

    def __init__(self, *, checks_deferred: bool = False) -> None:
        self.breaches: list[str] = []
        self.connection: Any = None
        self._checks_deferred = checks_deferred
        self._savepoints = Savepoints()
        self._dialect: Any = None
        self._is_open = False
        self.is_lost = False
        self._is_over = False
        self._lock = asyncio.Lock()
        self._connect: Any = None
        self._close: Any = None
        self._terminate: Any = None
        self._set_level: Any = None
        self._level: str | None = None

    def take_over(self, dialect: Any, isolation_level: str | None) -> None:
        """Put the savepoints in the place of transactions; called before anybody wraps them."""
        self._dialect, self._level = dialect, isolation_level
        self._connect = dialect.connect
        self._close, self._terminate = dialect.do_close, dialect.do_terminate
        self._set_level = dialect.set_isolation_level
        methods = {
            "connect": self._one_at_a_time(self._share),
            "on_connect_url": self._once(dialect.on_connect_url),
            "do_begin": self._one_at_a_time(self._begin),
            "do_commit": self._one_at_a_time(self._commit),
            "do_rollback": self._one_at_a_time(self._rollback),
            "do_close": self._keep,
            "do_terminate": self._lose,
            "do_savepoint": self._one_at_a_time(self._begin_nested),
            "do_rollback_to_savepoint": self._one_at_a_time(self._rollback_nested),
            "do_release_savepoint": self._one_at_a_time(self._release_nested),
            "set_isolation_level": self._keep_level,
            "reset_isolation_level": lambda _connection: None,
        }
        if dialect.name == "postgresql":
            # They would hold for the transaction of the test, not for the one that asks.
            methods |= dict.fromkeys(("set_readonly", "set_deferrable"), lambda *_: None)
        for name, method in methods.items():
            setattr(dialect, name, method)
        if dialect.name in {"mysql", "mariadb"}:
            dialect.execution_ctx_cls = _buffering(dialect.execution_ctx_cls)

    def listen(self, engine: Engine) -> None:
        """Look at each statement."""
        event.listen(engine, "before_cursor_execute", self._look_at)
        event.listen(engine, "handle_error", self._remember_failure)

    def _share(self, *arguments: Any, **options: Any) -> Any:
        if self.connection is None:
            self.connection = self._connect(*arguments, **options)
        else:
            self._refuse_if_lost()
        return self.connection

    def _refuse_if_lost(self) -> None:
        if self.is_lost:
            raise IsolationError(
                "The connection of this test was lost, and its transaction with it (a cancelled "
                f"statement, a closed connection). {CURE}('committing')."
            )

    @staticmethod
    def _once(on_connect_url: Any) -> Any:
        """Set the one connection up once, though it is handed out again and again."""

        def listener_for(url: URL) -> Any:
            set_up = on_connect_url(url)
            done: list[Any] = []

            def on_connect(connection: Any) -> None:
                if set_up is not None and connection not in done:
                    done.append(connection)
                    set_up(connection)

            return on_connect

        return listener_for

    def _send(self, *statements: str) -> list[Any]:
        cursor = self.connection.cursor()
        try:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()

    def _one_at_a_time(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Let no task change the stack while another one waits for the server to do it."""

        def alone(*arguments: Any, **options: Any) -> Any:
            await_only(self._lock.acquire())
            try:
                return method(*arguments, **options)
            finally:
                self._lock.release()

        return alone

    def _begin(self, connection: Any) -> None:
        if not self._is_open:
            begin = ["BEGIN"] if self._dialect.name == "sqlite" else []
            # asyncpg's adapter begins by itself, MySQL where autocommit is off.
            self._send(*begin, f"SAVEPOINT {GUARD}")
            self._is_open = True
        self._savepoints.push(self._send, connection)

    def _commit(self, connection: Any) -> None:
        self._refuse_if_lost()
        mine = self._savepoints.of(connection)
        if not mine:
            return
        if self._checks_deferred and any(each.wrote for each in mine):
            try:
                self._check_deferred()
            except self._dialect.loaded_dbapi.Error:
                # SQLAlchemy sends no ROLLBACK after a COMMIT that was refused.
                self._take_back(self._send, mine[0])
                raise
        with self._noticing_the_end():
            self._savepoints.release(self._send, mine[0])

    def _rollback(self, connection: Any) -> None:
        mine = self._savepoints.of(connection)
        if mine:
            self._take_back(self._send, mine[0])

    def _begin_nested(self, connection: Connection, label: str) -> None:
        self._savepoints.push(connection.exec_driver_sql, connection.connection, label)

    def _release_nested(self, connection: Connection, label: str) -> None:
        self._refuse_if_lost()
        with self._noticing_the_end():
            self._savepoints.release(connection.exec_driver_sql, self._labelled(connection, label))

    def _rollback_nested(self, connection: Connection, label: str) -> None:
        # Through SQLAlchemy, which looks after errors and cancellations there.
        self._take_back(connection.exec_driver_sql, self._labelled(connection, label))

    def _labelled(self, connection: Connection, label: str) -> Savepoint:
        mine = self._savepoints.of(connection.connection)
        return next(each for each in reversed(mine) if each.label == label)

    def _take_back(self, send: Callable[[str], Any], savepoint: Savepoint) -> None:
        if self.is_lost:
            return
        mine = self._savepoints.of(savepoint.owner())
        if self._is_over and not any(each.failed for each in mine):
            return  # everything is about to be rolled back, or kept for people to look at
        overlaps = self._savepoints.overlaps
        with self._noticing_the_end():
            self._savepoints.roll_back(send, savepoint)
        if self._savepoints.overlaps > overlaps and not self._is_over:
            self.breaches.append(
                "A transaction was rolled back while another one of the test overlapped it. Both "
                "are savepoints on one connection, so that the other one's rows went too. "
                f"{CURE}('committing')."
            )

    @contextmanager
    def _noticing_the_end(self) -> Iterator[None]:
        try:
            yield
        except (self._dialect.loaded_dbapi.Error, AndamiosError) as error:
            reason = " ".join(str(error).split())
            self.breaches.append(
                "The test's transaction ended before the test did, so that what it wrote could not "
                f"be rolled back (a savepoint is gone: {reason}). {CURE}('own')."
            )

    def _check_deferred(self) -> None:
        """Check what is deferred until COMMIT, which never comes here."""
        if self._dialect.name == "postgresql":
            check = f"SAVEPOINT {GUARD}_check", "SET CONSTRAINTS ALL IMMEDIATE"
            self._send(*check, f"ROLLBACK TO SAVEPOINT {GUARD}_check")
        elif self._dialect.name == "sqlite" and self._send("PRAGMA foreign_key_check"):
            error = self._dialect.loaded_dbapi.IntegrityError("FOREIGN KEY constraint failed")
            error.sqlite_errorcode = sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
            error.sqlite_errorname = "SQLITE_CONSTRAINT_FOREIGNKEY"
            raise error

    def _keep(self, connection: Any) -> None:
        """Leave the one connection open when a check-out of it ends."""

    def _lose(self, connection: Any) -> None:
        """End a connection that was given up in the middle of something."""
        if connection is self.connection:
            self.is_lost = True
        self._terminate(connection)

    def _keep_level(self, connection: Any, level: str) -> None:
        # Another level is refused with the first statement: here it would lose a connection.
        if level == self._level and not self._is_open:
            self._set_level(connection, level)

    def _look_at(self, connection: Connection, *execution: Any) -> None:
        statement: str = execution[1]
        options = connection.get_execution_options()
        level = self._level or self._dialect.default_isolation_level
        if options.get("isolation_level", level) != level:
            raise IsolationError(
                f"The isolation level {options['isolation_level']} cannot begin inside the "
                f"transaction of the test. {CURE}('committing')."
            )
        if only_reads(statement):
            return
        self._refuse(statement)
        if options.get("andamios_read_only"):
            raise ReadOnlyError(
                "This session only reads. Open it without read_only=True to write.",
                statement=statement,
            )
        self._savepoints.note_write(connection.connection)

    def _refuse(self, statement: str) -> None:
        word = first_word(statement)
        if ends_transaction(statement):
            self._breach(f"{word} was sent as a statement, and would end the test's transaction.")
        if self._dialect.name in {"mysql", "mariadb"} and commits_first(statement):
            self._breach(
                f"MySQL commits before {word}, and what the test wrote could not be rolled back: "
                f"{' '.join(statement.split())[:100]!r}."
            )

    def _breach(self, what: str) -> None:
        message = f"{what} {CURE}('own')."
        self.breaches.append(message)
        raise IsolationError(message)

    def _remember_failure(self, context: Any) -> None:
        connection = context.connection
        if connection is None or connection.invalidated or connection.closed:
            return
        mine = self._savepoints.of(connection.connection)
        is_aborted = getattr(context.original_exception, "sqlstate", None) == ABORTED
        if is_aborted and not any(each.failed for each in mine):
            self.breaches.append(
                "A statement failed in one transaction of the test, and PostgreSQL then refused "
                f"those of another one, which is on the same connection. {CURE}('committing')."
            )
        if mine:
            mine[-1].failed = True

    def end_test(self) -> None:
        """Say that what is rolled back from now on is missed by nobody."""
        self._is_over = True

    async def roll_back(self) -> None:
        """Roll everything back."""
        await greenlet_spawn(self._roll_back)

    async def commit(self) -> None:
        """Commit everything, so that people can look at it."""
        if self.connection is not None and not self.is_lost:
            await greenlet_spawn(self.connection.commit)
            self._is_open = False

    async def close(self) -> None:
        """Roll everything back and close the connection."""
        await greenlet_spawn(self._finish)

    def _roll_back(self) -> None:
        if self._is_open and not self.is_lost:
            with self._noticing_the_end():
                self._send(f"ROLLBACK TO SAVEPOINT {GUARD}")
            self.connection.rollback()
        self._is_open = False
        self._savepoints.clear()

    def _finish(self) -> None:
        if self.connection is None or self.is_lost:
            return
        try:
            self._roll_back()
        finally:
            self._close(self.connection)


def _buffering(context: Any) -> Any:
    """Read every result whole: an unread one would keep the connection from everybody else."""

    class BufferingContext(context):  # type: ignore[misc]  # known when there is a dialect
        def create_server_side_cursor(self) -> Any:
            return self.create_default_cursor()

    return BufferingContext


class JoinedPlugin(CreateEnginePlugin):
    """Lets a :class:`Stack` take over an engine, before anybody wraps its dialect's methods."""

    def __init__(self, url: URL, options: dict[str, Any]) -> None:
        super().__init__(url, options)
        self._stack: Stack = options.pop("joined_stack")

    def update_url(self, url: URL) -> URL:
        """Leave the URL as it is."""
        return url

    def handle_dialect_kwargs(self, _dialect: Any, options: dict[str, Any]) -> None:
        """Remember the isolation level, which the dialect is about to be made with."""
        self._level = options.get("isolation_level")

    def handle_pool_kwargs(self, _pool: Any, options: dict[str, Any]) -> None:
        """Take over the dialect, which has just been made."""
        self._stack.take_over(options["dialect"], self._level)


plugins.register(PLUGIN, __name__, JoinedPlugin.__name__)


@asynccontextmanager
async def joined_engine(url: str, stack: Stack, **options: Any) -> AsyncIterator[AndamiosEngine]:
    """
    Open an engine whose connections are all the one of a stack.

    Args:
        url: Of the database.
        stack: The savepoints; it has the breaches afterwards.
        options: What :class:`AndamiosEngine` takes.

    Yields:
        The engine. Afterwards everything is rolled back.
    """
    # On SQLite a transaction would begin by itself, and wait for the writer, which it is.
    execution = {"andamios_begin": False, **options.pop("execution_options", {})}
    level = execution.pop("isolation_level", None) or options.pop("isolation_level", None)
    if level == "AUTOCOMMIT":
        raise IsolationError(
            "An engine with the isolation level AUTOCOMMIT has no transaction that could be "
            f"rolled back. {CURE}('committing')."
        )
    if level is not None:
        options["isolation_level"] = level
    engine = AndamiosEngine(
        url,
        uvloop=False,
        plugins=[PLUGIN],
        joined_stack=stack,
        execution_options=execution,
        **options,
    )
    stack.listen(engine.async_engine.sync_engine)
    try:
        if engine.backend == "postgresql":
            # The engine asks its first connection for poolers, while nobody else has it yet.
            async with engine.connections.acquire():
                pass
        yield engine
    finally:
        try:
            await stack.close()
        finally:
            await engine.close()
