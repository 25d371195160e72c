"""
From a driver's error to ours: one function that reads the code, never the message.

Once the code has decided the class, names (constraint, columns, table) may be read from
the message where the driver tells them nowhere else. What the message does not tell is
completed from the table that the statement was compiled for.

Codes: PostgreSQL, "Appendix A. Error Codes"; MySQL, "Server Error Message Reference";
MariaDB, "Error Codes"; SQLite, "Result and Error Codes".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import exc as sa_exc

from andamios import errors
from andamios.core.constraints import ConstraintFacts, complete, read_facts
from andamios.core.missing import missing_name

if TYPE_CHECKING:
    from sqlalchemy import Table

__all__ = ["error_code", "translate", "unclassified"]

ErrorClass = type[errors.AndamiosError]

SQLSTATES: dict[str, ErrorClass] = {
    "23505": errors.DuplicateError,
    "23503": errors.ForeignKeyError,
    "23001": errors.ForeignKeyError,
    "23502": errors.NotNullError,
    "23514": errors.CheckViolationError,
    "23": errors.ConstraintError,
    "22": errors.DataError,
    "42804": errors.DataError,
    "40001": errors.SerializationError,
    "40003": errors.CommitOutcomeUnknownError,
    "08007": errors.CommitOutcomeUnknownError,
    "40P01": errors.DeadlockError,
    "55P03": errors.DeadlockError,
    "57014": errors.DeadlineExceededError,
    "25006": errors.ReadOnlyError,
    "25": errors.TransactionError,
    "40": errors.TransactionError,
    "08": errors.ConnectionFailedError,
    "28": errors.ConnectionFailedError,
    "3D": errors.ConnectionFailedError,
    "53300": errors.ConnectionFailedError,
    "57P": errors.ConnectionFailedError,
}

ERRNOS: dict[int, ErrorClass] = {
    **dict.fromkeys((1062, 1586, 1859), errors.DuplicateError),
    **dict.fromkeys((1216, 1217, 1451, 1452, 1761, 1762), errors.ForeignKeyError),
    **dict.fromkeys((1048, 1364), errors.NotNullError),
    **dict.fromkeys((3819, 4025), errors.CheckViolationError),
    **dict.fromkeys(
        (1264, 1265, 1292, 1366, 1367, 1406, 1690, 3140, 3156, 3903, 4079), errors.DataError
    ),
    **dict.fromkeys((1020, 3101), errors.SerializationError),
    **dict.fromkeys((1205, 1213, 3572), errors.DeadlockError),
    **dict.fromkeys((1317, 1969, 3024), errors.DeadlineExceededError),
    **dict.fromkeys((1290, 1792, 1836), errors.ReadOnlyError),
    **dict.fromkeys(
        (
            *(1040, 1042, 1043, 1044, 1045, 1049, 1053, 1129, 1130, 1152, 1158, 1159, 1160),
            *(1161, 1203, 1226, 1698, 1927, 3118, 4031),
            *(2002, 2003, 2005, 2006, 2013, 2014, 2026, 2027, 2055),
        ),
        errors.ConnectionFailedError,
    ),
}

MYSQL_DRIVERS = {"pymysql", "aiomysql", "asyncmy"}

SQLITE_NAMES: dict[str, ErrorClass] = {
    "SQLITE_CONSTRAINT_UNIQUE": errors.DuplicateError,
    "SQLITE_CONSTRAINT_PRIMARYKEY": errors.DuplicateError,
    "SQLITE_CONSTRAINT_ROWID": errors.DuplicateError,
    "SQLITE_CONSTRAINT_FOREIGNKEY": errors.ForeignKeyError,
    "SQLITE_CONSTRAINT_NOTNULL": errors.NotNullError,
    "SQLITE_CONSTRAINT_CHECK": errors.CheckViolationError,
    "SQLITE_CONSTRAINT_DATATYPE": errors.DataError,
    "SQLITE_CONSTRAINT": errors.ConstraintError,
    "SQLITE_MISMATCH": errors.DataError,
    "SQLITE_TOOBIG": errors.DataError,
    "SQLITE_BUSY_SNAPSHOT": errors.SerializationError,
    "SQLITE_BUSY": errors.DeadlockError,
    "SQLITE_LOCKED": errors.DeadlockError,
    "SQLITE_INTERRUPT": errors.DeadlineExceededError,
    "SQLITE_READONLY": errors.ReadOnlyError,
    "SQLITE_CANTOPEN": errors.ConnectionFailedError,
    "SQLITE_NOTADB": errors.ConnectionFailedError,
    "SQLITE_IOERR": errors.ConnectionFailedError,
}

MOVED = (
    "The server takes no writes now, and its connections were dropped; run the transaction again, "
    "since another host of the URL may take them"
)

ADVICE: dict[ErrorClass, str] = {
    errors.DuplicateError: "A row with this value exists already",
    errors.ForeignKeyError: "The row it refers to is missing, or rows still refer to it",
    errors.NotNullError: "A value is required",
    errors.CheckViolationError: "A CHECK of the table does not hold",
    errors.DataError: "A value does not fit its column",
    errors.SerializationError: "Another transaction changed the same data; run this one again",
    errors.DeadlockError: "A lock could not be had; run the transaction again",
    errors.DeadlineExceededError: "The statement took too long and was cancelled",
    errors.ReadOnlyError: "The transaction only reads; open the session without read_only",
    errors.ConnectionFailedError: "The connection failed",
    errors.CommitOutcomeUnknownError: "The transaction may have been committed or not",
    errors.TransactionError: "The transaction cannot go on; roll it back",
}

NAMELESS = (
    "The name of a prepared statement is unknown or taken, as happens behind a pooler such as "
    "PgBouncer that does not keep them: leave out prepared_statement_cache_size"
)

HINTS = {"26000": NAMELESS, "42P05": NAMELESS}
"""What to do about some failures that have no class of their own."""


def translate(
    error: BaseException,
    *,
    statement: str | None = None,
    table: Table | None = None,
    is_disconnect: bool = False,
) -> errors.AndamiosError | None:
    """
    Find the Andamios error for a driver's or SQLAlchemy's error.

    Args:
        error: What was raised; an Andamios error comes back as it is.
        statement: The SQL during which it was raised.
        table: The table that the SQL writes to; completes names that the driver left out.
        is_disconnect: The connection is gone, whatever the code says.

    Returns:
        The error to raise instead, or None when there is nothing to translate.
    """
    if isinstance(error, errors.AndamiosError):
        return _with_statement(error, statement)
    if isinstance(error, sa_exc.TimeoutError):
        return errors.PoolTimeoutError(
            "No connection of the pool came free in time. Close sessions sooner, or raise "
            "pool_size or pool_timeout."
        )
    if isinstance(error, sa_exc.PendingRollbackError):
        return errors.TransactionError(
            "An earlier error ended this transaction, and nothing of it will be kept. Let that "
            "error leave the block, or roll the session back."
        )
    if isinstance(error, sa_exc.StatementError):
        cause = error.orig
        known = translate(cause, statement=error.statement, table=table) if cause else None
        return known or unclassified(error)
    code = error_code(error)
    if code is None and not is_disconnect:
        return _translate_python_error(error, statement)
    kind = _class_of(code, is_disconnect=is_disconnect)
    found = _build(kind, error, code, statement, table)
    return _moved(found) if is_disconnect and isinstance(found, errors.ReadOnlyError) else found


def unclassified(error: sa_exc.StatementError) -> errors.QueryError | None:
    """
    Find the error for a failed statement of which no code tells more.

    Returns:
        A QueryError when the database refused it; a DataError when SQLAlchemy could not
        even bind a value, such as one that is no member of an Enum; None when SQLAlchemy
        itself was used wrongly.
    """
    if isinstance(error.orig, sa_exc.SQLAlchemyError):
        return None
    kind = errors.QueryError if isinstance(error, sa_exc.DBAPIError) else errors.DataError
    return kind(_message(kind, None, error.statement), statement=error.statement)


def error_code(error: BaseException) -> str | int | None:
    """Give the SQLSTATE, the MySQL error number or the SQLite error name of an error."""
    if type(error).__module__.partition(".")[0] in MYSQL_DRIVERS:
        number = error.args[0] if error.args else None
        return number if isinstance(number, int) else None
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    return None if code is None else str(code)


def _class_of(code: str | int | None, *, is_disconnect: bool) -> ErrorClass:
    found: ErrorClass | None = None
    if isinstance(code, int):
        found = ERRNOS.get(code)
    elif code is not None and code.startswith("SQLITE_"):
        found = SQLITE_NAMES.get(code) or SQLITE_NAMES.get("_".join(code.split("_")[:2]))
    elif code is not None:
        found = SQLSTATES.get(code) or SQLSTATES.get(code[:3]) or SQLSTATES.get(code[:2])
    return found or (errors.ConnectionFailedError if is_disconnect else errors.QueryError)


def _build(
    kind: ErrorClass,
    error: BaseException,
    code: str | int | None,
    statement: str | None,
    table: Table | None,
) -> errors.AndamiosError:
    if not issubclass(kind, errors.ConstraintError):
        is_known = kind is errors.QueryError
        advice = missing_name(error, code) or HINTS.get(str(code)) if is_known else None
        message = _message(kind, code, statement, advice=advice)
        return kind(message, statement=statement, code=code)
    is_key = kind in {errors.DuplicateError, errors.ForeignKeyError}
    facts = complete(read_facts(error, code), table, is_key=is_key)
    return kind(
        _message(kind, code, statement, facts),
        constraint=facts.constraint,
        columns=facts.columns,
        table=facts.table,
        statement=statement,
        code=code,
    )


def _message(
    kind: ErrorClass,
    code: str | int | None,
    statement: str | None,
    facts: ConstraintFacts | None = None,
    *,
    advice: str | None = None,
) -> str:
    what = advice or ADVICE.get(kind, "The database refused the statement")
    where = f" ({facts})" if facts is not None and str(facts) else ""
    reason = f" [{code}]" if code is not None else ""
    during = f" in: {' '.join(statement.split())}" if statement else ""
    return f"{what}{where}{reason}{during}"


def _moved(refused: errors.ReadOnlyError) -> errors.ReadOnlyError:
    # Counts as lost only where another host may take the write: see core/hosts.py.
    message = _message(errors.ReadOnlyError, refused.code, refused.statement, advice=MOVED)
    error = errors.ReadOnlyError(message, statement=refused.statement, code=refused.code)
    error.has_moved = True
    return error


def _with_statement(error: errors.AndamiosError, statement: str | None) -> errors.AndamiosError:
    # A column type refused a value; it does not know for which statement.
    if statement is None or error.statement is not None or type(error) is not errors.DataError:
        return error
    return errors.DataError(f"{error}, in: {' '.join(statement.split())}", statement=statement)


def _translate_python_error(
    error: BaseException, statement: str | None
) -> errors.AndamiosError | None:
    # Raised while values were being bound, before anything was sent; the text of such
    # an error may quote the value, so it is left to the cause of the error.
    if statement is not None and isinstance(error, ValueError | TypeError | OverflowError):
        return errors.DataError(_message(errors.DataError, None, statement), statement=statement)
    if isinstance(error, OSError | asyncio.TimeoutError):
        return errors.ConnectionFailedError(f"The connection failed: {str(error) or 'timed out'}")
    return None
