"""
What COMMIT may not keep silent about: a connection lost during it, and a rollback instead.

After a break anywhere else the transaction was rolled back. After a break during COMMIT
nobody on this side knows, and doing the work again could do it twice. SQLAlchemy reports
both alike, without a statement, so that an error which COMMIT raised is marked as such.

PostgreSQL gives a transaction up with the first statement that fails in it, and answers a
later COMMIT with ROLLBACK, which its drivers do not report. MySQL rolls all of it back when
it meets a deadlock, MariaDB also when a row has changed since the transaction's snapshot, and
both take what follows for a new transaction. Whoever caught the error
would take everything for committed; so the failure is remembered, and COMMIT refused.

Who has to know how far a COMMIT came, such as the layer that settles lost ones, puts a
:class:`CommitWatcher` into the connection's ``info``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from andamios.core.listening import listen
from andamios.core.translation import translate
from andamios.errors import (
    CommitOutcomeUnknownError,
    ConnectionFailedError,
    DeadlockError,
    SerializationError,
    TransactionError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection, Dialect, Engine, ExceptionContext

    from andamios.core.facts import Outcome
    from andamios.errors import AndamiosError

__all__ = [
    "WATCHER",
    "CommitWatcher",
    "is_of_commit",
    "is_unknown",
    "mark_commit_errors",
    "name_lost_commit",
    "refuse_after_deadlocks",
    "refuse_silent_rollbacks",
]

MARK = "andamios_of_commit"
FAILED = "andamios_failed"

WATCHER = "andamios_watcher"
"""Where a connection's ``info`` has the :class:`CommitWatcher` of its next COMMIT."""

DEADLOCK = 1213
CHANGED = 1020
"""Numbers of the errors with which MySQL and MariaDB roll the whole transaction back."""


class CommitWatcher(Protocol):
    """Who is told how far one COMMIT comes; called in SQLAlchemy's greenlet."""

    def before(self, connection: Any) -> None:
        """
        Do what has to come last in the transaction.

        Args:
            connection: The driver's, as SQLAlchemy adapts it. What this raises ends the
                transaction, of which COMMIT was not sent.
        """

    def ended(self, outcome: Outcome) -> None:
        """Learn what came of a COMMIT that was sent."""


def refuse_silent_rollbacks(engine: Engine) -> None:
    """Refuse COMMIT on PostgreSQL where the server would roll back without a word."""

    def refusal(connection: Any, _failure: BaseException) -> TransactionError | None:
        # A savepoint may have taken the failure back, which the server knows best.
        if _is_usable(engine.dialect, connection):
            return None
        return TransactionError(
            "A statement of this transaction failed, and PostgreSQL then rolls all of it "
            "back instead of committing. Let the error end the transaction, or put what may "
            "fail into 'async with session.begin_nested():'."
        )

    _refuse_after(engine, lambda _error: True, refusal)


def refuse_after_deadlocks(engine: Engine) -> None:
    """Refuse COMMIT on MySQL where a deadlock, or a lost race, took back what came before it."""

    def refusal(_connection: Any, failure: BaseException) -> TransactionError:
        if failure.args[0] == CHANGED:
            return SerializationError(
                "A row that another transaction changed rolled back all that this one had written "
                "before, so that the rest is not committed alone. Let the error end the "
                "transaction, and run it again from the start.",
                code=CHANGED,
            )
        return DeadlockError(
            "A deadlock rolled back all that this transaction had written before it, so that "
            "the rest is not committed alone. Let the error end the transaction, and run it "
            "again from the start.",
            code=DEADLOCK,
        )

    fatal = {(DEADLOCK,), (CHANGED,)}
    _refuse_after(engine, lambda error: error.args[:1] in fatal, refusal)
    dialect = engine.dialect
    take_back = dialect.do_rollback_to_savepoint

    def rollback_to_savepoint(connection: Connection, name: str) -> None:
        # Savepoints went with the transaction; to ask for one would hide what took it.
        if FAILED not in connection.info:
            take_back(connection, name)

    dialect.do_rollback_to_savepoint = rollback_to_savepoint  # type: ignore[method-assign]


