"""Savepoints: a part of a transaction that may fail alone."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self

from sqlalchemy.exc import SQLAlchemyError

from andamios.core.guard import translating
from andamios.errors import AndamiosError, TransactionError

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

__all__ = ["SavepointContext"]


class SavepointContext:
    """
    A savepoint, which ``await`` or ``async with`` begins, whichever comes first.

    At the end of the block it is released, and what was done in it belongs to the
    transaction. An error rolls back to its beginning and goes on its way, with a note
    that names the savepoint. Objects that were changed in the block are read again when
    they are next loaded.

    The name is for people. The database sees names that SQLAlchemy makes, so that a name
    may be anything, and be used twice.

    Args:
        name: What an error's note calls it.
        session: The session whose transaction it is a part of.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> from andamios.resilience import TransactionManager
        >>> async def main() -> int:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         manager = TransactionManager(engine)
        ...         async with engine.session() as session:
        ...             await session.execute(text("CREATE TABLE seen (name TEXT)"))
        ...             async with manager.savepoint("try") as savepoint:
        ...                 await session.execute(text("INSERT INTO seen VALUES ('x')"))
        ...                 await savepoint.rollback()
        ...             return await session.scalar(text("SELECT count(*) FROM seen"))
        >>> andamios.run(main())
        0
    """

    def __init__(self, name: str, session: AsyncSession) -> None:
        self.name = name
        self._session = session
        self._nested: AsyncSessionTransaction | None = None
        self._has_begun = False

    @property
    def is_active(self) -> bool:
        """Whether it was begun, and neither released nor rolled back."""
        return self._nested is not None

    async def rollback(self) -> None:
        """
        Undo everything since the savepoint began, which also ends it.

        Raises:
            TransactionError: It has not begun, or has ended.
        """
        with translating():
            await self._active("rolled back").rollback()
        self._nested = None

    async def release(self) -> None:
        """
        Make what was done a part of the transaction, which also ends the savepoint.

        Raises:
            TransactionError: It has not begun, or has ended.
        """
        with translating():
            await self._active("released").commit()
        self._nested = None

    def __await__(self) -> Generator[object, None, Self]:
        return self._begin().__await__()

    async def __aenter__(self) -> Self:
        return await self._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            await self._undo(error)
        elif self.is_active:
            try:
                await self.release()
            except BaseException as refused:
                await self._undo(refused)
                raise

    async def _begin(self) -> Self:
        if not self._has_begun:
            self._has_begun = True
            with translating():
                self._nested = await self._session.begin_nested()
        return self

    def _active(self, what: str) -> AsyncSessionTransaction:
        if self._nested is None:
            raise TransactionError(
                f"Savepoint {self.name!r} cannot be {what}: it has "
                + ("ended already." if self._has_begun else "not begun.")
            )
        return self._nested

    async def _undo(self, error: BaseException) -> None:
        if not self.is_active or not self._session.in_nested_transaction():
            return
        error.add_note(f"Rolled back to savepoint {self.name!r}.")
        try:
            await self.rollback()
        except (AndamiosError, SQLAlchemyError):
            # A deadlock on MySQL, or a lost connection, took the whole transaction along.
            # Nothing more may be written as if what came before were still there.
            with suppress(AndamiosError, SQLAlchemyError):
                await (await self._session.connection()).invalidate()
