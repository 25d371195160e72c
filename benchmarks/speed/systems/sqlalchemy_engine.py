"""
SQLAlchemy's engine as those peers use it that are built on it.

Its options are SQLAlchemy's own, except for the size of the pool, and for what Andamios decides
for its users: pre-ping, which costs a round trip here, is off as it is by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.speed.system import POOL

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["make_engine"]

DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "mysql": "mysql+asyncmy",
}


def make_engine(url: str) -> AsyncEngine:
    """Make an engine on the fastest of the drivers that SQLAlchemy documents."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    options: dict[str, Any] = {"pool_size": POOL, "max_overflow": 0}
    engine = create_async_engine(parsed.set(drivername=DRIVERS[backend]), **options)
    if backend == "mysql":
        event.listen(engine.sync_engine, "connect", _use_utc)
    return engine


def _use_utc(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("SET time_zone = '+00:00'")
    cursor.close()