def _refuse_after(
    engine: Engine,
    is_fatal: Callable[[BaseException], bool],
    refusal: Callable[[Any, BaseException], TransactionError | None],
) -> None:
    """Remember fatal failures until COMMIT, and then roll back and raise, if there is a reason."""
    dialect = engine.dialect
    do_commit = dialect.do_commit

    def began(connection: Connection) -> None:
        connection.info.pop(FAILED, None)

    def failed(context: ExceptionContext) -> None:
        connection = context.connection
        if connection is None or context.is_disconnect or connection.invalidated:
            return
        if connection.get_execution_options().get("andamios_read_only"):
            return
        if is_fatal(context.original_exception):
            connection.info[FAILED] = context.original_exception

    def commit(connection: Any) -> None:
        failure = connection.info.pop(FAILED, None)
        if failure is not None and (error := refusal(connection, failure)) is not None:
            dialect.do_rollback(connection)
            raise error
        do_commit(connection)

    listen(engine, "begin", began)
    listen(engine, "handle_error", failed)
    dialect.do_commit = commit  # type: ignore[method-assign, assignment]


def _is_usable(dialect: Dialect, connection: Any) -> bool:
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT 1")
    except dialect.loaded_dbapi.Error:
        return False
    finally:
        cursor.close()
    return True


def mark_commit_errors(dialect: Dialect) -> None:
    """Mark what COMMIT raises on an engine's own dialect, and tell who watches it."""
    do_commit = dialect.do_commit

    def commit(connection: Any) -> None:
        watcher: CommitWatcher | None = connection.info.pop(WATCHER, None)
        if watcher is not None:
            _call_before(dialect, watcher, connection)
        try:
            do_commit(connection)
        except BaseException as error:  # a cancellation too
            setattr(error, MARK, True)
            if watcher is not None:
                in_doubt = is_unknown(dialect, connection, error)
                watcher.ended("unknown" if in_doubt else "rolled back")
            raise
        if watcher is not None:
            watcher.ended("committed")

    # Of this dialect alone, which no other engine has.
    dialect.do_commit = commit  # type: ignore[method-assign, assignment]


def _call_before(dialect: Dialect, watcher: CommitWatcher, connection: Any) -> None:
    try:
        watcher.before(connection)
    except Exception:
        # SQLAlchemy sends none after a COMMIT that failed.
        with suppress(dialect.loaded_dbapi.Error):
            dialect.do_rollback(connection)
        raise


def is_unknown(dialect: Dialect, connection: Any, error: BaseException) -> bool:
    """
    Tell whether COMMIT may have happened all the same: nobody answered, or nobody waited.

    Args:
        dialect: Whose.
        connection: The driver's, as SQLAlchemy adapts it.
        error: What COMMIT raised.
    """
    if isinstance(error, TransactionError):
        return False  # refused on this side, and rolled back
    if not isinstance(error, dialect.loaded_dbapi.Error):
        return True  # such as a cancellation
    known = translate(error, is_disconnect=dialect.is_disconnect(error, connection, None))
    return isinstance(known, ConnectionFailedError | CommitOutcomeUnknownError)


def is_of_commit(error: BaseException | None) -> bool:
    """Whether an error, or a cancellation, struck COMMIT."""
    return getattr(error, MARK, False) is True


def name_lost_commit(
    error: AndamiosError | None, context: ExceptionContext
) -> AndamiosError | None:
    """
    Give an error back, or the right one when it is a connection lost during COMMIT.

    A transaction that only reads has nothing to commit, so that it stays a lost connection.

    Args:
        error: What the driver's error was translated to.
        context: Where it was raised.
    """
    if not isinstance(error, ConnectionFailedError):
        return error
    if not is_of_commit(context.original_exception):
        return error
    connection = context.connection
    if connection and connection.get_execution_options().get("andamios_read_only"):
        return error
    return CommitOutcomeUnknownError(
        "The connection was lost during COMMIT, which may have happened or not. Look whether "
        "the changes are there before you make them again. TransactionManager.run() finds out by "
        "itself.",
        code=error.code,
    )
