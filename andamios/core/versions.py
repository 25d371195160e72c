"""
Who lost the race: finding expected and actual version when a versioned row was not matched.

SQLAlchemy only says that a number of rows did not match. The versions are noted before
each flush, and read again on another connection afterwards, since the flush has rolled
this one back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy.ext.asyncio as sa_asyncio
import sqlalchemy.orm as sa_orm
from sqlalchemy import and_, event, inspect, select

from andamios.errors import StaleVersionError

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper, Session

__all__ = ["VersionedRow", "stale_error", "version_of", "watch_versions"]

NOTED = "andamios_versions"


@dataclass(frozen=True, slots=True)
class VersionedRow:
    """A row that is about to be written: where it is, and which version was read."""

    mapper: Mapper[Any]
    identity: tuple[Any, ...]
    expected: Any


def watch_versions(session_class: type[Session]) -> None:
    """Note the versions that each flush of these sessions relies on."""

    @event.listens_for(session_class, "before_flush")
    def note(session: Session, _context: Any, _instances: Any) -> None:
        written = [*session.dirty, *session.deleted]
        session.info[NOTED] = [row for row in map(version_of, written) if row is not None]


def version_of(entity: object) -> VersionedRow | None:
    """Give the version with which an entity was read, or None if it has none."""
    state: sa_orm.InstanceState[Any] = inspect(entity)
    column = state.mapper.version_id_col
    if column is None or state.identity is None:
        return None
    key = state.mapper.get_property_by_column(column).key
    history = state.attrs[key].history
    expected = (history.deleted or history.unchanged or [None])[0]
    return VersionedRow(state.mapper, tuple(state.identity), expected)


async def stale_error(session: sa_asyncio.AsyncSession, error: Exception) -> StaleVersionError:
    """Build the error, with the version that the row has now."""
    for row in session.info.get(NOTED, ()):
        actual = await _read_version(session, row)
        if actual != row.expected:
            return _build(row, actual)
    return StaleVersionError(f"A row changed or went away since it was read: {error}")


async def _read_version(session: sa_asyncio.AsyncSession, row: VersionedRow) -> Any:
    mapper = row.mapper
    keys = and_(*(c == v for c, v in zip(mapper.primary_key, row.identity, strict=True)))
    column: Any = mapper.version_id_col
    statement = select(column).where(keys)
    bind = session.get_async_bind(mapper)
    if isinstance(bind, sa_asyncio.AsyncConnection):
        return await bind.scalar(statement)
    async with bind.execution_options(andamios_read_only=True).connect() as connection:
        return await connection.scalar(statement)


def _build(row: VersionedRow, actual: Any) -> StaleVersionError:
    name = f"{row.mapper.class_.__name__} {', '.join(map(str, row.identity))}"
    what = (
        f"{name} is gone"
        if actual is None
        else f"{name} has version {actual}; version {row.expected} was read"
    )
    return StaleVersionError(
        f"{what}. Read it again and repeat the change.", expected=row.expected, actual=actual
    )
