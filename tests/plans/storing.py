"""
Storing an object on its own, and showing what came of it.

Each gives what it wrote, the same read back by a session, and whatever a caller still holds: an
object whose write was refused is looked at too.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa

from andamios import AndamiosEngine, GenericRepository
from tests.plans.cases import Ask
from tests.plans.portraits import portrait

__all__ = ["created", "deleted", "read_again", "setting", "tried", "updated"]

Make = Callable[[], Any]
Change = Callable[[Any], Any]


def repository_of(engine: AndamiosEngine, entity: Any) -> GenericRepository[Any]:
    return GenericRepository[type(entity)](engine)  # type: ignore[misc]


async def read_again(engine: AndamiosEngine, entity: Any) -> Any:
    """Read an object again, through a session, with SQLAlchemy's own query."""
    model = type(entity)
    key = sa.inspect(entity).identity
    async with engine.session(read_only=True) as session:
        found = await session.get(model, key, execution_options={"include_deleted": True})
        return portrait(found)


async def tried(work: Awaitable[Any], *kept: Any) -> Any:
    """Wait for something, and show what it gave or raised, and what is left of some objects."""
    try:
        given = await work
    except Exception as error:  # noqa: BLE001  that is what is compared
        given = error
    return [given, *kept]


def created(make: Make) -> Ask:
    async def ask(engine: AndamiosEngine) -> Any:
        entity = make()
        shown = await tried(repository_of(engine, entity).create(entity), entity)
        if isinstance(shown[0], Exception):
            return shown
        return [*shown, shown[0] is entity, await read_again(engine, entity)]

    return ask


def updated(make: Make, change: Change, *, from_read: bool = True) -> Ask:
    """Store something by a session, read it as the engine does, change it and store that."""

    async def ask(engine: AndamiosEngine) -> Any:
        entity = make()
        async with engine.session() as session:
            session.add(entity)
        model, key = type(entity), sa.inspect(entity).identity
        repository = repository_of(engine, entity)
        if from_read:
            entity = await repository.get_one(key[0] if len(key) == 1 else tuple(key))
        entity = change(entity) or entity
        shown = await tried(repository.update(entity), entity)
        async with engine.session(read_only=True) as session:
            row = await session.get(model, key, execution_options={"include_deleted": True})
            shown += [portrait(row), shown[0] is entity]
        return shown

    return ask


def setting(**values: Any) -> Change:
    def change(entity: Any) -> None:
        for name, value in values.items():
            setattr(entity, name, value)

    return change


def deleted(make: Make, key: Callable[[Any], Any] | None = None) -> Ask:
    async def ask(engine: AndamiosEngine) -> Any:
        entity = make()
        async with engine.session() as session:
            session.add(entity)
        identity = tuple(sa.inspect(entity).identity)
        given = identity[0] if len(identity) == 1 else identity
        given = key(given) if key is not None else given
        repository = repository_of(engine, entity)
        first = await tried(repository.delete(given))
        return [*first, *await tried(repository.delete(given)), await read_again(engine, entity)]

    return ask
