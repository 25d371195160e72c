"""What MySQL and MariaDB need to be like the others: UTC, read-only transactions, rounding."""

from __future__ import annotations

import importlib
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy import types as sa_types
from sqlalchemy.dialects import mysql
from sqlalchemy.util.concurrency import await_only

from andamios.core.commits import refuse_after_deadlocks
from andamios.core.decimals import fit
from andamios.core.hooks import INTERNAL
from andamios.core.listening import listen
from andamios.core.strict import make_strict

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import URL, Connection, Dialect
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["connect", "prepare", "target"]

OWN_TEXTS: tuple[type[Any], ...] = (
    mysql.CHAR,
    mysql.VARCHAR,
    mysql.TEXT,
    mysql.TINYTEXT,
    mysql.MEDIUMTEXT,
    mysql.LONGTEXT,
    mysql.SET,
    mysql.ENUM,
)


class RoundedNumeric(mysql.NUMERIC):
    """A decimal rounded before it is sent: the server rounds the same way, but with a warning."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Round to the scale, and refuse what is too large, as every backend does."""
        precision, scale = self.precision, self.scale

        def bind(value: Any) -> Any:
            if precision is None or not isinstance(value, Decimal):
                return value
            return fit(value, precision, scale or 0)

        return bind


def target(url: URL) -> tuple[URL, dict[str, Any]]:
    """Give the URL, and the arguments for the driver; the command runs once a connection."""
    arguments: dict[str, Any] = {"init_command": "SET time_zone = '+00:00'"}
    if url.get_driver_name() == "aiomysql":
        arguments["async_creator_fn"] = connect
    return url, arguments


async def connect(**options: Any) -> Any:
    """
    Connect through aiomysql; a greeting without TLS is refused where TLS is asked for.

    aiomysql 0.3 would go on in plain text, and so would send the password to whoever takes
    one bit out of the greeting.
    """
    connection = _checked_connection()(**options)
    await connection._connect()  # noqa: SLF001  as aiomysql.connect() does
    return connection


@cache
def _checked_connection() -> Any:
    aiomysql: Any = importlib.import_module("aiomysql")
    offers_tls = importlib.import_module("pymysql.constants.CLIENT").SSL

    class Connection(aiomysql.Connection):  # type: ignore[misc]  # untyped
        _writer = None  # its end looks here, even if an option was refused

        async def _get_server_information(self) -> None:
            await super()._get_server_information()
            if self._ssl_context and not self.server_capabilities & offers_tls:
                raise ConnectionError

    return Connection


def prepare(engine: AsyncEngine) -> None:
    """Register what an engine on MySQL needs."""
    dialect = engine.sync_engine.dialect
    dialect.colspecs = {**dialect.colspecs, sa_types.Numeric: RoundedNumeric}
    make_strict(dialect)
    # Types that a model takes from MySQL's own dialect stay as they are.
    dialect.colspecs = {**dialect.colspecs, **{kind: kind for kind in OWN_TEXTS}}
    refuse_after_deadlocks(engine.sync_engine)
    if dialect.driver == "aiomysql":
        _repair_bytes()

    def name_mariadb(_connection: Any, _record: Any) -> None:
        # A mysql:// URL may lead to MariaDB, whose collations and types have names of
        # their own; SQLAlchemy chooses them by the dialect's name.
        if getattr(dialect, "is_mariadb", False):
            dialect.name = "mariadb"

    event.listen(engine.sync_engine, "connect", name_mariadb)
    listen(engine.sync_engine, "begin", _begin)


def _repair_bytes() -> None:
    # aiomysql 0.3 escapes bytes with a function that PyMySQL 1.2 replaced by a text.
    aiomysql: Any = importlib.import_module("aiomysql.connection")
    if not callable(aiomysql.escape_bytes_prefixed):
        pymysql = importlib.import_module("pymysql.converters")
        aiomysql.escape_bytes_prefixed = pymysql.escape_bytes


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    driver: Any = connection.connection.driver_connection
    if options.get("isolation_level") != "AUTOCOMMIT" and driver.get_autocommit():
        # As a statement that took the short way left it (andamios.plans).
        await_only(driver.autocommit(False))  # noqa: FBT003  its signature
    if options.get("andamios_read_only") and options.get("andamios_begin", True):
        begin = "START TRANSACTION READ ONLY"
        connection.exec_driver_sql(begin, execution_options={INTERNAL: True})
