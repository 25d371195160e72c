"""Storing objects one by one, inside a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
import sqlalchemy.orm as sa_orm
from sqlalchemy.orm.exc import StaleDataError

from andamios.core.constraints import ConstraintFacts, complete
from andamios.errors import DataError, DuplicateError, NotFoundError, QueryError, StaleVersionError
from andamios.models.history import refuse_past
from andamios.models.soft_delete import is_soft_delete
from andamios.queries.fields import column_keys, key_attributes, mapper_of
from andamios.repositories.reading import checked_key, get

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

__all__ = [
    "attach",
    "create",
    "flush",
    "gone",
    "made",
    "require_free_key",
    "require_kind",
    "require_new",
    "require_reach",
    "row_defaults",
    "set_values",
    "settle",
    "update",
    "version_key",
]

T = TypeVar("T")


def require_kind(model: type[Any], entity: object) -> None:
    """
    Refuse an object of another model.

    Raises:
        DataError: It is one.
        QueryError: It is one that was: see ``as_of``.
    """
    if not isinstance(entity, model):
        raise DataError(f"This repository stores {model.__name__}, not {type(entity).__name__}")
    refuse_past(entity)


def require_new(model: type[Any], entity: object) -> None:
    """
    Refuse an object that was stored before.

    Raises:
        DataError: It belongs to another model.
        QueryError: It has a row already.
    """
    require_kind(model, entity)
    if sa.inspect(entity, raiseerr=True).has_identity:
        raise QueryError(
            f"This {model.__name__} has a row already; create() takes new objects, and update() "
            "stores changes."
        )


def require_reach(session: AsyncSession, entity: object) -> None:
    """
    Refuse an object that another session holds.

    Raises:
        QueryError: One does.
    """
    owner = sa.inspect(entity, raiseerr=True).session
    if owner is not None and owner is not session.sync_session:
        raise QueryError(
            f"This {type(entity).__name__} belongs to another session. Bind the repository to that "
            "session, or let the object go first: session.expunge(entity)."
        )


def require_free_key(session: AsyncSession, entity: object) -> None:
    """
    Refuse a new object with the key of one that the session has.

    SQLAlchemy would forget the old one when it stores the new one.

    Raises:
        DuplicateError: As the database would.
    """
    mapper = mapper_of(type(entity))
    known = session.identity_map.get(mapper.identity_key_from_instance(entity))
    if known is None or known is entity or known in session.deleted:
        return
    table = mapper.local_table
    facts = ConstraintFacts(columns=tuple(column.name for column in mapper.primary_key))
    facts = complete(facts, table, is_key=True) if isinstance(table, sa.Table) else facts
    raise DuplicateError(
        f"A row with this value exists already ({facts})",
        constraint=facts.constraint,
        columns=facts.columns,
        table=facts.table,
    )


def made(model: type[T], values: Mapping[str, Any]) -> T:
    """Build an object; of a dataclass also with what its constructor does not take."""
    fields = getattr(model, "__dataclass_fields__", {})
    late = {name for name in values if name in fields and not fields[name].init}
    entity = model(**{name: values[name] for name in values if name not in late})
    for name in late:
        setattr(entity, name, values[name])
    return entity


async def create(session: AsyncSession, entity: T) -> T:
    """Store a new object and read what the database filled in."""
    require_reach(session, entity)
    require_free_key(session, entity)
    session.add(entity)
    await session.flush()
    await settle(session, entity)
    return entity


async def update(session: AsyncSession, entity: T) -> T:
    """
    Store the changes of an object.

    Raises:
        NotFoundError: There is no such row.
        StaleVersionError: Somebody else changed the row first.
    """
    stored = await attach(session, entity)
    await flush(session, type(entity))
    await settle(session, stored)
    return stored


async def flush(session: AsyncSession, model: type[Any]) -> None:
    """
    Write what waits in the session.

    Raises:
        NotFoundError: A row of a model without versions is gone.
        StaleVersionError: Somebody else changed the row of one with versions first.
    """
    try:
        await session.flush()
    except (StaleDataError, StaleVersionError) as error:
        if mapper_of(model).version_id_col is not None:
            raise
        raise NotFoundError(f"A {model.__name__} that was to be updated is gone.") from error


async def attach(session: AsyncSession, entity: T) -> T:
    """
    Bring an object into the session, with its changes waiting to be flushed.

    Returns:
        The session's object for that row: the same one, unless the session has one already.

    Raises:
        NotFoundError: It was deleted, for good or softly.
    """
    state: Any = sa.inspect(entity)
    require_reach(session, entity)
    if state.was_deleted or (entity in session and _is_softly_deleted(entity)):
        raise _missing(type(entity), state.identity)
    if state.key is not None:
        _require_same_version(entity)
    if entity in session:
        return entity
    if state.key is None:
        return await _apply_new(session, entity)
    known = session.identity_map.get(state.key)
    if known is not None:
        return await _apply_changes(session, entity, known)
    if not session.is_modified(entity) or is_soft_delete(type(entity)):
        await _require_row(session, entity)
    session.add(entity)
    return entity


def set_values(stored: object, values: Mapping[str, Any]) -> None:
    """
    Set values on a stored object; a version among them is compared.

    Raises:
        StaleVersionError: The object has another version.
    """
    version = version_key(type(stored))
    for name, value in values.items():
        if name == version:
            _compare_versions(stored, value, getattr(stored, name))
    for name in values.keys() - {version}:
        setattr(stored, name, values[name])


async def settle(session: AsyncSession, entity: object) -> None:
    """Read what the database filled in, which could not be waited for later."""
    state: Any = sa.inspect(entity)
    filled = state.expired_attributes & set(state.mapper.column_attrs.keys())
    if filled:
        await session.refresh(entity, filled)


def _is_softly_deleted(entity: object) -> bool:
    """Say whether the row was deleted; an object that is about to be is not yet."""
    if not is_soft_delete(type(entity)):
        return False
    history = sa.inspect(entity, raiseerr=True).attrs["deleted_at"].history
    return any(value is not None for value in history.deleted or history.unchanged)


def _missing(model: type[Any], key: Any) -> NotFoundError:
    shown = ", ".join(map(str, key or ()))
    return NotFoundError(f"There is no {model.__name__} with the key {shown}.")


async def _require_row(session: AsyncSession, entity: object) -> None:
    state: Any = sa.inspect(entity)
    attributes = key_attributes(type(entity))
    pairs = zip(attributes, state.identity, strict=True)
    statement = sa.select(attributes[0]).where(*(left == right for left, right in pairs))
    if (await session.execute(statement)).first() is None:
        raise _missing(type(entity), state.identity)


async def _apply_new(session: AsyncSession, entity: T) -> T:
    """Set what a new object holds in the row that has its key."""
    model = type(entity)
    state: Any = sa.inspect(entity)
    names = [attribute.key for attribute in key_attributes(model)]
    key = checked_key(model, tuple(state.dict.get(name) for name in names))
    stored = await get(session, model, key)
    if stored is None:
        raise _missing(model, key)
    set_values(
        stored, {name: state.dict[name] for name in column_keys(model) if name in state.dict}
    )
    return stored


async def _apply_changes(session: AsyncSession, entity: T, stored: T) -> T:
    """Set what was changed on a detached object on the session's object for the same row."""
    state: Any = sa.inspect(entity)
    version = version_key(type(entity))
    if version is not None and version in state.dict:
        _compare_versions(stored, state.dict[version], getattr(stored, version))
    for name in state.mapper.attrs.keys():  # noqa: SIM118  no dict
        if state.attrs[name].history.has_changes():
            setattr(stored, name, await _in_session(session, state.dict[name]))
    return stored


