"""Deleting one object, for good or softly, and bringing it back, inside a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from andamios.errors import ConfigurationError, ForeignKeyError, NotNullError
from andamios.models.cascading import restored, soft_cascades
from andamios.models.soft_delete import hard_delete, is_soft_delete
from andamios.repositories.reading import get

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.repositories.reading import Key

__all__ = ["delete", "remove", "restore"]


async def delete(session: AsyncSession, model: type[Any], key: Key) -> bool:
    """Delete the object with a key, as its model wants it, and say whether there was one."""
    entity = await get(session, model, key, lock=True)
    if entity is None:
        return False
    await session.delete(entity)
    await _flush(session, model)
    return True


async def remove(session: AsyncSession, model: type[Any], key: Key) -> bool:
    """Delete the object with a key for good, even if it is softly deleted already."""
    entity = await get(session, model, key, lock=True, include_deleted=True)
    if entity is None:
        return False
    await hard_delete(session, entity)
    await _flush(session, model)
    return True


async def restore(session: AsyncSession, model: type[Any], key: Key) -> bool:
    """
    Bring back a softly deleted object with what was deleted along with it.

    Returns:
        Whether there was one.

    Raises:
        ConfigurationError: The model's rows are not softly deleted.
    """
    if not is_soft_delete(model):
        raise ConfigurationError(
            f"{model.__name__} is no SoftDeleteModel: what is deleted is gone."
        )
    entity = await get(session, model, key, lock=True, include_deleted=True)
    if entity is None or entity.deleted_at is None:
        return False
    found = await session.run_sync(restored, entity)
    await session.flush()
    for each in found:
        loaded = [item.key for item in soft_cascades(inspect(each).mapper)]
        names = [name for name in loaded if name in each.__dict__]
        if names:
            await session.refresh(each, names)
    return True


async def _flush(session: AsyncSession, model: type[Any]) -> None:
    """
    Write a deletion.

    Raises:
        ForeignKeyError: Rows that cannot be without it refer to it. SQLAlchemy sets the
            keys of children to NULL first, and a set-based DELETE does not; the mistake is
            the same, and so is its error.
    """
    try:
        await session.flush()
    except NotNullError as error:
        raise ForeignKeyError(
            f"Rows of {error.table} still refer to this {model.__name__}. Delete them first, or "
            'say cascade="all, delete-orphan" at the relationship.',
            constraint=_constraint_of(model, error),
            columns=error.columns,
            table=error.table,
            statement=error.statement,
            code=error.code,
        ) from error


def _constraint_of(model: type[Any], error: NotNullError) -> str | None:
    tables = inspect(model).registry.metadata.tables.values()
    for table in (each for each in tables if each.name == error.table):
        for constraint in table.foreign_key_constraints:
            if tuple(constraint.column_keys) == error.columns:
                return str(constraint.name) if constraint.name else None
    return None
