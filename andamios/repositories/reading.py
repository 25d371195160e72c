"""Reading objects by their keys, inside a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from andamios.errors import DataError
from andamios.models.soft_delete import is_soft_delete
from andamios.queries.fields import key_attributes, key_condition
from andamios.queries.short import ShortReader
from andamios.queries.spec import QuerySpec
from andamios.queries.values import checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm.interfaces import ORMOption

__all__ = ["Key", "checked_key", "get", "get_many", "key_of"]

T = TypeVar("T")
Key = tuple[Any, ...]

KEYS_AT_ONCE = 10_000
"""Keys in one statement; servers take 32,767 parameters."""


def checked_key(model: type[Any], id: Any) -> Key:  # noqa: A002
    """
    Check a key and give it as a tuple.

    Raises:
        DataError: It has not as many parts as the model's key, or one of the wrong type.
    """
    attributes = key_attributes(model)
    parts = tuple(id) if isinstance(id, tuple | list) else (id,)
    if len(parts) != len(attributes):
        names = ", ".join(attribute.key for attribute in attributes)
        raise DataError(f"The key of {model.__name__} is ({names}), and {len(parts)} were given")
    if None in parts:
        raise DataError(f"The key of {model.__name__} cannot be None")
    return tuple(checked(*pair) for pair in zip(attributes, parts, strict=True))


def key_of(entity: object) -> Any:
    """Give the key of a stored object: a value, or a tuple if it has several parts."""
    key = sa.inspect(entity, raiseerr=True).identity
    return key[0] if len(key) == 1 else tuple(key)


async def get(
    session: AsyncSession,
    model: type[T],
    key: Key,
    *,
    lock: bool = False,
    include_deleted: bool = False,
) -> T | None:
    """
    Give the object with a key, or None.

    Args:
        session: Where to read.
        model: The mapped class.
        key: All parts of the key.
        lock: Read the row as it is now and lock it.
        include_deleted: See it even if it is softly deleted.
    """
    options = {"include_deleted": True} if include_deleted else {}
    found = await session.get(
        model,
        key,
        # Naming the table leaves rows alone that are joined to it.
        with_for_update={"of": model} if lock else None,
        execution_options=options,
    )
    # The session's own memory knows nothing of soft deletion.
    if found is not None and not include_deleted and is_soft_delete(model):
        return None if getattr(found, "deleted_at", None) is not None else found
    return found


async def get_many(
    source: AsyncSession | ShortReader,
    model: type[T],
    keys: Iterable[Key],
    options: Sequence[ORMOption] = (),
) -> list[T]:
    """
    Give the objects with these keys, in this order; keys without a row are left out.

    Args:
        source: Where to read; the short way loads nothing along.
        model: The mapped class.
        keys: All parts of each key.
        options: What is loaded along.
    """
    wanted = list(dict.fromkeys(keys))
    names = [attribute.key for attribute in key_attributes(model)]
    found: dict[Key, T] = {}
    for start in range(0, len(wanted), KEYS_AT_ONCE):
        condition = key_condition(model, wanted[start : start + KEYS_AT_ONCE])
        if isinstance(source, ShortReader):
            entities = await source.results(QuerySpec(model, where=(condition,)))
        else:
            result = await source.execute(sa.select(model).where(condition).options(*options))
            entities = list(result.scalars().unique())
        for entity in entities:
            found[tuple(getattr(entity, name) for name in names)] = entity
    return [found[key] for key in wanted if key in found]
