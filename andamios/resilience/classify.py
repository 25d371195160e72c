"""
Which errors pass by themselves, so that doing the same again may help.

The class of an error was found by its code (``core/translation.py``); what is left to
say here is which failed connections stay failed however often one tries. Codes:
PostgreSQL, "Appendix A. Error Codes"; MySQL, "Server Error Message Reference" and "Client
Error Message Reference"; SQLite, "Result and Error Codes".
"""

from __future__ import annotations

import asyncio
import ssl

from sqlalchemy.exc import DBAPIError

from andamios import errors
from andamios.core.commits import is_of_commit
from andamios.core.translation import translate

__all__ = ["is_connection_failure", "is_retryable"]

PASSING = (errors.ConnectionFailedError, errors.SerializationError, errors.DeadlockError)
"""Classes of errors after which the transaction was rolled back, or never began."""

LASTING: dict[str | int, str] = {
    "28": "invalid authorization, such as a wrong password",
    "3D": "no such database",
    "57P04": "the database was dropped",
    1044: "this user may not use this database",
    1045: "wrong user or password",
    1049: "no such database",
    1129: "this host is blocked after many errors",
    1130: "this host may not connect",
    1226: "this user has used up what an hour allows",
    1698: "wrong user or password",
    3118: "the account is locked",
    2026: "no TLS that both sides accept",
    "SQLITE_CANTOPEN": "the file cannot be opened",
    "SQLITE_NOTADB": "the file is no database",
    "SQLITE_IOERR": "the disk fails",
}
"""Codes of failed connections that stay so: SQLSTATEs and their classes, errnos, SQLite's names."""


def is_retryable(error: BaseException) -> bool:
    """
    Whether what raised this may be done again, and could then succeed.

    Yes after a lost or refused connection, a pool that was empty, a serialization failure,
    a deadlock or a lock that did not come free, SQLite's "busy" included, and a write that one
    of several hosts refused because it only reads now. No after anything that would happen
    again (a broken constraint, bad data, a wrong password), after a cancellation or a time-out
    of one's own (``asyncio.timeout``), and after a COMMIT whose outcome is unknown.

    Args:
        error: An error of Andamios, SQLAlchemy, a driver or the network.

    Example:
        >>> from andamios.errors import DeadlockError, DuplicateError
        >>> from andamios.resilience import is_retryable
        >>> is_retryable(DeadlockError("...")), is_retryable(DuplicateError("..."))
        (True, False)
    """
    if not isinstance(error, Exception) or _is_of_file(error):
        return False
    if _may_be_commit(error) or _is_of_deadline(error):
        return False
    known = translate(error)
    if known is None:
        return False
    if isinstance(known, errors.ConnectionFailedError):
        return not _is_lasting(known.code) and not _is_untrusted(error)
    if isinstance(known, errors.ReadOnlyError):
        return known.has_moved
    return isinstance(known, PASSING) or _has_lost_connection(error)


def is_connection_failure(error: BaseException) -> bool:
    """Whether the server could not be reached, or went away, as opposed to having answered."""
    if isinstance(error, errors.CommitOutcomeUnknownError):
        return True
    if not isinstance(error, Exception) or _is_of_file(error):
        return False
    known = translate(error)
    if isinstance(known, errors.ConnectionFailedError):
        return not isinstance(known, errors.PoolTimeoutError) and not _is_lasting(known.code)
    return _has_lost_connection(error)


def _is_lasting(code: str | int | None) -> bool:
    if code is None or isinstance(code, int):
        return code in LASTING
    if code.startswith("SQLITE_"):
        return "_".join(code.split("_")[:2]) in LASTING
    return code in LASTING or code[:2] in LASTING


def _may_be_commit(error: Exception) -> bool:
    # From an engine that is not ours; ours raise CommitOutcomeUnknownError, except after
    # what is no error of the driver's, such as its own time-out.
    is_foreign = _has_lost_connection(error) and getattr(error, "statement", None) is None
    return is_foreign or is_of_commit(error)


def _is_of_deadline(error: Exception) -> bool:
    # It may have struck a COMMIT, or a write that commits by itself.
    return isinstance(error, TimeoutError) and isinstance(error.__cause__, asyncio.CancelledError)


def _has_lost_connection(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _is_of_file(error: Exception) -> bool:
    return isinstance(error, OSError) and error.filename is not None


def _is_untrusted(error: Exception) -> bool:
    return isinstance(error, ssl.SSLCertVerificationError) or isinstance(
        error.__cause__, ssl.SSLCertVerificationError
    )
