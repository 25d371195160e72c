"""
Storing many rows in batches, inside a session.

Rows go in the fastest way of their database that does the same as SQLAlchemy, and those that are
in memory anyway all at once.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import sqlalchemy as sa

from andamios.errors import DataError, NotFoundError, QueryError
from andamios.models.fields import checked_values, rules_of
from andamios.models.hooks import has_hooks
from andamios.plans.copying import Copying
from andamios.plans.forms import UnplannableError
from andamios.plans.numbering import Numbering
from andamios.plans.unnesting import Unnesting
from andamios.queries.fields import column_keys, key_attributes, unknown
from andamios.queries.values import is_expression, whole_number
from andamios.repositories import reading, saving
from andamios.repositories.differing import Differing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.plans.inserting import Inserting

__all__ = [
    "Batches",
    "Kept",
    "Returning",
    "Rows",
    "insert_all",
    "insert_returning",
    "objects_of",
    "require_returning",
    "update_all",
]

T = TypeVar("T")
ByKey = dict[reading.Key, Mapping[str, Any]]

AT_ONCE = 10_000
"""Rows in one statement, where that takes no more memory."""

Rows = Iterable[Any] | AsyncIterable[Any]
"""Dicts by field name, or objects."""

Returning = Literal["keys", "entities"]

Kept = Literal["keys", "entities", "members"]


def require_returning(returning: object) -> None:
    """
    Refuse what cannot come back.

    Raises:
        QueryError: It is neither keys nor entities, nor None.
    """
    if returning not in {None, *get_args(Returning)}:
        raise QueryError(f"returning takes 'keys' or 'entities', not {returning!r:.40}.")


class Batches:
    """
    An iterable of rows, asynchronous or not, cut into lists; never holds more than one of them.

    Args:
        rows: The iterable.
        size: Rows in a list.

    Raises:
        DataError: It is no iterable of rows.
        QueryError: The size is no whole number from 1.
    """

    def __init__(self, rows: Rows, size: int) -> None:
        whole_number("batch", size, least=1)
        is_one_row = isinstance(rows, Mapping | str | bytes)
        if is_one_row or not isinstance(rows, Iterable | AsyncIterable):
            raise DataError(f"Rows are an iterable of dicts or objects, not {type(rows).__name__}.")
        self._rows = rows
        self._size = size

    def widened(self) -> Batches:
        """Give larger lists of rows that are in memory anyway."""
        if not isinstance(self._rows, list | tuple):
            return self
        return Batches(self._rows, max(self._size, AT_ONCE))

    async def __aiter__(self) -> AsyncIterator[list[Any]]:
        if isinstance(self._rows, AsyncIterable):
            batch: list[Any] = []
            async for row in self._rows:
                batch.append(row)
                if len(batch) == self._size:
                    yield batch
                    batch = []
            if batch:
                yield batch
            return
        remaining = iter(self._rows)
        while batch := list(islice(remaining, self._size)):
            yield batch


def objects_of(rows: Rows) -> list[Any]:
    """Give the objects among rows that are in memory anyway."""
    if not isinstance(rows, list | tuple) or {*map(type, rows)} == {dict}:
        return []
    return [*rows]


async def insert_all(
    session: AsyncSession,
    model: type[Any],
    parts: Batches,
    progress: Callable[[int], object] | None,
) -> int:
    """Insert rows and count them; nothing of them is kept."""
    count, inserting = 0, _inserting(session, model)
    if inserting is not None and progress is None:
        parts = parts.widened()
    async for batch in parts:
        await _insert_batch(session, model, batch, inserting)
        count += len(batch)
        if progress is not None:
            progress(count)
    return count


async def insert_returning(
    session: AsyncSession,
    model: type[Any],
    parts: Batches,
    progress: Callable[[int], object] | None,
    returning: Kept,
) -> list[Any]:
    """
    Insert rows and give what comes back, in their order.

    Args:
        session: Where to write.
        model: The mapped class.
        parts: The rows.
        progress: Called with the number of rows so far.
        returning: ``keys``, ``entities`` that belong to no session, or ``members`` of this one.
    """
    created: list[Any] = []
    inserting = _inserting(session, model)
    if inserting is not None and progress is None:
        parts = parts.widened()
    async for batch in parts:
        created += await _created(session, model, batch, inserting, returning)
        if progress is not None:
            progress(len(created))
    return created


def _inserting(session: AsyncSession, model: type[Any]) -> Inserting | None:
    return Copying.begin(session, model) or Numbering.begin(session, model)


async def _created(
    session: AsyncSession,
    model: type[Any],
    batch: list[Any],
    inserting: Inserting | None,
    returning: Kept,
) -> list[Any]:
    if inserting is not None:
        with suppress(UnplannableError):
            return await _inserted(inserting, model, batch, returning)
    _sorted_out(model, batch)
    entities = _as_entities(model, batch)
    await _store(session, entities, inserting)
    for entity in entities:
        await saving.settle(session, entity)
    return [*map(reading.key_of, entities)] if returning == "keys" else entities


async def _inserted(
    inserting: Inserting, model: type[Any], rows: list[Any], returning: Any
) -> list[Any]:
    """
    Insert dicts all at once.

    Raises:
        UnplannableError: SQLAlchemy has to do it, or rows are to be parted first.
    """
    if {*map(type, rows)} != {dict} or returning == "members" or _is_sql(rows):
        raise UnplannableError("rows are objects, or are to become some")
    if rules_of(model):
        rows = [checked_values(model, row) for row in rows]
    with suppress(UnplannableError):
        return await inserting.insert(rows, returning)
    if returning != "keys":
        raise UnplannableError("rows have different fields")
    return await inserting.insert(rows, returning, frozenset().union(*rows))


async def _insert_batch(
    session: AsyncSession, model: type[Any], batch: list[Any], inserting: Inserting | None
) -> None:
    if inserting is not None:
        with suppress(UnplannableError):
            await _inserted(inserting, model, batch, "nothing")
            return
    groups, entities = _sorted_out(model, batch)
    if has_hooks(model):  # which are an object's
        groups, entities = [], _as_entities(model, batch)
    for group in groups:
        if _is_sql(group):
            entities += _as_entities(model, group)
        else:
            await _insert(session, model, group, inserting)
    await _store(session, entities, inserting)


async def _insert(
    session: AsyncSession, model: type[Any], group: list[Any], inserting: Inserting | None
) -> None:
    """Insert dicts with the same fields."""
    rows = [checked_values(model, row) for row in group] if rules_of(model) else group
    if inserting is not None:
        with suppress(UnplannableError):
            await inserting.insert(rows)
            return
    await session.execute(sa.insert(model), rows, execution_options={"render_nulls": True})


def _is_sql(group: Sequence[Any]) -> bool:
    """Whether a row has expressions, which no driver can bind."""
    return any(map(is_expression, group[0].values()))


async def update_all(session: AsyncSession, model: type[Any], parts: Batches) -> int:
    """
    Store different values in many rows.

    Raises:
        NotFoundError: A row is missing.
        StaleVersionError: Somebody else changed a row first.
    """
    count = 0
    writer = Unnesting.begin(session, model) or Differing.begin(session, model)
    async for batch in parts:
        groups, entities = _sorted_out(model, batch)
        rows = _by_key(model, [row for group in groups for row in group])
        if writer is not None:
            rows = await _not_updated(session, model, rows, writer)
        stored = await _set_values(session, model, rows)
        stored += [await saving.attach(session, entity) for entity in entities]
        await saving.flush(session, model)
        for entity in stored:
            await saving.settle(session, entity)
        count += len(batch)
    return count


async def _not_updated(
    session: AsyncSession, model: type[Any], rows: ByKey, writer: Unnesting | Differing
) -> ByKey:
    """
    Update rows by what they differ in, and give those that were not reached.

    They are missing, or stale, or the session has objects of them; or equal already.
    """
    known = {identity[1] for identity in session.identity_map.keys()}  # noqa: SIM118  no dict
    free = {key: row for key, row in rows.items() if key not in known} if known else rows
    groups: Iterable[Sequence[Mapping[str, Any]]] = [[*free.values()]]
    if {*map(len, free.values())} != {len(next(iter(free.values()), ()))}:
        groups, _ = _sorted_out(model, [*free.values()])
    for group in groups:
        given = [checked_values(model, row) for row in group] if rules_of(model) else group
        with suppress(UnplannableError):
            reached = set(await writer.update(given)) if given else ()
            rows = {key: row for key, row in rows.items() if key not in reached}
    return rows


def _as_entities(model: type[T], batch: Sequence[Any]) -> list[T]:
    return [saving.made(model, row) if isinstance(row, Mapping) else row for row in batch]


async def _store(session: AsyncSession, entities: list[Any], inserting: Inserting | None) -> None:
    for entity in entities:
        saving.require_new(type(entity), entity)
        saving.require_reach(session, entity)
        saving.require_free_key(session, entity)
    if inserting is not None and entities:
        with suppress(UnplannableError):
            await inserting.store(entities)
            return
    session.add_all(entities)
    await session.flush()


def _sorted_out(
    model: type[Any], batch: Sequence[Any]
) -> tuple[list[list[Mapping[str, Any]]], list[Any]]:
    """Part dicts from objects, and dicts by their fields: a statement names its columns once."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    entities = []
    for row in batch:
        if type(row) is dict or isinstance(row, Mapping):
            groups.setdefault(tuple(row), []).append(row)
        else:
            saving.require_kind(model, row)
            entities.append(row)
    known = set(column_keys(model))
    for name in (name for fields in groups for name in fields):
        if name not in known:
            raise unknown("column", name, known, model)
    return list(groups.values()), entities


def _by_key(model: type[Any], dicts: list[Mapping[str, Any]]) -> ByKey:
    """Find the rows by their keys; of those with the same one, the last counts."""
    names = [attribute.key for attribute in key_attributes(model)]
    try:
        parts = [[row[name] for row in dicts] for name in names]
    except KeyError:
        message = f"A row for update_many names its key: {', '.join(names)}"
        raise QueryError(message) from None
    keys = [*zip(*parts, strict=True)]
    if len(names) == 1 and {*map(type, parts[0])} in ({int}, {uuid.UUID}):
        for key in (min(keys), max(keys)):  # and so are those between
            reading.checked_key(model, key)
        return dict(zip(keys, dicts, strict=True))
    return {reading.checked_key(model, key): row for key, row in zip(keys, dicts, strict=True)}


async def _set_values(session: AsyncSession, model: type[Any], rows: ByKey) -> list[Any]:
    if not rows:
        return []
    found = await reading.get_many(session, model, rows)
    if len(found) < len(rows):
        raise NotFoundError(f"{len(rows) - len(found)} rows of {model.__name__} are missing.")
    for entity, row in zip(found, rows.values(), strict=True):
        saving.set_values(entity, row)
    return found
