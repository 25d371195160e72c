"""
Who lost the race: finding expected and actual version when a versioned row was not matched.

SQLAlchemy only says that a number of rows did not match. The versions are noted before
each flush, and read again after it was rolled back.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy.ext.asyncio as sa_asyncio
import sqlalchemy.orm as sa_orm
from sqlalchemy import Engine, and_, event, inspect, select
from sqlalchemy import exc as sa_exc

from andamios.errors import AndamiosError, StaleVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
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
    rows: list[VersionedRow] = session.info.get(NOTED, [])
    # SQLAlchemy's own, since ours would not let this be part of the call that failed.
    run = sa_asyncio.AsyncSession.run_sync
    try:
        found = await run(session, _find_overtaken, rows)
    except (AndamiosError, sa_exc.SQLAlchemyError):
        found = None  # whoever changed the row still holds it, or the connection broke
    return found or StaleVersionError(f"A row changed or went away since it was read: {error}")


def _find_overtaken(session: Session, rows: list[VersionedRow]) -> StaleVersionError | None:
    with _rolled_back_connection(session) as connection:
        for row in rows:
            actual = _read_version(connection, row)
            if actual != row.expected:
                return _build(row, actual)
    return None


@contextmanager
def _rolled_back_connection(session: Session) -> Iterator[Connection]:
    """
    Give a connection to read on: the session's own, which waits for nobody.

    Inside a savepoint, or in a transaction that somebody else began, a savepoint of its
    own protects that transaction.
    """
    transaction = session.get_nested_transaction() or session.get_transaction()
    held = next(iter(transaction.connections), None) if transaction else None
    bind = held or session.get_bind()
    connection = bind.connect() if isinstance(bind, Engine) else bind
    options = connection.get_execution_options()
    try:
        if connection.in_transaction():
            with connection.begin_nested():
                yield connection
        else:
            connection.execution_options(andamios_read_only=True)
            yield connection
            connection.rollback()
    finally:
        connection.execution_options(andamios_read_only=options.get("andamios_read_only", False))
        if connection is not held and isinstance(bind, Engine):
            connection.close()


def _read_version(connection: Connection, row: VersionedRow) -> Any:
    mapper = row.mapper
    keys = and_(*(c == v for c, v in zip(mapper.primary_key, row.identity, strict=True)))
    column: Any = mapper.version_id_col
    statement = select(column).where(keys)
    if connection.in_nested_transaction():
        # MySQL would read the version that this transaction has seen before.
        statement = statement.with_for_update(read=True, nowait=True)
    return connection.scalar(statement)


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
