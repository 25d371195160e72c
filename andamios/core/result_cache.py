"""
Where a query finds the cache of its engine, without knowing what a cache is.

Named for what stands behind it. Queries ask here; the caching layer registers itself. The
key is the dialect, which every form of one engine shares and no two engines do.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.core.engine import AndamiosEngine

__all__ = ["CachedRead", "ResultCache", "register", "result_cache_of", "unregister"]


@dataclass(frozen=True, slots=True)
class CachedRead:
    """
    A read whose answer may be kept.

    Args:
        model: What is read.
        statement: The SELECT that finds the answer.
        variant: What else the answer depends on, as plain values.
        ttl: Seconds for which the answer may be kept.
    """

    model: type[Any]
    statement: sa.Select[Any]
    variant: tuple[Any, ...]
    ttl: float


class ResultCache(Protocol):
    """What keeps answers for one engine."""

    @property
    def engine(self) -> AndamiosEngine:
        """The engine whose writes it knows."""

    async def answer(
        self,
        question: CachedRead,
        load: Callable[[], Awaitable[Any]],
        connection: AsyncConnection | None = None,
    ) -> Any:
        """
        Give a kept answer, or load and keep it; every caller gets a copy of its own.

        Args:
            question: What is asked.
            load: Asks the database, in a transaction of its own unless ``connection`` is given.
            connection: The one on which ``load`` reads, inside a transaction of the caller's.
        """


_caches: weakref.WeakKeyDictionary[sa.Dialect, weakref.ref[ResultCache]] = (
    weakref.WeakKeyDictionary()
)


def register(dialect: sa.Dialect, cache: ResultCache) -> None:
    """Let queries on this dialect's engine find a cache; whoever registers it keeps it alive."""
    _caches[dialect] = weakref.ref(cache)


def unregister(dialect: sa.Dialect) -> None:
    """Undo :func:`register`."""
    _caches.pop(dialect, None)


def result_cache_of(dialect: sa.Dialect) -> ResultCache | None:
    """Give the cache of this dialect's engine, or None."""
    reference = _caches.get(dialect)
    return None if reference is None else reference()
