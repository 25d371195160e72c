"""
Keeping broken connections out of the hands of those who take one from the pool.

SQLAlchemy's own pre-ping asks the server before every use, which costs a round trip each
time. Here a closed transport is replaced without asking, and only a connection that lay
idle for over a second is asked.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import exc

from andamios.core.listening import listen

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["IDLE_BEFORE_PING", "check_on_checkout", "is_trusted", "note_idle", "trust"]

IDLE_SINCE = "andamios_idle_since"

IDLE_BEFORE_PING = 1.0
"""A connection that was idle for longer than this is pinged, in seconds."""


def check_on_checkout(engine: AsyncEngine) -> None:
    """Check every connection that leaves the pool, and replace it if it is broken."""
    sync_engine = engine.sync_engine
    dialect = sync_engine.dialect

    def remember(_connection: Any, record: Any) -> None:
        note_idle(record)

    def check(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.pop(IDLE_SINCE, None)
        if since is None:
            return
        if _is_closed(record.driver_connection):
            raise exc.DisconnectionError
        if _is_due(since) and not _answers(dialect, connection):
            # The server was probably restarted: the others of this age are broken too.
            raise exc.InvalidatePoolError

    listen(sync_engine, "checkin", remember)
    listen(sync_engine, "checkout", check)


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
    transport = getattr(driver_connection, "_transport", None)  # asyncmy
    if transport is not None:
        return bool(transport.is_closing())
    # aiomysql notices only when it reads, though the loop has seen the end of the stream;
    # at_eof() would be false while MariaDB's last words lie in the buffer.
    reader = getattr(driver_connection, "_reader", None)
    return bool(getattr(reader, "_eof", False))


def _answers(dialect: Any, connection: Any) -> bool:
    try:
        return bool(dialect.do_ping(connection))
    except dialect.loaded_dbapi.Error:
        return False
