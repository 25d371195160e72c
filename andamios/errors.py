"""
Every error that Andamios raises, and nothing else.

::

    AndamiosError
    ├── ConfigurationError            the code or its settings are wrong
    ├── MissingDependencyError        an extra is not installed (also an ImportError)
    ├── ConnectionFailedError         the server cannot be reached, or the connection broke
    │   └── PoolTimeoutError          no connection came free in time
    ├── QueryError                    the database refused the statement for any other reason
    │   ├── NotFoundError             no such row (also a LookupError)
    │   ├── MultipleFoundError        more rows than the one that was asked for
    │   ├── UnknownFieldError         no such field or operator
    │   ├── UnscopedWriteError        a write to many rows without a condition
    │   ├── LazyLoadError             an attribute that was not loaded
    │   └── DataError                 a value that the column cannot hold
    ├── ConstraintError               a rule of the table was broken
    │   ├── DuplicateError            … a unique key
    │   ├── ForeignKeyError           … a foreign key
    │   ├── NotNullError              … NOT NULL
    │   └── CheckViolationError       … CHECK
    ├── FieldValidationError          a rule of the model was broken (also a ValueError)
    ├── StaleVersionError             somebody else changed the row first
    ├── TransactionError              the transaction cannot go on
    │   ├── SerializationError        … it collided with another one
    │   ├── DeadlockError             … it and another one waited for each other
    │   ├── CommitOutcomeUnknownError … the connection was lost during COMMIT
    │   └── DeadlineExceededError     … its time was up
    ├── SessionTaskError              a session was used by a task that does not own it
    ├── CircuitOpenError              the server failed too often to be asked again now
    ├── CacheError                    the cache was used wrongly
    ├── MigrationError                the schema cannot be brought to that version
    └── ReadOnlyError                 a write where only reading is allowed (also an AttributeError)

The same mistake raises the same class on every backend. Facts are attributes; the
message says what happened, in which statement (never its values) and what to do.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AndamiosError",
    "CacheError",
    "CheckViolationError",
    "CircuitOpenError",
    "CommitOutcomeUnknownError",
    "ConfigurationError",
    "ConnectionFailedError",
    "ConstraintError",
    "DataError",
    "DeadlineExceededError",
    "DeadlockError",
    "DuplicateError",
    "FieldValidationError",
    "ForeignKeyError",
    "LazyLoadError",
    "MigrationError",
    "MissingDependencyError",
    "MultipleFoundError",
    "NotFoundError",
    "NotNullError",
    "PoolTimeoutError",
    "QueryError",
    "ReadOnlyError",
    "SerializationError",
    "SessionTaskError",
    "StaleVersionError",
    "TransactionError",
    "UnknownFieldError",
    "UnscopedWriteError",
]


class AndamiosError(Exception):
    """
    The root of every error that Andamios raises.

    Args:
        message: What happened and what to do.
        statement: The SQL in which it happened, without values, if any.
        code: What the database called it: an SQLSTATE, a MySQL error number or an
            SQLite error name.

    Example:
        >>> from andamios.errors import AndamiosError, NotFoundError
        >>> issubclass(NotFoundError, AndamiosError)
        True
    """

    def __init__(
        self,
        message: str,
        *,
        statement: str | None = None,
        code: str | int | None = None,
    ) -> None:
        super().__init__(message)
        self.statement = statement
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes with all facts, whatever the constructor takes."""
        return _rebuild, (type(self), self.args), vars(self)


def _rebuild(kind: type[AndamiosError], args: tuple[Any, ...]) -> AndamiosError:
    return kind.__new__(kind, *args)


class ConfigurationError(AndamiosError):
    """A URL, an option or a model is wrong; nothing was sent to a server."""


