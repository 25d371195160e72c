"""
Telling a connection that was lost during COMMIT from any other lost one.

After a break anywhere else the transaction was rolled back. After a break during COMMIT
nobody on this side knows, and doing the work again could do it twice. SQLAlchemy reports
both alike, without a statement, so that an error which COMMIT raised is marked as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from andamios.errors import CommitOutcomeUnknownError, ConnectionFailedError

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect, ExceptionContext

    from andamios.errors import AndamiosError

__all__ = ["mark_commit_errors", "name_lost_commit"]

MARK = "andamios_of_commit"


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
