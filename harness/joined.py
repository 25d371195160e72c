"""
One connection for a whole test: what is committed in it are savepoints, and nothing stays.

Every connection that the engine hands out is the same one of the driver, in a transaction
that is never committed. What SQLAlchemy takes for BEGIN, COMMIT and ROLLBACK are savepoints
in it, through methods of the dialect, which are public; so sessions, repositories, hooks
and caches work as on any other engine, and see each other's commits.

Savepoints are a stack, where transactions of a server are not. Overlapping ones are kept
apart as far as that goes, and what a stack cannot do fails the test, see :class:`Breach`.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import weakref
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.util.concurrency import await_only, greenlet_spawn

from andamios import AndamiosEngine, AndamiosError, ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy.engine import URL, Connection, Engine

__all__ = ["IsolationError", "JoinedPlugin", "Stack", "joined_engine"]

PLUGIN = "andamios_joined"
GUARD = "andamios_guard"

READS = {
    *("SELECT", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "PRAGMA", "VALUES", "SET", "TABLE"),
    *("SAVEPOINT", "RELEASE"),
}
"""First words of statements that write nothing."""

WRITES = re.compile(
    r"\b(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+\S+\s+SET)\b", re.IGNORECASE
)
"""What a statement that begins with ``WITH`` holds if it writes."""

ENDS = {"BEGIN", "COMMIT", "END", "ROLLBACK", "START", "ABORT"}
"""First words of statements that a session sends by its own methods."""

COMMITS_FIRST = {
    *("ALTER", "ANALYZE", "CHECK", "CREATE", "DROP", "FLUSH", "GRANT", "LOCK", "OPTIMIZE"),
    *("RENAME", "REPAIR", "REVOKE", "TRUNCATE", "UNLOCK"),
}
"""First words of statements before which MySQL and MariaDB commit (manual, 15.3.3)."""

CURE = "Mark the test @pytest.mark.isolation"


class IsolationError(AndamiosError):
    """
    What a test of the tier ``rolled_back`` did cannot be done inside its transaction.

    The message says what it was and which tier can do it.
    """


@dataclass(eq=False)
class _Entry:
    """One transaction of SQLAlchemy: a savepoint on the stack."""

    depth: int
    owner: Callable[[], Any]
    """A weak reference to the check-out of the connection."""
    has_ended: bool = False
    wrote: bool = False
    failed: bool = False
    holds_others: bool = False
    """Whether another one committed while this one was open: a rollback would take it back."""

    @property
    def name(self) -> str:
        return f"andamios_{self.depth}"


class Stack:
    """
    The savepoints of one test, on the one connection that it has.

    Args:
        checks_deferred: Whether the tables have constraints that are checked at COMMIT.
    """

    def __init__(self, *, checks_deferred: bool = False) -> None:
        self.breaches: list[str] = []
        self.connection: Any = None
        self._checks_deferred = checks_deferred
        self._entries: list[_Entry] = []
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
            "do_savepoint": self._named(dialect.do_savepoint),
            "do_rollback_to_savepoint": self._named(dialect.do_rollback_to_savepoint),
            "do_release_savepoint": self._named(dialect.do_release_savepoint),
            "set_isolation_level": self._keep_level,
            "reset_isolation_level": lambda _connection: None,
        }
        if dialect.name == "postgresql":
            # They would hold for the transaction of the test, not for the one that asks.
            methods |= dict.fromkeys(("set_readonly", "set_deferrable"), lambda *_: None)
        for name, method in methods.items():
            setattr(dialect, name, method)
        # An unbuffered result would keep the connection from everybody else.
        dialect.supports_server_side_cursors = dialect.name not in {"mysql", "mariadb"}

    def listen(self, engine: Engine) -> None:
        """Look at each statement."""
        event.listen(engine, "before_cursor_execute", self._look_at)
        event.listen(engine, "handle_error", self._remember_failure)

    def _share(self, *arguments: Any, **options: Any) -> Any:
        if self.connection is None:
            self.connection = self._connect(*arguments, **options)
        elif self.is_lost:
            raise IsolationError(
                "The connection of this test was lost, and its transaction with it (a cancelled "
                f"statement, a closed connection). {CURE}('committing')."
            )
        return self.connection

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
        entry = _Entry(len(self._entries) + 1, weakref.ref(connection))
        self._send(f"SAVEPOINT {entry.name}")
        self._entries.append(entry)

    def _entry_of(self, connection: Any) -> _Entry | None:
        live = (each for each in reversed(self._entries) if not each.has_ended)
        return next((each for each in live if each.owner() is connection), None)

    def _commit(self, connection: Any) -> None:
        entry = self._entry_of(connection)
        if entry is not None:
            if entry.wrote and self._checks_deferred:
                try:
                    self._check_deferred()
                except self._dialect.loaded_dbapi.Error:
                    # SQLAlchemy sends no ROLLBACK after a COMMIT that was refused.
                    self._rollback(connection)
                    raise
            self._end(entry)

    def _end(self, entry: _Entry) -> None:
        """Keep what an entry wrote, for as long as those below it do."""
        entry.has_ended = True
        for below in self._entries[: self._entries.index(entry)]:
            below.holds_others |= entry.wrote or entry.holds_others
        self._release()

    def _release(self) -> None:
        # One that lies under others waits for them: its release would end them too.
        while self._entries and self._entries[-1].has_ended:
            self._try(f"RELEASE SAVEPOINT {self._entries.pop().name}")

    def _rollback(self, connection: Any) -> None:
        entry = self._entry_of(connection)
        if entry is None:
            return
        if not entry.wrote and not entry.failed:
            # There is nothing to take back, but perhaps what others committed meanwhile.
            self._end(entry)
            return
        above = self._entries[self._entries.index(entry) + 1 :]
        if (entry.holds_others or above) and not self._is_over:
            self.breaches.append(
                "A transaction was rolled back while another one of the test overlapped it. Both "
                "are savepoints on one connection, so that the other one's rows went too. "
                f"{CURE}('committing')."
            )
        del self._entries[entry.depth - 1 :]
        if self._is_over:
            return  # everything is about to be rolled back
        self._try(f"ROLLBACK TO SAVEPOINT {entry.name}", f"RELEASE SAVEPOINT {entry.name}")
        self._release()

    def _try(self, *statements: str) -> None:
        if self.is_lost:
            return
        try:
            self._send(*statements)
        except self._dialect.loaded_dbapi.Error as error:
            self._miss_savepoint(error)

    def _miss_savepoint(self, error: Exception) -> None:
        reason = " ".join(str(error).split())
        self.breaches.append(
            "The test's transaction ended before the test did, so that what it wrote could not be "
            f"rolled back (a savepoint is gone: {reason}). {CURE}('own')."
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

    def _named(self, method: Any) -> Any:
        """Keep apart savepoints of sessions, which count from 1 in each of them."""

        def named(connection: Connection, name: str) -> None:
            entry = self._entry_of(connection.connection)
            method(connection, f"{name}_{entry.depth}" if entry is not None else name)

        return named

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
        if options.get("isolation_level", self._level) != self._level:
            raise IsolationError(
                f"The isolation level {options['isolation_level']} cannot begin inside the "
                f"transaction of the test. {CURE}('committing')."
            )
        word = first_word(statement)
        if word in READS or (word == "WITH" and not WRITES.search(statement)):
            return
        if word == "ROLLBACK" and " TO " in statement.upper():
            return
        self._refuse(statement, word)
        if options.get("andamios_read_only"):
            raise ReadOnlyError(
                "This session only reads. Open it without read_only=True to write.",
                statement=statement,
            )
        entry = self._entry_of(connection.connection)
        if entry is not None:
            entry.wrote = True
            for above in self._entries[entry.depth :]:
                above.holds_others = True

    def _refuse(self, statement: str, word: str) -> None:
        if word in ENDS:
            self._breach(f"{word} was sent as a statement, and would end the test's transaction.")
        is_temporary = "TEMPORARY" in statement.upper().split(None, 2)[1:2]
        is_mysql = self._dialect.name in {"mysql", "mariadb"}
        if is_mysql and word in COMMITS_FIRST and not is_temporary:
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
        if connection is not None and not connection.invalidated and not connection.closed:
            entry = self._entry_of(connection.connection)
            if entry is not None:
                entry.failed = True

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
            self._try(f"ROLLBACK TO SAVEPOINT {GUARD}")
            self.connection.rollback()
        self._is_open = False
        self._entries.clear()

    def _finish(self) -> None:
        if self.connection is None or self.is_lost:
            return
        try:
            self._roll_back()
        finally:
            self._close(self.connection)


def first_word(statement: str) -> str:
    """Give the first word of a statement in capitals, comments left out."""
    text = statement.lstrip().lstrip("(")
    while text.startswith(("--", "/*")):
        end = "\n" if text.startswith("--") else "*/"
        text = text.partition(end)[2].lstrip().lstrip("(")
    return text.split(None, 1)[0].rstrip(";").upper() if text else ""


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
        yield engine
    finally:
        try:
            await stack.close()
        finally:
            await engine.close()