async def _in_session(session: AsyncSession, value: Any) -> Any:
    if isinstance(value, list):
        return [await _in_session(session, item) for item in value]
    is_entity = isinstance(sa.inspect(value, raiseerr=False), sa_orm.InstanceState)
    return await session.merge(value) if is_entity else value


def _require_same_version(entity: object) -> None:
    """A version that was set by hand is the one that somebody read."""
    version = version_key(type(entity))
    if version is None:
        return
    history = sa.inspect(entity, raiseerr=True).attrs[version].history
    if history.added and history.deleted:
        _compare_versions(entity, history.added[0], history.deleted[0])


def version_key(model: type[Any]) -> str | None:
    """Give the name of the field that is the version, if there is one."""
    mapper = mapper_of(model)
    column = mapper.version_id_col
    return None if column is None else mapper.get_property_by_column(column).key


def _compare_versions(entity: object, expected: Any, actual: Any) -> None:
    if expected != actual:
        raise StaleVersionError(
            f"{type(entity).__name__} has version {actual}; version {expected} was read. Read it "
            "again and repeat the change.",
            expected=expected,
            actual=actual,
        )


def row_defaults(model: type[Any]) -> dict[str, Any]:
    """Give what SQLAlchemy itself sets in a new object: the first version, and its class."""
    mapper = mapper_of(model)
    found: dict[str, Any] = {}
    version, generate = version_key(model), mapper.version_id_generator
    if version is not None and callable(generate):
        found[version] = generate(None)
    if mapper.polymorphic_on is not None and mapper.polymorphic_identity is not None:
        found[mapper.get_property_by_column(mapper.polymorphic_on).key] = (
            mapper.polymorphic_identity
        )
    return found


def gone(model: type[Any], version: Any) -> StaleVersionError:
    """Build the error for a version that was read of a row that is no longer there."""
    return StaleVersionError(
        f"This {model.__name__} is gone; version {version} was read.", expected=version
    )
