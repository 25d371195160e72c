"""Sessions: SQLAlchemy's, with translated errors, one task at a time, and never left open."""

from __future__ import annotations

import asyncio
import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy.ext.asyncio as sa_asyncio
import sqlalchemy.orm as sa_orm
from sqlalchemy.engine import URL
from sqlalchemy.orm.exc import StaleDataError

from andamios.core import current
from andamios.core.closing import finish
from andamios.core.factory import create_engine
from andamios.core.guard import translating
from andamios.core.lazy import refuse_lazy_loads
from andamios.core.urls import make_url
from andamios.core.versions import stale_error, watch_versions
from andamios.core.visibility import includes_deleted, is_hidden, refuse_hidden
from andamios.errors import NotFoundError, SessionTaskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from andamios.core.engine import AndamiosEngine

__all__ = ["AsyncSession", "Session", "SessionManager", "engine_of", "in_use"]


class Session(sa_orm.Session):
    """
    The synchronous session inside an :class:`AsyncSession`.

    A class of its own, so that what the models layer listens to happens in Andamios'
    sessions and in nobody else's.
    """

    def get(self, entity: Any, ident: Any, **options: Any) -> Any:
        """Give the object with a key, unless it is hidden (:mod:`andamios.core.visibility`)."""
        found = super().get(entity, ident, **options)
        if found is None or not is_hidden(found):
            return found
        return found if includes_deleted(options.get("execution_options")) else None

    def get_one(self, entity: Any, ident: Any, **options: Any) -> Any:
        """
        Give the object with a key.

        Raises:
            NotFoundError: There is none.
        """
        found = self.get(entity, ident, **options)
        if found is None:
            name = getattr(entity, "__name__", "row")
            raise NotFoundError(f"There is no {name} with the key {ident}.")
        return found

    def merge(self, instance: Any, **options: Any) -> Any:
        """Merge an object, unless its row is hidden."""
        if options.get("load", True):
            refuse_hidden(self, instance)
        return super().merge(instance, **options)

    def merge_all(self, instances: Any, **options: Any) -> Any:
        """Merge objects, unless a row is hidden."""
        return [self.merge(instance, **options) for instance in instances]


watch_versions(Session)
refuse_lazy_loads(Session)


class AsyncSession(sa_asyncio.AsyncSession):
    """
    SQLAlchemy's ``AsyncSession``, which can also be opened from an engine of ours or a URL.

    Loaded objects stay readable after a commit. Errors are Andamios'. Two tasks that use
    it at the same moment get a :class:`SessionTaskError` that says so.

    Args:
        bind: An :class:`AndamiosEngine`, a database URL, or anything that SQLAlchemy's
            session binds to. From a URL, the session owns an engine and closes it.
        options: Anything that SQLAlchemy's ``AsyncSession`` takes.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> async def main() -> int:
        ...     async with andamios.AsyncSession("sqlite://") as session:
        ...         return await session.scalar(text("SELECT 42"))
        >>> andamios.run(main())
        42
    """

    sync_session_class = Session

    def __init__(self, bind: Any = None, **options: Any) -> None:
        self._user: asyncio.Task[Any] | None = None
        self._idle: asyncio.Event | None = None
        self._owned_engine: sa_asyncio.AsyncEngine | None = None
        self._engine: Any = None
        super().__init__(bind=self._resolve(bind), **{"expire_on_commit": False} | options)

    def _resolve(self, bind: Any) -> Any:
        self._engine = bind if hasattr(bind, "async_engine") else None
        if isinstance(bind, str | URL):
            bind = self._owned_engine = create_engine(make_url(bind), {})
        return getattr(bind, "async_engine", bind)

    @contextmanager
    def as_current(self) -> Iterator[None]:
        """
        Make this the session of this task, for queries and repositories without one.

        Called outside of any task, the first task that needs a session adopts it.
        """
        entry = current.enter(self)
        try:
            yield
        finally:
            current.leave(entry)

    def begin(self) -> SessionTransaction:
        """Begin a transaction for a block, which commits at its end."""
        return SessionTransaction(self)

    def begin_nested(self) -> SessionTransaction:
        """Begin a savepoint for a block, to which an error in it rolls back."""
        return SessionTransaction(self, nested=True)

    async def close(self) -> None:
        """
        Roll back what was not committed and give the connection back.

        Waits for a statement that another task has under way, since a connection cannot
        be given back in the middle of one.
        """
        while self._user is not None and self._user is not asyncio.current_task():
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()
        await super().close()
        if self._owned_engine is not None:
            await self._owned_engine.dispose()

    async def invalidate(self) -> None:
        """
        Close the connections instead of giving them back, and end the transaction.

        A cancellation strikes when that is done: half of it would keep SQLite's writers out.
        """
        closing = asyncio.ensure_future(self._invalidate())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing])
            raise

    async def _invalidate(self) -> None:
        with self._in_use(), translating():
            await super().invalidate()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        task = asyncio.current_task()
        if self._user is task:
            yield
            return
        if self._user is not None:
            raise SessionTaskError(
                "Two tasks use this session at the same moment "
                f"({self._user.get_name()} and {task.get_name() if task else 'no task'}). "
                "A session is one connection and one transaction: open one in each task."
            )
        self._user = task
        try:
            yield
        finally:
            self._user = None
            if self._idle is not None:
                self._idle.set()
                self._idle = None


