"""
Finding a row or making it, while others do the same.

Read; if there is nothing, insert inside a savepoint; if somebody else was faster, read again.
The second read must see what somebody else has just committed: MySQL shows that to locking
reads only; PostgreSQL and MariaDB, inside a snapshot, to nobody. The first read takes no lock:
on MySQL, two callers that lock the gap where a row is missing would wait for each other. On
MariaDB, where a plain read makes the snapshot, there is none if it can be helped. Whoever lost
on either keeps the gaps beside the row locked until his transaction ends.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import sqlalchemy as sa

from andamios.core.engine import AndamiosEngine
from andamios.core.guard import translating
from andamios.errors import DeadlockError, DuplicateError, QueryError, SerializationError
from andamios.queries.fields import column_keys, key_attributes, mapper_of
from andamios.queries.filters import expressions_of
from andamios.queries.savepoints import savepoint
from andamios.queries.scope import given_session, stands_alone
from andamios.queries.values import is_expression
from andamios.queries.writing import written_values
from andamios.repositories import saving
from andamios.repositories.unique_keys import UniqueKey, covered_keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.queries.scope import Bind

__all__ = [
    "MYSQL",
    "Wanted",
    "dialect_of",
    "find",
    "found_or_made",
    "get_or_create",
    "is_unread",
    "repeated",
    "update_or_create",
    "wanted",
]

T = TypeVar("T")
R = TypeVar("R")

MYSQL = {"mysql", "mariadb"}

TRIES = 10
"""How often a row may come and go under a caller before it is told so."""

PAUSE = 0.005
"""Seconds; about how long those who waited for each other wait before they try again."""

LOST_RACES = {1020, 1213, 3101, "40P01", "40001"}
"""Codes of deadlocks and collisions; a lock that never came free is not tried for again."""


@dataclass(frozen=True, slots=True)
class Wanted(Generic[T]):
    """The row that is looked for: what it equals, and the unique keys that are part of that."""

    model: type[T]
    values: dict[str, Any]
    keys: tuple[UniqueKey, ...]


def wanted(model: type[T], filters: Any, values: Mapping[Any, Any] | None) -> Wanted[T]:
    """
    Check what a row is looked for by.

    Args:
        model: The mapped class.
        filters: Equalities on columns, with a whole unique key among them.
        values: What the row gets besides.

    Raises:
        ConfigurationError: No unique key is among the filters.
        QueryError: A filter is no equality on a column, or a field is in both.
    """
    for name in filters:
        key = name if isinstance(name, str) else getattr(name, "key", None)
        if key not in column_keys(model) or is_expression(filters[name]):
            raise QueryError(
                f"{name} is no equality on a column of {model.__name__}, and a new row could not "
                "be made from it. Filters here are column=value; other values belong in the second "
                "argument, and other conditions in find_one() or lock()."
            )
    found = written_values(model, filters)
    both = found.keys() & {v if isinstance(v, str) else getattr(v, "key", v) for v in values or ()}
    if both:
        raise QueryError(
            f"{', '.join(sorted(both))}: both looked for and set. To rename a row use update()."
        )
    return Wanted(model, found, tuple(covered_keys(model, found)))


async def find(
    session: AsyncSession, sought: Wanted[T], *, lock: bool = False, share: bool = False
) -> T | None:
    """
    Read the row, or None.

    Args:
        session: Where to read.
        sought: Which row.
        lock: Read it as it is now and lock it.
        share: Let others lock it like this too.
    """
    statement = sa.select(sought.model).where(*expressions_of(sought.model, sought.values))
    if lock:
        statement = statement.with_for_update(read=share, of=sought.model)
    options = {"populate_existing": True} if lock else {}
    result = await session.execute(statement, execution_options=options)
    return result.scalars().unique().first()


async def found_or_made(
    session: AsyncSession,
    sought: Wanted[T],
    make: Callable[[], Awaitable[T]],
    *,
    exclusive: bool,
    reads_first: bool = True,
) -> tuple[T, bool]:
    """
    Give the row, and whether it was made here.

    Args:
        session: Where to work.
        sought: Which row.
        make: Inserts it; runs inside a savepoint, maybe more than once.
        exclusive: Whether a row that was there comes locked and as it is now.
        reads_first: Whether the row may be there already.

    Raises:
        DuplicateError: Another row is in the way.
        SerializationError: The row is there, but not in the snapshot of this transaction.
    """
    share = not exclusive
    # PostgreSQL and SQLite show the row to a plain read as well.
    lock = exclusive or dialect_of(session, sought.model) in MYSQL
    found: T | None = None
    if reads_first:
        found = await _first_look(session, sought, exclusive=exclusive)
    refusal: DuplicateError | None = None
    for _ in range(TRIES):
        if found is not None:
            return found, False
        if refusal is not None:
            await _require_hope(session, sought, refusal)
        try:
            with translating():
                async with savepoint(session):
                    return await make(), True
        except DuplicateError as error:
            refusal = error
        found = await find(session, sought, lock=lock, share=share)
    if found is None and refusal is not None:
        raise refusal
    assert found is not None
    return found, False


async def get_or_create(
    session: AsyncSession, sought: Wanted[T], defaults: Mapping[str, Any], *, reads_first: bool
) -> tuple[T, bool]:
    """Give the object, or store it with these values besides."""
    values = {**sought.values, **defaults}

    async def make() -> T:
        return await _create(session, sought.model, values)

    return await found_or_made(session, sought, make, exclusive=False, reads_first=reads_first)


def is_unread(bind: Bind, model: type[Any]) -> bool:
    """
    Whether a plain read would make a snapshot that an insert could collide with.

    MariaDB makes one at the first read of a transaction (``innodb_snapshot_isolation``), and
    refuses everything that touches a row that was changed since.
    """
    if isinstance(bind, AndamiosEngine):
        return False
    session = given_session(bind)
    return dialect_of(session, model) == "mariadb" and not session.in_transaction()


async def update_or_create(
    session: AsyncSession, sought: Wanted[T], values: Mapping[str, Any]
) -> tuple[T, bool]:
    """
    Set these values on the object, or store it with them.

    Raises:
        StaleVersionError: A version among them is not that of the row.
    """
    version = saving.version_key(sought.model)

    async def make() -> T:
        if version is not None and version in values:
            raise saving.gone(sought.model, values[version])
        return await _create(session, sought.model, {**sought.values, **values})

    found, is_new = await found_or_made(session, sought, make, exclusive=True)
    if not is_new:
        saving.set_values(found, values)
        await saving.flush(session, sought.model)
        await saving.settle(session, found)
    return found, is_new


async def _create(session: AsyncSession, model: type[T], values: Mapping[str, Any]) -> T:
    return await saving.create(session, saving.made(model, values))


async def _first_look(session: AsyncSession, sought: Wanted[T], *, exclusive: bool) -> T | None:
    if exclusive and dialect_of(session, sought.model) == "mariadb":
        return await find(session, sought, lock=True)
    found = await find(session, sought)
    if found is not None and exclusive:
        found = await find(session, sought, lock=True)
    return found


async def repeated(bind: Bind, call: Callable[[], Awaitable[R]]) -> R:
    """
    Call again what lost against others and stands alone, so that nothing else was lost with it.

    Args:
        bind: Where the caller works; in a transaction of his own he must repeat all of it.
        call: Works in a transaction of its own each time, if it stands alone.
    """
    for attempt in range(TRIES if stands_alone(bind) else 0):
        try:
            return await call()
        except (DeadlockError, SerializationError) as error:
            if error.code not in LOST_RACES:
                raise
        await asyncio.sleep(random.uniform(0, PAUSE * 2**attempt))  # noqa: S311  no secret
    return await call()


def dialect_of(session: AsyncSession, model: type[Any]) -> str:
    """Give the name of the backend that a model's rows are on."""
    return session.get_bind(mapper_of(model)).dialect.name


