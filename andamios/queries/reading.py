"""Running a query that reads, inside a session or on the short way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from andamios.errors import MultipleFoundError, NotFoundError
from andamios.queries.compose import counted, executed, found
from andamios.queries.fields import loaded_columns, mapper_of
from andamios.queries.short import ShortReader

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.queries.spec import QuerySpec

    Source = AsyncSession | ShortReader

__all__ = [
    "as_dicts",
    "count",
    "dialect_of",
    "exists",
    "fetch",
    "first",
    "missing",
    "only_one",
    "single",
]


def dialect_of(session: AsyncSession, spec: QuerySpec) -> str:
    """Give the name of the backend that a query runs on."""
    return session.get_bind(mapper_of(spec.model)).dialect.name


async def fetch(source: Source, spec: QuerySpec) -> list[Any]:
    """Give everything that a query finds, objects or rows."""
    if isinstance(source, ShortReader):
        return await source.results(spec)
    result = await source.execute(executed(spec, dialect_of(source, spec)))
    return list(result.all() if spec.gives_rows else result.scalars().unique().all())


async def first(source: Source, spec: QuerySpec) -> Any:
    """Give the first result, or None."""
    limit = 1 if spec.limit is None else min(spec.limit, 1)
    results = await fetch(source, spec.but(limit=limit))
    return results[0] if results else None


async def only_one(source: Source, spec: QuerySpec) -> Any:
    """
    Give the only result, or None.

    Raises:
        MultipleFoundError: There are several.
    """
    limit = 2 if spec.limit is None else min(spec.limit, 2)
    return single(spec.model, await fetch(source, spec.but(limit=limit)))


def single(model: type[Any], results: list[Any]) -> Any:
    """
    Give the only one of results, or None.

    Raises:
        MultipleFoundError: There are several.
    """
    if len(results) > 1:
        raise MultipleFoundError(
            f"More than one {model.__name__} fits. Narrow the conditions, or use first()."
        )
    return results[0] if results else None


def missing(spec: QuerySpec) -> NotFoundError:
    """Build the error for a query that found nothing where something was asked for."""
    return NotFoundError(f"No {spec.model.__name__} fits the conditions.")


async def count(source: Source, spec: QuerySpec) -> int:
    """Count what a query finds."""
    if isinstance(source, ShortReader):
        return await source.count(spec)
    result = await source.execute(counted(spec, dialect_of(source, spec)))
    return int(result.scalar_one())


async def exists(source: Source, spec: QuerySpec) -> bool:
    """Say whether a query finds anything."""
    if isinstance(source, ShortReader):
        return await source.exists(spec)
    result = await source.execute(found(spec, dialect_of(source, spec)))
    return bool(result.scalar_one())


async def as_dicts(source: Source, spec: QuerySpec) -> list[dict[str, Any]]:
    """Give results as dicts: of an object its columns, of a row its parts."""
    if isinstance(source, ShortReader):
        return await source.dicts(spec)
    if not spec.gives_rows and not spec.flat:
        spec = spec.but(flat=tuple(loaded_columns(spec.model)))
    result = await source.execute(executed(spec, dialect_of(source, spec)))
    return [dict(row) for row in result.mappings()]


ENDS: frozenset[Any] = frozenset({fetch, first, only_one, count, exists, as_dicts})
"""What can take the short way."""
