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
from andamios.core.hosts import Hosts, UnfitError, drop_standbys, take_hosts
from andamios.core.kills import ORIGIN, Kills, Origin, note_origin
from andamios.core.levels import survive_lost_levels
from andamios.core.listening import listen
from andamios.core.strict import make_strict
from andamios.core.translation import error_code, translate
from andamios.errors import ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.engine import URL, Connection, Dialect
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["prepare", "target"]

WHO = f"SELECT {ORIGIN}, @@global.read_only"
"""Asked on each connection that is made: which server it is, and whether it only reads."""

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
    url, arguments = take_hosts(url)
    arguments["init_command"] = "SET time_zone = '+00:00'"
    opens = {"aiomysql": _open_aiomysql, "asyncmy": _open_asyncmy}.get(url.get_driver_name())
    if opens is not None:
        arguments["async_creator_fn"] = _creator(opens)
    return url, arguments


def _creator(opens: Callable[[dict[str, Any]], Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Give what connects, to whichever of the hosts will do, and notes where that led."""

    async def connect(role: str, options: dict[str, Any]) -> Any:
        connection = await opens(options)
        try:
            found = await _ask(connection)
            if role != "any":
                _check_role(role, found)
        except BaseException:
            connection.close()
            raise
        # A pooler that does not hand numbers on would end a stranger.
        if found is not None and found[0] == connection.thread_id():
            thread, host, port, started, _ = found
            known = options | {"async_creator_fn": hosts.connect}
            note_origin(connection, Origin(thread, (host, port, started), known))
        return connection

    hosts = Hosts(connect, "connect_timeout")
    return hosts.connect


async def _ask(connection: Any) -> tuple[Any, ...] | None:
    """Ask a server which one it is; None if it does not understand the question."""
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(WHO)
            found: tuple[Any, ...] = await cursor.fetchone()
            return found
    except Exception as error:
        if error_code(error) is None or isinstance(translate(error), ConnectionFailedError):
            raise
        return None


def _check_role(role: str, found: tuple[Any, ...] | None) -> None:
    """
    Check that a server is what ``target_session_attrs`` asks for.

    Raises:
        UnfitError: It is not.
    """
    if found is None:
        raise UnfitError("it does not tell its role")
    only_reads = str(found[4]).upper() not in {"0", "OFF"}
    if only_reads is not (role in {"read-only", "standby"}):
        raise UnfitError(f"it {'only reads' if only_reads else 'takes writes'}")


async def _open_asyncmy(options: dict[str, Any]) -> Any:
    return await importlib.import_module("asyncmy").connect(**options)


async def _open_aiomysql(options: dict[str, Any]) -> Any:
    """
    Connect through aiomysql; a greeting without TLS is refused where TLS is asked for.

    aiomysql 0.3 would go on in plain text, and so would send the password to whoever takes
    one bit out of the greeting. Nor would it close the socket when it is cancelled.
    """
    connection = _checked_connection()(**options)
    try:
        await connection._connect()  # noqa: SLF001  as aiomysql.connect() does
    except BaseException:
        connection.close()
        raise
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
    drop_standbys(dialect)
    survive_lost_levels(engine.sync_engine)
    Kills(dialect).watch(engine.sync_engine)
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