def in_use(session: AsyncSession) -> AbstractContextManager[None]:
    """
    Keep other tasks out of a session while the block runs.

    Raises:
        SessionTaskError: Another task is in it.
    """
    return session._in_use()  # noqa: SLF001  of this module


def engine_of(session: sa_asyncio.AsyncSession) -> AndamiosEngine | None:
    """Give the engine of Andamios that a session was opened from, if it was and has no other."""
    engine: AndamiosEngine | None = getattr(session, "_engine", None)
    return engine


class SessionTransaction(sa_asyncio.AsyncSessionTransaction):
    """What ``session.begin()`` and ``begin_nested()`` give: its end writes, and may fail."""

    __slots__ = ()


def _guarded(method: Any) -> Any:
    """Wrap one of SQLAlchemy's methods, so that the signature stays SQLAlchemy's."""

    @functools.wraps(method)
    async def call(self: Any, *args: Any, **options: Any) -> Any:
        session: AsyncSession = getattr(self, "session", self)
        with session._in_use(), translating():  # noqa: SLF001  a method of that very class
            try:
                return await method(self, *args, **options)
            except StaleDataError as error:
                raise await stale_error(session, error) from error

    return call


for _name in (
    *("commit", "connection", "delete", "delete_all", "execute", "flush", "get", "get_one"),
    *("merge", "merge_all", "refresh", "reset", "rollback", "run_sync"),
    *("scalar", "scalars", "stream", "stream_scalars"),
):
    setattr(AsyncSession, _name, _guarded(getattr(sa_asyncio.AsyncSession, _name)))

for _name in ("start", "commit", "rollback", "__aexit__"):
    _method = getattr(sa_asyncio.AsyncSessionTransaction, _name)
    setattr(SessionTransaction, _name, _guarded(_method))


class SessionManager:
    """
    Opens a session for a block: commits at its end, rolls back when it raises.

    While the block runs, the session is the current one of the task.

    Args:
        bind: SQLAlchemy's asynchronous engine or connection.
        is_current: Whether it is.
        engine: The engine of Andamios that it belongs to.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> async def main() -> int:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         async with engine.session() as session:
        ...             return await session.scalar(text("SELECT 42"))
        >>> andamios.run(main())
        42
    """

    def __init__(
        self,
        bind: sa_asyncio.AsyncEngine | sa_asyncio.AsyncConnection,
        *,
        is_current: bool = True,
        engine: AndamiosEngine | None = None,
    ) -> None:
        self._bind = bind
        self._engine = engine
        self._is_current = is_current
        self._session: AsyncSession | None = None
        self._entry: Any = None

    async def __aenter__(self) -> AsyncSession:
        if self._session is not None:
            raise SessionTaskError(
                "This session manager is in use. Call engine.session() for each block."
            )
        # A session that is used after its block would begin a transaction nobody ends.
        self._session = AsyncSession(self._bind, close_resets_only=False)
        self._session._engine = self._engine  # noqa: SLF001  of this module
        if self._is_current:
            self._entry = current.enter(self._session)
        return self._session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        assert session is not None
        if self._entry is not None:
            current.leave(self._entry)
        try:
            if kind is None:
                await session.commit()
        finally:
            await _closed(session)


async def _closed(session: AsyncSession) -> None:
    if session.sync_session.in_transaction():
        await finish(session.close())
    else:
        session.sync_session.close()  # which has nothing to wait for