class MissingDependencyError(AndamiosError, ImportError):
    """
    An optional part needs a package that is not installed.

    Args:
        package: The package that is missing.
        extra: The extra of ``andamios`` that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package!r} is not installed. Run: pip install 'andamios[{extra}]'")
        self.package = package
        self.extra = extra


class ConnectionFailedError(AndamiosError):
    """The server could not be reached, refused the log-in, or the connection broke."""


class PoolTimeoutError(ConnectionFailedError):
    """Every connection of the pool was in use for longer than ``pool_timeout`` seconds."""


class QueryError(AndamiosError):
    """The database refused a statement; ``code`` is what it called the reason."""


class NotFoundError(QueryError, LookupError):
    """No row has that key, or fits those conditions."""


class MultipleFoundError(QueryError):
    """More than one row fits where one was asked for."""


class UnknownFieldError(QueryError):
    """A field or an operator that the model does not have; the nearest one is suggested."""


class UnscopedWriteError(QueryError):
    """A write to many rows without a condition, which is refused."""


class LazyLoadError(QueryError):
    """
    An attribute was read that is not loaded and cannot be loaded here.

    Args:
        model: Name of the model class.
        attribute: Name of the attribute.
        is_detached: Whether the object belongs to no session, so that nothing can load it.
    """

    def __init__(self, model: str, attribute: str, *, is_detached: bool = False) -> None:
        name = f"{model}.{attribute}"
        if is_detached:
            message = (
                f"{name} is not loaded, and the object belongs to no open session that could "
                f"load it. Load it with the query that reads the object: .load({name}), or work "
                "inside a session."
            )
        else:
            message = (
                f"{name} is not loaded, and reading an attribute cannot wait for the database. "
                f"Before reading it, inside the session: await entity.load({name}); a relationship "
                f"comes with the query too: .load({name})"
            )
        super().__init__(message)
        self.model = model
        self.attribute = attribute


class DataError(QueryError):
    """A value is of the wrong type, too long, or out of range for its column."""


class ConstraintError(AndamiosError):
    """
    A rule of the table was broken.

    Args:
        message: What happened and what to do.
        constraint: Name of the constraint, where the database tells.
        columns: Names of the columns, where the database tells.
        table: Name of the table, where the database tells.
        statement: The SQL, without values.
        code: The database's own code.
    """

    def __init__(
        self,
        message: str,
        *,
        constraint: str | None = None,
        columns: tuple[str, ...] | None = None,
        table: str | None = None,
        statement: str | None = None,
        code: str | int | None = None,
    ) -> None:
        super().__init__(message, statement=statement, code=code)
        self.constraint = constraint
        self.columns = columns
        self.table = table


class DuplicateError(ConstraintError):
    """Another row already has this value in a unique column or key."""


class ForeignKeyError(ConstraintError):
    """A row refers to one that is not there, or is still referred to."""


class NotNullError(ConstraintError):
    """A column that must have a value got none."""


class CheckViolationError(ConstraintError):
    """A CHECK of the table does not hold."""


class FieldValidationError(AndamiosError, ValueError):
    """
    A value breaks a rule written in the model's annotation.

    Args:
        model: Name of the model class.
        field: Name of the field.
        rule: The rule, as words.
        value: The refused value; kept as an attribute and out of the message, since
            messages end up in logs.
    """

    def __init__(self, model: str, field: str, rule: str, value: Any = None) -> None:
        super().__init__(f"{model}.{field}: {rule}")
        self.model = model
        self.field = field
        self.rule = rule
        self.value = value


class StaleVersionError(AndamiosError):
    """
    The row changed, or went away, since it was read.

    Args:
        message: What happened and what to do.
        expected: The version that was read.
        actual: The version that the row has now; None when it is gone.
    """

    def __init__(self, message: str, *, expected: Any = None, actual: Any = None) -> None:
        super().__init__(message)
        self.expected = expected
        self.actual = actual


class TransactionError(AndamiosError):
    """The transaction cannot go on and was rolled back."""


class SerializationError(TransactionError):
    """The transaction collided with another one; run it again from the start."""


class DeadlockError(TransactionError):
    """Two transactions waited for each other, or a lock did not come free in time."""


class CommitOutcomeUnknownError(TransactionError):
    """
    The connection was lost during COMMIT: it may or may not have happened.

    Args:
        message: What happened and what to do.
        transaction: What the database knows the transaction by, if anybody looked for it:
            PostgreSQL's transaction id, or the key of the commit marker in hexadecimals.
        seen: What the last look for it found.
        statement: None; COMMIT is no statement of the caller's.
        code: The database's own code.
    """

    def __init__(
        self,
        message: str,
        *,
        transaction: str | None = None,
        seen: str | None = None,
        statement: str | None = None,
        code: str | int | None = None,
    ) -> None:
        super().__init__(message, statement=statement, code=code)
        self.transaction = transaction
        self.seen = seen


class DeadlineExceededError(TransactionError):
    """The time given for the work was up; the statement was cancelled."""


class SessionTaskError(AndamiosError):
    """A session was used by a task that does not own it, or by two tasks at once."""


class CircuitOpenError(AndamiosError):
    """The server failed so often that it is not asked again for a while."""


class CacheError(AndamiosError):
    """The cache was used in a way it cannot serve."""


class MigrationError(AndamiosError):
    """
    The schema cannot be brought to that version.

    Args:
        message: What happened and what to do.
        revision: The migration that failed, if it was one.
        path: Its file.
        statement: The SQL, without values.
        code: The database's own code.
    """

    def __init__(
        self,
        message: str,
        *,
        revision: str | None = None,
        path: str | None = None,
        statement: str | None = None,
        code: str | int | None = None,
    ) -> None:
        super().__init__(message, statement=statement, code=code)
        self.revision = revision
        self.path = path


class ReadOnlyError(AndamiosError, AttributeError):
    """
    A write was asked of a repository, a transaction or a server that only reads.

    ``has_moved`` is True when the URL has several hosts and this one takes no writes any more:
    the next connection goes to another, and the work may be done again.
    """

    has_moved: bool = False
