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
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from andamios.core.listening import listen
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

    from andamios.errors import AndamiosError

__all__ = [
    "mark_commit_errors",
    "name_lost_commit",
    "refuse_after_deadlocks",
    "refuse_silent_rollbacks",
]

MARK = "andamios_of_commit"
FAILED = "andamios_failed"


DEADLOCK = 1213
CHANGED = 1020
"""Numbers of the errors with which MySQL and MariaDB roll the whole transaction back."""


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
    """Mark what COMMIT raises on an engine's own dialect."""
    do_commit = dialect.do_commit

    def commit(connection: Any) -> None:
        try:
            do_commit(connection)
        except Exception as error:
            setattr(error, MARK, True)
            raise

    # Of this dialect alone, which no other engine has.
    dialect.do_commit = commit  # type: ignore[method-assign, assignment]


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
    if not getattr(context.original_exception, MARK, False):
        return error
    connection = context.connection
    if connection and connection.get_execution_options().get("andamios_read_only"):
        return error
    return CommitOutcomeUnknownError(
        "The connection was lost during COMMIT, which may have happened or not. Look whether "
        "the changes are there before you make them again.",
        code=error.code,
    )
