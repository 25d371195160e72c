"""The engine: where the data lives, and the pool of connections to it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import MetaData

from andamios.core.connection import ConnectionManager
from andamios.core.creation import COMPANIONS, one_at_a_time
from andamios.core.factory import ENGINE_CONFIG, ISOLATION_LEVELS, create_engine
from andamios.core.hooks import Hooks
from andamios.core.loop import prefer_uvloop
from andamios.core.monitor import HealthMonitor
from andamios.core.session import SessionManager
from andamios.core.tls import tls_of
from andamios.core.urls import make_url
from andamios.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.orm import DeclarativeBase

__all__ = ["AndamiosEngine"]


class AndamiosEngine:
    """
    An asynchronous engine with a pool, the same on SQLite, PostgreSQL and MySQL.

    Nothing connects until the first use. ``async with engine:`` connects at once, so that a
    wrong address shows at the start, and disposes of the pool at the end.

    Args:
        url: A database URL; a bare scheme gets its asynchronous driver. It may name several
            hosts: ``postgresql://one:5432,two:5432/shop?target_session_attrs=read-write``.
        uvloop: Whether to make uvloop the event loop where nothing else was chosen.
        monitor: What watches the pool while the engine is open; default: every 30 seconds.
        options: ``pool_size``, ``max_overflow``, ``pool_timeout``, ``pool_recycle``,
            ``pool_pre_ping`` (defaults: :data:`ENGINE_CONFIG`); ``tls``, ``tls_ca``,
            ``tls_cert``, ``tls_key``, ``password_provider``; and anything that SQLAlchemy's
            ``create_async_engine`` takes.

    Raises:
        ConfigurationError: The URL or an option is wrong.
        MissingDependencyError: The driver is not installed.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> async def main() -> int:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         async with engine.session() as session:
        ...             return await session.scalar(text("SELECT 42"))
        >>> andamios.run(main())
        42
    """

    def __init__(
        self,
        url: str | URL,
        *,
        uvloop: bool = True,
        monitor: HealthMonitor | None = None,
        **options: Any,
    ) -> None:
        self._url = make_url(url)
        self._async_engine = create_engine(self._url, options)
        self._variants: dict[tuple[tuple[str, Any], ...], AsyncEngine] = {}
        self._hooks = Hooks(self._async_engine.sync_engine)
        self._connections = ConnectionManager(self)
        self._monitor = monitor or HealthMonitor()
        if uvloop:
            prefer_uvloop()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """
        Build an engine from ``ANDAMIOS_DATABASE_URL``, ``ANDAMIOS_POOL_SIZE`` and so on.

        Args:
            environ: Where to read; default: the process's environment. Every key of
                :data:`ENGINE_CONFIG` is read in capitals, behind ``ANDAMIOS_``.

        Raises:
            ConfigurationError: The URL is not set, or a value cannot be read.
        """
        environ = os.environ if environ is None else environ
        url = environ.get("ANDAMIOS_DATABASE_URL")
        if not url:
            raise ConfigurationError(
                "ANDAMIOS_DATABASE_URL is not set. Set it, for instance, to sqlite:///app.db."
            )
        found = {key: environ.get(f"ANDAMIOS_{key.upper()}") for key in ENGINE_CONFIG}
        options = {key: _read_option(key, text) for key, text in found.items() if text is not None}
        return cls(url, **options)

    @property
    def url(self) -> URL:
        """The URL, with its driver; its text hides the password."""
        return self._url

    @property
    def backend(self) -> str:
        """``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``."""
        return self._async_engine.dialect.name

    @property
    def async_engine(self) -> AsyncEngine:
        """SQLAlchemy's engine, for what has no word here."""
        return self._async_engine

    @property
    def tls(self) -> str | None:
        """
        ``verify``, ``encrypt`` or ``disable``: see ``andamios.core.tls``.

        None on SQLite, and where ``connect_args`` holds what the driver itself takes.
        """
        decided = tls_of(self._async_engine)
        return None if decided is None else decided.mode

    @property
    def connections(self) -> ConnectionManager:
        """The live pool."""
        return self._connections

    @property
    def hooks(self) -> Hooks:
        """Who is told what happens: see ``andamios.core.facts``."""
        return self._hooks

    def session(
        self, *, read_only: bool = False, isolation: str | None = None, is_current: bool = True
    ) -> SessionManager:
        """
        Open a session for the length of an ``async with`` block.

        Args:
            read_only: Refuse writes; on SQLite readers do not wait for the writer.
            isolation: For instance ``"SERIALIZABLE"``; None is the server's own default.
                SQLite is always serializable and so satisfies every level.
            is_current: Whether queries and repositories without a session find this one.

        Returns:
            A manager that commits when the block ends and rolls back when it raises.

        Raises:
            ConfigurationError: No such isolation level.
        """
        options: dict[str, Any] = {}
        if read_only:
            options = {"andamios_read_only": True, "postgresql_readonly": True}
        if isolation is not None:
            options |= self._isolation(isolation)
        return SessionManager(self._with(options), is_current=is_current, engine=self)

    def _with(self, options: dict[str, Any]) -> AsyncEngine:
        """Give the engine with execution options; making one costs as much as a statement."""
        if not options:
            return self._async_engine
        key = tuple(options.items())
        found = self._variants.get(key)
        if found is None:
            found = self._variants[key] = self._async_engine.execution_options(**options)
        return found

    def _isolation(self, level: str) -> dict[str, str]:
        level = level.upper().replace("_", " ")
        if level not in ISOLATION_LEVELS:
            raise ConfigurationError(
                f"Unknown isolation level {level!r}. Levels: {', '.join(ISOLATION_LEVELS)}."
            )
        if self.backend == "sqlite":
            return {}
        if self.backend == "postgresql" and level == "READ UNCOMMITTED":
            # PostgreSQL takes it as the next level; its drivers refuse the word.
            level = "READ COMMITTED"
        return {"isolation_level": level}

    async def create_all(self, base: type[DeclarativeBase] | MetaData) -> None:
        """
        Create tables that are not there yet; workers that start at once do not collide.

        Args:
            base: A declarative base or a MetaData for all of its tables, or one model for
                its own, with that of its history.
        """
        async with self._changing_tables() as connection:
            await connection.run_sync(_metadata(base).create_all, tables=_tables(base))

    async def drop_all(self, base: type[DeclarativeBase] | MetaData) -> None:
        """
        Drop tables, with everything in them.

        Args:
            base: A declarative base or a MetaData for all of its tables, or one model for
                its own, with that of its history.
        """
        async with self._changing_tables() as connection:
            await connection.run_sync(_metadata(base).drop_all, tables=_tables(base))

    @asynccontextmanager
    async def _changing_tables(self) -> AsyncIterator[AsyncConnection]:
        acquire = self._connections.acquire
        async with acquire() as connection, connection.begin(), one_at_a_time(connection):
            yield connection

    async def open(self) -> None:
        """Connect once, so that a wrong address shows now, and start the monitor."""
        async with self._connections.acquire():
            pass
        self._monitor.start(self)

    async def close(self) -> None:
        """Close the pool; connections that are in use are closed when they come back."""
        try:
            await self._monitor.stop()
        finally:
            await self._async_engine.dispose()

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            # Nobody leaves a block that was not entered.
            await asyncio.shield(asyncio.ensure_future(self.close()))
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AndamiosEngine({self._url.render_as_string(hide_password=True)!r})"


def _read_option(key: str, text: str) -> Any:
    if isinstance(ENGINE_CONFIG[key], bool):
        if text.lower() in {"1", "true", "yes", "on", "0", "false", "no", "off"}:
            return text.lower() in {"1", "true", "yes", "on"}
    else:
        with suppress(ValueError):
            return int(text)
    kind = "true or false" if isinstance(ENGINE_CONFIG[key], bool) else "a whole number"
    raise ConfigurationError(f"ANDAMIOS_{key.upper()} must be {kind}, not {text!r}.")


def _metadata(base: type[DeclarativeBase] | MetaData) -> MetaData:
    return base if isinstance(base, MetaData) else base.metadata


def _tables(base: type[DeclarativeBase] | MetaData) -> list[Any] | None:
    table = getattr(base, "__table__", None)
    return None if table is None else [table, *table.info.get(COMPANIONS, ())]
