"""How an engine of SQLAlchemy is built so that every backend behaves alike."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

from andamios.core import mysql, postgresql, sqlite
from andamios.core.events import translate_errors
from andamios.core.pool import check_on_checkout
from andamios.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import Pool

__all__ = ["ENGINE_CONFIG", "ISOLATION_LEVELS", "create_engine"]

ISOLATION_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")

ENGINE_CONFIG: dict[str, Any] = {
    "pool_size": 20,
    "max_overflow": 30,
    "pool_pre_ping": True,
    "pool_recycle": 3600,
    "echo": False,
}
"""What an engine uses unless told otherwise; ``pool_recycle`` is in seconds."""


def create_engine(url: URL, options: dict[str, Any]) -> AsyncEngine:
    """
    Build SQLAlchemy's engine with what each backend needs.

    Args:
        url: With its driver, as ``make_url`` gives it.
        options: What overrides :data:`ENGINE_CONFIG`.

    Raises:
        ConfigurationError: An option is wrong.
    """
    options = {**_defaults(options.get("poolclass")), **options}
    backend = url.get_backend_name()
    if backend == "sqlite" and sqlite.is_memory(url):
        url = sqlite.shared_memory_url(url)
    defaults = {"sqlite": sqlite.connect_args, "mysql": mysql.connect_args}
    defaults["mariadb"] = mysql.connect_args
    arguments = defaults[backend]() if backend in defaults else {}
    arguments |= options.pop("connect_args", {})
    pre_ping = options.pop("pool_pre_ping")
    _check(options)
    # What is no JSON is refused everywhere, as servers do.
    options.setdefault("json_serializer", partial(json.dumps, allow_nan=False))
    try:
        engine = create_async_engine(url, connect_args=arguments, **options)
    except (ArgumentError, KeyError, TypeError, ValueError) as error:
        message = f"An option for the engine is wrong: {error}"
        raise ConfigurationError(message) from error
    translate_errors(engine)
    if backend == "sqlite":
        sqlite.prepare(engine)
    elif backend in {"mysql", "mariadb"}:
        mysql.prepare(engine)
    elif backend == "postgresql":
        postgresql.prepare(engine)
    if pre_ping and backend != "sqlite":
        check_on_checkout(engine)
    return engine


def _check(options: dict[str, Any]) -> None:
    for key, least in {"pool_size": 1, "max_overflow": -1}.items():
        value = options.get(key, least)
        if not isinstance(value, int) or value < least:
            raise ConfigurationError(f"{key} is a whole number from {least}, not {value!r}.")
    level = options.get("isolation_level")
    if level is not None and level not in {*ISOLATION_LEVELS, "AUTOCOMMIT"}:
        raise ConfigurationError(
            f"Unknown isolation level {level!r}. Levels: {', '.join(ISOLATION_LEVELS)}."
        )


def _defaults(pool: type[Pool] | None) -> dict[str, Any]:
    if pool is None or issubclass(pool, QueuePool):
        return ENGINE_CONFIG
    # Other pools have no size.
    return {k: v for k, v in ENGINE_CONFIG.items() if k not in {"pool_size", "max_overflow"}}
