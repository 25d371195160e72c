"""The cache: two levels, and nothing stale in either."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from andamios.caching.answers import EngineCache
from andamios.caching.board import is_settled
from andamios.caching.codec import decode, encode
from andamios.caching.levels import MISSING, Levels, Look
from andamios.caching.repository import CachedRepository
from andamios.caching.tags import EVERYTHING
from andamios.core.result_cache import register, unregister
from andamios.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

    from andamios.caching.statistics import CacheStats
    from andamios.core.engine import AndamiosEngine
    from andamios.repositories.base import IRepository

__all__ = ["CacheManager"]

T = TypeVar("T")

BY_HAND = "other"

PORTS = {"mysql": 3306, "postgresql": 5432}
"""Where a server listens unless a URL says otherwise."""


class CacheManager:
    """
    Answers in memory and, if you like, in Redis, which are never older than the last commit.

    ``watch`` an engine, and every write through it, by objects, in bulk or by statement,
    makes what depends on it void when it commits. Statements in plain text make everything
    void. Outside of the promise, with ``invalidate`` as the cure, are

    - writes that do not go through a watched engine, such as those of a driver's own cursor
      and, without Redis, those of other processes;
    - what the database does behind a statement: triggers, views, functions that write, and
      tables that are partitions or parents of others;
    - transactions whose end or level SQLAlchemy is not told: two-phase commits, COMMIT and
      SET TRANSACTION as text, and READ UNCOMMITTED as the server's default;
    - answers that differ by who asks or when: row-level security, a role or ``search_path``
      set on a connection, filters from a ``do_orm_execute`` listener of one's own, ``now()``.

    Args:
        redis_url: Of the second level, which makes the promise hold between processes that
            use the same one. None keeps answers in this process only.
        max_entries: Answers in this process.
        ttl: Seconds for which answers are kept unless a call says otherwise; up to a tenth
            shorter, so that those stored together do not end together.
        max_staleness: With Redis, seconds for which an answer from the database lives at
            most, since that is how long others could miss a write if its writer cannot reach
            Redis, or if Redis comes back with what it knew before that write (from a snapshot
            on disk or a replica). Raise it to have fewer loads.
        timeout: Seconds after which a reader gives up on Redis and asks the database.

    Raises:
        ConfigurationError: An argument is wrong.
        MissingDependencyError: redis is not installed.

    Example:
        >>> import andamios
        >>> from andamios.caching import CacheManager
        >>> async def main() -> dict[str, int] | None:
        ...     async with CacheManager() as cache:
        ...         await cache.set_cached_result("totals", {"ports": 12}, ttl=60)
        ...         return await cache.get_cached_result("totals")
        >>> andamios.run(main())
        {'ports': 12}
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        max_entries: int = 10_000,
        ttl: float = 300.0,
        max_staleness: float = 5.0,
        timeout: float = 0.25,
    ) -> None:
        numbers = {"max_entries": max_entries, "ttl": ttl, "max_staleness": max_staleness}
        for name, number in {**numbers, "timeout": timeout}.items():
            if number <= 0:
                raise ConfigurationError(f"{name} is a number above 0, not {number!r}.")
        self._ttl = ttl
        self._levels = Levels(
            redis_url, max_entries=max_entries, max_staleness=max_staleness, timeout=timeout
        )
        self._watched: dict[AndamiosEngine, EngineCache] = {}

    def watch(self, engine: AndamiosEngine, *, namespace: str | None = None) -> None:
        """
        Learn of every write through an engine, and keep answers for its queries.

        Args:
            engine: The engine, before its first use.
            namespace: What tells its database from others in the same Redis. Default: from
                host, port and name of the database. Give one where processes reach the same
                database by different addresses.

        Raises:
            ConfigurationError: The engine is watched already, or the namespace has a ``|``.
        """
        if "|" in (namespace or ""):
            raise ConfigurationError("A namespace is a name without |.")
        if engine in self._watched:
            raise ConfigurationError("This cache watches that engine already.")
        cache = EngineCache(engine, self._levels, namespace or _namespace(engine))
        self._watched[engine] = cache
        register(engine.async_engine.dialect, cache)

    def unwatch(self, engine: AndamiosEngine) -> None:
        """
        Undo :meth:`watch`; one that is not watched is fine.

        Answers that this process holds are dropped; those in Redis live on, and know nothing
        of writes from now on.
        """
        cache = self._watched.pop(engine, None)
        if cache is not None:
            cache.end()
            unregister(engine.async_engine.dialect)
            # Writes from now on are not heard of.
            self._levels.forget()

    def repository(self, repository: IRepository[T], *, ttl: float | None = None) -> Any:
        """
        Give a repository that reads through the cache and writes as the given one does.

        Args:
            repository: A ``BaseRepository`` on a watched engine, or on a session of one.
            ttl: Seconds for which answers may be kept.
        """
        return CachedRepository(repository, self._ttl if ttl is None else ttl)

    async def get_cached_result(self, key: str) -> Any | None:
        """Give what was stored under a key and is still valid, or None."""
        found = await self._look(key, set())
        return None if found.value is MISSING else found.value

    async def set_cached_result(
        self, key: str, value: Any, ttl: float | None = None, *, tags: Iterable[str] = ()
    ) -> None:
        """
        Store a value in both levels.

        A value from the database should go through :meth:`get_or_load` instead: what was
        written between reading it and storing it here is not noticed.

        Args:
            key: Any text.
            value: What JSON knows, and dates, Decimal, UUID, bytes, Enum, tuples, sets and
                stored objects of models.
            ttl: Seconds.
            tags: What it depends on: ``t:users`` is the table of that name.

        Raises:
            CacheError: A value of another type.
        """
        names = self._named(tags)
        payload = encode(value)
        look = await self._levels.ask(names)
        await self._levels.keep(_digest(key), payload, names, look, self._seconds(ttl))

    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], Awaitable[T]],
        *,
        ttl: float | None = None,
        tags: Iterable[str] = (),
    ) -> T:
        """
        Give what is stored under a key, or load and store it, once for all who ask.

        Args:
            key: Any text.
            loader: Called without arguments, in a task of its own, so that it opens a session
                of its own.
            ttl: Seconds.
            tags: What it depends on: ``t:users`` is the table of that name.

        Returns:
            A copy of the value for this caller. None is a value like any other.
        """
        names = self._named(tags)
        look = await self._look(key, names)
        if look.value is not MISSING:
            return look.value  # type: ignore[no-any-return]  # what a loader gave

        async def fill() -> str:
            payload = encode(await loader())
            await self._levels.keep(_digest(key), payload, names, look, self._seconds(ttl))
            return payload

        if not is_settled(look.versions, names):
            return decode(await fill())  # type: ignore[no-any-return]
        flight = (_digest(key), tuple(sorted(look.versions.items())))
        return decode(await self._levels.flights.run(flight, fill))  # type: ignore[no-any-return]

    async def invalidate(self, *tags: str) -> None:
        """
        Make void what depends on any of these tags.

        Args:
            tags: ``t:users`` is what depends on the table as a whole, ``t:users:7`` on its
                row with the key 7, ``t:users:*`` on any row by its key; or tags of your own.
        """
        writer = secrets.token_hex(8)
        names = self._spread(tags)
        await self._levels.board.mark(writer, names)
        await self._levels.board.unmark(writer, names, changed=True)

    async def clear(self) -> None:
        """Make everything void."""
        self._levels.forget()
        await self.invalidate(EVERYTHING)

    def stats(self) -> CacheStats:
        """Give how often answers were there, in all and for each model."""
        stats = self._levels.stats
        return replace(stats, models={name: replace(each) for name, each in stats.models.items()})

    async def open(self) -> None:
        """Do nothing yet: Redis is connected to by the first use, and may be down."""

    async def close(self) -> None:
        """Watch nothing longer, wait for loads under way, and leave Redis."""
        for engine in list(self._watched):
            self.unwatch(engine)
        await self._levels.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _look(self, key: str, names: set[str]) -> Look:
        return await self._levels.look(_digest(key), names, BY_HAND)

    def _named(self, tags: Iterable[str]) -> set[str]:
        """Give the tags of what is stored by hand; what depends on tables, on everything too."""
        tags = list(tags)
        return self._spread([*tags, EVERYTHING]) if tags else {f"{BY_HAND}|{EVERYTHING}"}

    def _spread(self, tags: Iterable[str]) -> set[str]:
        """Name tags as they are by hand, and as they are in each watched database."""
        spaces = {BY_HAND, *(cache.namespace for cache in self._watched.values())}
        return {f"{space}|{tag}" for space in spaces for tag in tags}

    def _seconds(self, ttl: float | None) -> float:
        seconds = self._ttl if ttl is None else ttl
        if seconds <= 0:
            raise ConfigurationError(f"ttl is a number of seconds above 0, not {seconds!r}.")
        return seconds


def _digest(key: str) -> str:
    return f"{BY_HAND}|{hashlib.sha256(key.encode()).hexdigest()}"


def _namespace(engine: AndamiosEngine) -> str:
    url = engine.async_engine.url
    backend = "mysql" if engine.backend == "mariadb" else engine.backend
    where = f"{url.host}:{url.port or PORTS.get(backend)}/{url.database}"
    if backend == "sqlite" and "vfs" not in url.query:
        # One in memory has a name of its own.
        path = Path(url.database or "")
        where = os.path.normpath(path if path.is_absolute() else Path.cwd() / path)
    return hashlib.sha256(f"{backend}:{where}".encode()).hexdigest()[:16]
