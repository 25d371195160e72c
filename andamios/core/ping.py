"""
Keeping broken connections out of the hands of those who take one from the pool.

SQLAlchemy's own pre-ping asks the server before every use, which costs a round trip each
time. Here a closed transport is replaced without asking, and only a connection that lay
idle for over a second is asked. One that gives no answer in time is hung up.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, exc

from andamios.core.listening import listen

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = [
    "IDLE_BEFORE_PING",
    "check_on_checkout",
    "hang_up",
    "is_trusted",
    "note_idle",
    "trust",
]

IDLE_SINCE = "andamios_idle_since"

IDLE_BEFORE_PING = 1.0
"""A connection that was idle for longer than this is pinged, in seconds."""


PING_LIMIT = 3.0
"""How long it may take to answer, in seconds; a network that loses all would never tell."""


def check_on_checkout(engine: AsyncEngine) -> None:
    """Check every connection that leaves the pool, and replace it if it is broken."""
    sync_engine = engine.sync_engine
    dialect = sync_engine.dialect

    def remember(_connection: Any, record: Any) -> None:
        note_idle(record)

    silent_since = 0.0

    def close(_connection: Any, record: Any) -> None:
        # It would say goodbye, and wait for the answer.
        if record.starttime < silent_since:
            hang_up(record.driver_connection)

    def check(connection: Any, record: Any, _proxy: Any) -> None:
        nonlocal silent_since
        since = record.info.pop(IDLE_SINCE, None)
        if since is None:
            return
        if _is_closed(record.driver_connection):
            raise exc.DisconnectionError
        if _is_due(since) and not _answers(dialect, connection, record.driver_connection):
            # The server was probably restarted: the others of this age are broken too.
            silent_since = time.time()
            raise exc.InvalidatePoolError

    listen(sync_engine, "checkin", remember)
    listen(sync_engine, "checkout", check)
    event.listen(sync_engine, "close", close)


def note_idle(record: ConnectionPoolEntry) -> None:
    """Remember since when a connection is idle."""
    record.info[IDLE_SINCE] = time.monotonic()


def trust(record: ConnectionPoolEntry) -> None:
    """Take a connection that :func:`is_trusted`."""
    record.info.pop(IDLE_SINCE, None)


def is_trusted(record: ConnectionPoolEntry) -> bool:
    """Whether an idle connection would be handed out without asking the server."""
    since = record.info.get(IDLE_SINCE)
    return since is None or not (_is_due(since) or _is_closed(record.driver_connection))


def _is_due(since: float) -> bool:
    return time.monotonic() - since > IDLE_BEFORE_PING


def _is_closed(driver_connection: Any) -> bool:
    is_closed = getattr(driver_connection, "is_closed", None)  # asyncpg
    if callable(is_closed):
        return bool(is_closed())
    transport = getattr(driver_connection, "_transport", driver_connection)  # asyncmy
    if transport is not driver_connection:
        return transport is None or bool(
            transport.is_closing()
        )  # it closes itself on a cancellation
    if getattr(driver_connection, "closed", False):  # aiomysql, by whoever had it last
        return True
    # It notices only when it reads, though the loop has seen the end of the stream;
    # at_eof() would be false while MariaDB's last words lie in the buffer.
    reader = getattr(driver_connection, "_reader", None)
    return bool(getattr(reader, "_eof", False))


def _answers(dialect: Any, connection: Any, driver_connection: Any) -> bool:
    # Not a cancellation: asyncpg would then wait for a server that is silent.
    loop = asyncio.get_running_loop()
    timer = loop.call_later(PING_LIMIT, hang_up, driver_connection)
    try:
        return bool(dialect.do_ping(connection))
    except dialect.loaded_dbapi.Error:
        return False
    finally:
        timer.cancel()


def hang_up(driver_connection: Any) -> None:
    """Break a connection, so that whoever waits for an answer gets an error."""
    terminate = getattr(driver_connection, "terminate", None)  # asyncpg
    if terminate is not None:
        terminate()
        return
    writer = getattr(driver_connection, "_writer", None)  # aiomysql
    transport = (
        getattr(driver_connection, "_transport", None) if writer is None else writer.transport
    )
    if transport is not None:
        transport.abort()
