"""Reading through the cache of an engine, wherever a query works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.core.engine import AndamiosEngine
from andamios.core.guard import translating
from andamios.core.result_cache import CachedRead, ResultCache, result_cache_of
from andamios.errors import ConfigurationError, QueryError
from andamios.queries import reading
from andamios.queries.compose import executed
from andamios.queries.fields import mapper_of
from andamios.queries.scope import given_session, read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import sqlalchemy.ext.asyncio as sa_asyncio

    from andamios.queries.loading import Load
    from andamios.queries.scope import Bind
    from andamios.queries.spec import QuerySpec

__all__ = ["read_cached", "refuse_cached"]

TRANSLATED = "schema_translate_map"

ENDS: dict[Any, str] = {
    reading.fetch: "execute",
    reading.first: "first",
    reading.only_one: "one",
    reading.count: "count",
    reading.exists: "exists",
    reading.as_dicts: "as_dicts",
}


def refuse_cached(spec: QuerySpec, what: str) -> None:
    """
    Refuse an end whose answers are not kept.

    Raises:
        QueryError: The query was told to keep them.
    """
    if spec.ttl is not None:
        raise QueryError(f"cached() does not go with {what}; leave one of them out.")


async def read_cached(
    bind: Bind,
    spec: QuerySpec,
    work: Callable[..., Awaitable[Any]],
) -> Any:
    """
    Give the answer from the cache, or find it as ``work`` does.

    Args:
        bind: Where the query works.
        spec: The query, which has a ``ttl``.
        work: One of the ends in ``reading``.

    Raises:
        ConfigurationError: No cache watches the engine.
        QueryError: This end is not cached, or the query locks rows.
    """
    if work not in ENDS:
        refuse_cached(spec, "pages")
    if spec.lock is not None:
        refuse_cached(spec, "for_update()")
    if isinstance(bind, AndamiosEngine):
        cache = _cache(bind.async_engine.dialect)
        return await _alone(cache, spec, work)
    session = given_session(bind)
    where = session.get_bind(mapper_of(spec.model))
    cache = _cache(where.dialect)
    if session.sync_session.autoflush and _has_changes(session):
        await session.flush()
    is_free = isinstance(where, sa.Engine) and not session.in_transaction()
    if is_free and not where.get_execution_options().keys() & {"isolation_level", TRANSLATED}:
        # Nothing was read yet, so that a transaction of its own sees no less.
        return await _alone(cache, spec, work)
    return await _inside(cache, session, spec, work)


async def _alone(cache: ResultCache, spec: QuerySpec, work: Any) -> Any:
    async def load() -> Any:
        return await read(cache.engine, spec.model, lambda session: work(session, spec))

    return await cache.answer(_question(cache, spec, work), load)


async def _inside(
    cache: ResultCache, session: sa_asyncio.AsyncSession, spec: QuerySpec, work: Any
) -> Any:
    with translating():
        connection = await session.connection(bind_arguments={"mapper": mapper_of(spec.model)})

        async def load() -> Any:
            # What the session holds already may be older than what a query would find.
            kind = type(session)
            async with kind(
                connection, sync_session_class=type(session.sync_session), expire_on_commit=False
            ) as fresh:
                return await work(fresh, spec)

        schemas = await connection.run_sync(
            lambda sync: sync.get_execution_options().get(TRANSLATED)
        )
        question = _question(cache, spec, work, schemas)
        return await cache.answer(question, load, connection)


def _question(cache: ResultCache, spec: QuerySpec, work: Any, schemas: Any = None) -> CachedRead:
    assert spec.ttl is not None
    loads = [_load(load) for load in spec.loads]
    variant = (ENDS[work], spec.includes_deleted, loads, sorted((schemas or {}).items()))
    statement = executed(spec, cache.engine.backend)
    return CachedRead(spec.model, statement, variant, spec.ttl)


def _load(load: Load) -> tuple[str, str]:
    """Name a relationship that is loaded along, whose conditions would not show in the SQL."""
    target: Any = load.target
    if load.is_option or getattr(target.class_, target.key) is not target:
        raise QueryError(
            "cached() goes with load(User.posts), not with options of SQLAlchemy, conditions or "
            "of_type()."
        )
    return str(load.target.property), load.method


def _has_changes(session: sa_asyncio.AsyncSession) -> bool:
    return bool(session.new or session.deleted or session.dirty)


def _cache(dialect: sa.Dialect) -> ResultCache:
    cache = result_cache_of(dialect)
    if cache is None:
        raise ConfigurationError(
            "cached() needs a cache, and none watches this engine: CacheManager().watch(engine)."
        )
    return cache
