"""Storing many rows in batches, inside a session."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import sqlalchemy as sa

from andamios.errors import DataError, NotFoundError, QueryError
from andamios.models.fields import checked_values, rules_of
from andamios.models.hooks import has_hooks
from andamios.queries.fields import column_keys, key_attributes, unknown
from andamios.queries.values import is_expression, whole_number
from andamios.repositories import reading, saving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

__all__ = ["Returning", "Rows", "batches", "insert_all", "insert_returning", "update_all"]

T = TypeVar("T")
Rows = Iterable[Any] | AsyncIterable[Any]
"""Dicts by field name, or objects."""

Returning = Literal["keys", "entities"]


def require_returning(returning: object) -> None:
    """
    Refuse what cannot come back.

    Raises:
        QueryError: It is neither keys nor entities, nor None.
    """
    if returning not in {None, *get_args(Returning)}:
        raise QueryError(f"returning takes 'keys' or 'entities', not {returning!r:.40}.")


def batches(rows: Rows, size: int) -> AsyncIterator[list[Any]]:
    """
    Cut an iterable, asynchronous or not, into lists; never holds more than one of them.

    Raises:
        DataError: It is no iterable of rows.
        QueryError: The size is no whole number from 1.
    """
    whole_number("batch", size, least=1)
    is_one_row = isinstance(rows, Mapping | str | bytes)
    if is_one_row or not isinstance(rows, Iterable | AsyncIterable):
        raise DataError(f"Rows are an iterable of dicts or objects, not {type(rows).__name__}.")
    return _batches(rows, size)


async def _batches(rows: Rows, size: int) -> AsyncIterator[list[Any]]:
    if isinstance(rows, AsyncIterable):
        batch: list[Any] = []
        async for row in rows:
            batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
        return
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


async def insert_all(
    session: AsyncSession,
    model: type[Any],
    parts: AsyncIterator[list[Any]],
    progress: Callable[[int], object],
) -> int:
    """Insert rows and count them; nothing of them is kept."""
    count = 0
    async for batch in parts:
        groups, entities = _sorted_out(model, batch)
        if has_hooks(model):  # which are an object's
            groups, entities = [], _as_entities(model, batch)
        for group in groups:
            if any(map(is_expression, group[0].values())):  # which no driver can bind
                entities += _as_entities(model, group)
                continue
            rows = [checked_values(model, row) for row in group] if rules_of(model) else group
            await session.execute(sa.insert(model), rows, execution_options={"render_nulls": True})
        await _store(session, entities)
        count += len(batch)
        progress(count)
    return count


async def insert_returning(
    session: AsyncSession,
    model: type[T],
    parts: AsyncIterator[list[Any]],
    progress: Callable[[int], object],
) -> list[T]:
    """Insert rows and give the objects, in their order."""
    created: list[T] = []
    async for batch in parts:
        _sorted_out(model, batch)
        entities = _as_entities(model, batch)
        await _store(session, entities)
        for entity in entities:
            await saving.settle(session, entity)
        created += entities
        progress(len(created))
    return created


async def update_all(
    session: AsyncSession, model: type[Any], parts: AsyncIterator[list[Any]]
) -> int:
    """
    Store different values in many rows.

    Raises:
        NotFoundError: A row is missing.
        StaleVersionError: Somebody else changed a row first.
    """
    count = 0
    async for batch in parts:
        groups, entities = _sorted_out(model, batch)
        stored = await _set_values(session, model, [row for group in groups for row in group])
        stored += [await saving.attach(session, entity) for entity in entities]
        await saving.flush(session, model)
        for entity in stored:
            await saving.settle(session, entity)
        count += len(batch)
    return count


def _as_entities(model: type[T], batch: Sequence[Any]) -> list[T]:
    return [saving.made(model, row) if isinstance(row, Mapping) else row for row in batch]


async def _store(session: AsyncSession, entities: list[Any]) -> None:
    for entity in entities:
        saving.require_new(type(entity), entity)
        saving.require_reach(session, entity)
        saving.require_free_key(session, entity)
    session.add_all(entities)
    await session.flush()


def _sorted_out(
    model: type[Any], batch: list[Any]
) -> tuple[list[list[Mapping[str, Any]]], list[Any]]:
    """Part dicts from objects, and dicts by their fields: a statement names its columns once."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    entities = []
    for row in batch:
        if isinstance(row, Mapping):
            groups.setdefault(tuple(row), []).append(row)
        else:
            saving.require_kind(model, row)
            entities.append(row)
    known = set(column_keys(model))
    for name in (name for fields in groups for name in fields):
        if name not in known:
            raise unknown("column", name, known, model)
    return list(groups.values()), entities


async def _set_values(
    session: AsyncSession, model: type[Any], dicts: list[Mapping[str, Any]]
) -> list[Any]:
    names = [attribute.key for attribute in key_attributes(model)]
    by_key: dict[reading.Key, Mapping[str, Any]] = {}
    for row in dicts:
        if not row.keys() >= set(names):
            raise QueryError(f"A row for update_many names its key: {', '.join(names)}")
        by_key[reading.checked_key(model, tuple(row[name] for name in names))] = row
    found = await reading.get_many(session, model, by_key)
    if len(found) < len(by_key):
        raise NotFoundError(f"{len(by_key) - len(found)} rows of {model.__name__} are missing.")
    for entity, row in zip(found, by_key.values(), strict=True):
        saving.set_values(entity, row)
    return found
