"""
Connection poolers such as PgBouncer, which stand between an engine and PostgreSQL.

In transaction mode each transaction goes over whichever connection to the server is free. What
belongs to a connection, such as a prepared statement with a name, is on another one in the
next transaction. So statements get no names there: asyncpg then sends a statement again with
its values. That works with every version and setting of the pooler, and is right after a
change of the schema too, which statements that PgBouncer keeps do not survive. It costs a
second round trip a statement.

A pooler is recognised when an engine first connects. PgBouncer says what it is from version
1.26 on. Others, and older ones, do not tell the number of the server's process, so that the
number which the server itself tells is another one: one round trip, once an engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

__all__ = ["KEEPS_NAMES", "is_pooled", "recognise_poolers"]

KEEPS_NAMES = "prepared_statement_cache_size"
"""The argument of the driver that, when it is given, decides about names instead."""

NAMELESS = {KEEPS_NAMES: 0, "statement_cache_size": 0}

_pooled: WeakKeyDictionary[Dialect, bool] = WeakKeyDictionary()


def is_pooled(dialect: Dialect) -> bool:
    """
    Whether a pooler stands before the server, in a mode that changes connections.

    False as long as the engine has not connected.
    """
    return _pooled.get(dialect, False)


def recognise_poolers(dialect: Any) -> None:
    """Make an engine on asyncpg fit for poolers; the other drivers need other means."""
    plain = dialect.connect

    def connect(*args: Any, **options: Any) -> Any:
        fitting = options if options.get(KEEPS_NAMES) else options | NAMELESS
        if is_pooled(dialect):
            return plain(*args, **fitting)
        connection = plain(*args, **options)
        if dialect in _pooled:
            return connection
        try:
            _pooled[dialect] = connection.run_async(_stands_between)
        except Exception:  # noqa: BLE001  it is broken, as its first use will tell
            return connection
        except BaseException:
            dialect.do_terminate(connection)
            raise
        if not _pooled[dialect] or fitting == options:
            return connection
        dialect.do_terminate(connection)
        return plain(*args, **fitting)

    dialect.connect = connect


async def _stands_between(connection: Any) -> bool:
    mode = getattr(connection.get_settings(), "pgbouncer.pool_mode", None)
    if mode is not None:
        return bool(mode != "session")
    # Without values, so that nothing is prepared; the answer is the number of rows.
    told = connection.get_server_pid()
    return bool(await connection.execute(f"SELECT WHERE pg_backend_pid() = {told}") == "SELECT 0")
