"""Which errors pass by themselves."""

import asyncio
import errno
import ssl

import pytest
from sqlalchemy import Engine, create_engine, exc, text

from andamios import errors
from andamios.resilience import is_retryable
from andamios.resilience.classify import is_connection_failure

PASSING = [
    errors.ConnectionFailedError("..."),
    errors.ConnectionFailedError("...", code="08006"),
    errors.ConnectionFailedError("...", code="57P01"),
    errors.ConnectionFailedError("...", code="53300"),
    errors.ConnectionFailedError("...", code=2013),
    errors.PoolTimeoutError("..."),
    errors.SerializationError("...", code="40001"),
    errors.DeadlockError("...", code=1213),
    errors.DeadlockError("...", code="SQLITE_BUSY"),
    exc.TimeoutError("the pool is empty"),
    ConnectionResetError("..."),
    TimeoutError("..."),
]

LASTING = [
    errors.ConnectionFailedError("...", code="28P01"),
    errors.ConnectionFailedError("...", code="28000"),
    errors.ConnectionFailedError("...", code="3D000"),
    errors.ConnectionFailedError("...", code=1045),
    errors.ConnectionFailedError("...", code=1049),
    errors.ConnectionFailedError("...", code="SQLITE_CANTOPEN"),
    errors.ConnectionFailedError("...", code="SQLITE_IOERR_READ"),
    errors.CommitOutcomeUnknownError("..."),
    errors.DeadlineExceededError("..."),
    errors.TransactionError("..."),
    errors.DuplicateError("..."),
    errors.DataError("..."),
    errors.QueryError("..."),
    errors.StaleVersionError("..."),
    errors.ConfigurationError("..."),
    errors.CircuitOpenError("..."),
    FileNotFoundError(errno.ENOENT, "no such file", "settings.toml"),
    ssl.SSLCertVerificationError("..."),
    ValueError("..."),
    asyncio.CancelledError(),
    KeyboardInterrupt(),
]


def named(error: BaseException) -> str:
    return f"{type(error).__name__} {getattr(error, 'code', None) or ''}".strip()


@pytest.mark.parametrize("error", PASSING, ids=named)
def test_passes(error: BaseException) -> None:
    """The transaction was rolled back or never began, and the reason may be gone soon."""
    assert is_retryable(error)


@pytest.mark.parametrize("error", LASTING, ids=named)
def test_lasts(error: BaseException) -> None:
    """It would happen again, or might do the work twice."""
    assert not is_retryable(error)


def test_untrusted_certificate_lasts() -> None:
    """A server that cannot prove who it is will not be able to in four seconds."""
    error = errors.ConnectionFailedError("...")
    error.__cause__ = ssl.SSLCertVerificationError("...")
    assert not is_retryable(error)


@pytest.fixture
def foreign() -> Engine:
    """SQLAlchemy's own engine, whose errors nobody translates."""
    return create_engine("sqlite://")


def test_error_of_a_foreign_engine(foreign: Engine) -> None:
    """Its errors are known by their codes as well."""
    with foreign.connect() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER UNIQUE)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
        with pytest.raises(exc.IntegrityError) as caught:
            connection.execute(text("INSERT INTO t VALUES (1)"))
    assert not is_retryable(caught.value)


@pytest.mark.parametrize("statement", ["SELECT 1", None])
def test_lost_connection_of_a_foreign_engine(statement: str | None) -> None:
    """Without a statement it may have been a lost COMMIT, which nobody may repeat."""
    lost = exc.OperationalError(statement, {}, Exception("gone"), connection_invalidated=True)
    assert (statement is not None) is is_retryable(lost)
    assert is_connection_failure(lost)


def test_what_counts_for_the_breaker() -> None:
    """A server that answered is there, and a full pool is not its fault."""
    assert is_connection_failure(errors.CommitOutcomeUnknownError("..."))
    assert is_connection_failure(ConnectionRefusedError("..."))
    assert not is_connection_failure(errors.PoolTimeoutError("..."))
    assert not is_connection_failure(errors.ConnectionFailedError("...", code="28P01"))
    assert not is_connection_failure(errors.DeadlockError("..."))
