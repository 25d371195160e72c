"""How an engine of SQLAlchemy is built so that every backend behaves alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

from andamios.core.events import translate_errors
from andamios.core.passwords import ask_for_password
from andamios.core.ping import check_on_checkout
from andamios.core.pool import LivePool
from andamios.core.tls import secure, take_tls
from andamios.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import Pool

__all__ = ["ENGINE_CONFIG", "ISOLATION_LEVELS", "check_sizes", "create_engine"]

ISOLATION_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")

ENGINE_CONFIG: dict[str, Any] = {
    "pool_size": 20,
    "max_overflow": 30,
    "pool_pre_ping": True,
    "pool_recycle": 3600,
    "echo": False,
}
"""What an engine uses unless told otherwise; ``pool_recycle`` is in seconds."""


class Backend(Protocol):
    """What a module knows of its backend."""

    def target(self, url: URL) -> tuple[URL, dict[str, Any]]:
        """Give the URL to connect to, and arguments for the driver."""

    def prepare(self, engine: AsyncEngine) -> None:
        """Register what an engine needs."""


def create_engine(url: URL, options: dict[str, Any]) -> AsyncEngine:
    """
    Build SQLAlchemy's engine with what each backend needs.

    Args:
        url: With its driver, as ``make_url`` gives it.
        options: What overrides :data:`ENGINE_CONFIG`.

    Raises:
        ConfigurationError: An option is wrong.
    """
    from andamios.core import json, postgresql  # noqa: PLC0415  msgspec comes along

    options = {"poolclass": LivePool} | options
    options = _defaults(options["poolclass"]) | options
    backend = _backend(url.get_backend_name())
    url, arguments = (url, {}) if backend is None else backend.target(url)
    arguments |= options.pop("connect_args", {})
    url, tls = take_tls(url, options, arguments)
    password_provider = options.pop("password_provider", None)
    pre_ping = options.pop("pool_pre_ping")
    check_sizes(options)
    _check_isolation(options)
    options = {"json_serializer": json.dumps, "json_deserializer": json.loads} | options
    options.setdefault("hide_parameters", True)  # values belong into no log
    try:
        engine = create_async_engine(url, connect_args=arguments, **options)
    except (ArgumentError, KeyError, TypeError, ValueError) as error:
        message = f"An option for the engine is wrong: {error}"
        raise ConfigurationError(message) from error
    # Before the listener that connects.
    if tls is not None:
        secure(engine, tls)
    if password_provider is not None:
        ask_for_password(engine, password_provider)
    translate_errors(engine)
    if backend is not None:
        backend.prepare(engine)
    if options["json_deserializer"] is json.loads:
        postgresql.read_json_at_once(engine)
    if pre_ping and url.get_backend_name() != "sqlite":
        check_on_checkout(engine)
        if isinstance(engine.pool, LivePool):
            engine.pool.is_pinged = True
    return engine


def check_sizes(options: Mapping[str, Any]) -> None:
    """
    Check ``pool_size`` and ``max_overflow``, where they are given.

    Raises:
        ConfigurationError: One of them is no whole number, or too small.
    """
    for key, least in {"pool_size": 1, "max_overflow": -1}.items():
        value = options.get(key, least)
        if not isinstance(value, int) or value < least:
            raise ConfigurationError(f"{key} is a whole number from {least}, not {value!r}.")


def _backend(name: str) -> Backend | None:
    # Only once there is an engine: with two of them come SQLAlchemy's dialects, which take long.
    if name == "sqlite":
        from andamios.core import sqlite  # noqa: PLC0415

        return sqlite
    if name in {"mysql", "mariadb"}:
        from andamios.core import mysql  # noqa: PLC0415

        return mysql
    if name == "postgresql":
        from andamios.core import postgresql  # noqa: PLC0415

        return postgresql
    return None


def _check_isolation(options: Mapping[str, Any]) -> None:
    level = options.get("isolation_level")
    if level is not None and level not in {*ISOLATION_LEVELS, "AUTOCOMMIT"}:
        raise ConfigurationError(
            f"Unknown isolation level {level!r}. Levels: {', '.join(ISOLATION_LEVELS)}."
        )


def _defaults(pool: type[Pool]) -> dict[str, Any]:
    if issubclass(pool, LivePool | QueuePool):
        return ENGINE_CONFIG
    # Other pools have no size.
    return {k: v for k, v in ENGINE_CONFIG.items() if k not in {"pool_size", "max_overflow"}}