async def _require_hope(
    session: AsyncSession, sought: Wanted[Any], refusal: DuplicateError
) -> None:
    """Raise, if another try would be refused for the same reason."""
    columns = set(refusal.columns or ())
    keys = [key for key in sought.keys if {column.name for column in key.columns} <= columns]
    if columns and not keys:
        raise refusal  # on a key that says nothing about the row that is looked for
    for key in keys or sought.keys:
        values = {name: sought.values[name] for name in key.fields}
        statement = sa.select(key_attributes(sought.model)[0]).where(
            *expressions_of(sought.model, values)
        )
        if dialect_of(session, sought.model) in MYSQL:
            statement = statement.with_for_update(read=True)
        options = {"include_deleted": True}
        if (await session.execute(statement, execution_options=options)).first() is not None:
            raise refusal  # by a row that is softly deleted, or differs in another value
    if await _has_snapshot(session, sought.model):
        raise SerializationError(
            f"Somebody else has made this {sought.model.__name__}, and this transaction cannot see "
            "it: it reads a snapshot that is older. Run the transaction again.",
            code="40001",
        ) from refusal


async def _has_snapshot(session: AsyncSession, model: type[Any]) -> bool:
    if dialect_of(session, model) != "postgresql":
        return False
    level = await session.scalar(sa.select(sa.func.current_setting("transaction_isolation")))
    return level in {"repeatable read", "serializable"}
