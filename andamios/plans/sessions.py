"""
Reading inside a session on the short way: in its transaction, through its identity map.

The statement goes over the connection that the session holds. What it finds becomes what
SQLAlchemy would make of it: the object that the session has already, or a new one that belongs
to it. Where SQLAlchemy would do more, such as refreshing an object that has expired, it is asked
instead.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm.attributes import instance_state

from andamios.core.connection import ready_pool
from andamios.core.hooks import STARTED
from andamios.core.session import AsyncSession, Session, engine_of, in_use
from andamios.models.soft_delete import is_soft_delete
from andamios.plans.cache import plans_of
from andamios.plans.executor import adapted
from andamios.plans.forms import UnplannableError
from andamios.plans.objects import listeners_obstacle
from andamios.plans.states import STATE, names_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import sqlalchemy.ext.asyncio as sa_asyncio
    from sqlalchemy import Table

    from andamios.plans.cache import Plans
    from andamios.plans.plan import Plan

__all__ = ["SessionPlans", "plans_in"]

KNOWN_OPTIONS = {"andamios_read_only", "postgresql_readonly", "isolation_level"}
"""Options of a connection that change nothing about its statements."""


def plans_in(session: sa_asyncio.AsyncSession, *, writes: bool = False) -> SessionPlans | str:
    """
    Give what runs plans in a session, or say what is in the way.

    Args:
        session: The session.
        writes: Whether they are to write.
    """
    engine = engine_of(session)
    if engine is None or not isinstance(session, AsyncSession):
        return "the session was not opened from an AndamiosEngine"
    sync: Any = session.sync_session
    if session.binds:
        return "the session has binds of its own"
    if type(sync) is not Session or not sync.is_active:
        return "the session is not one of Andamios, or its transaction has failed"
    plans = plans_of(engine)
    reason = plans.executor.obstacle(writes=writes) or listeners_obstacle(sync, writes=False)
    if writes:
        reason = reason or listeners_obstacle(sync, writes=True)
    return reason or SessionPlans(plans, session)


class SessionPlans:
    """
    Runs plans on the connection of a session.

    Args:
        plans: Of its engine.
        session: The session.
    """

    __slots__ = ("_session", "_sync", "executor", "kept", "known", "plan")

    def __init__(self, plans: Plans, session: AsyncSession) -> None:
        self.plan, self.known, self.kept = plans.plan, plans.known, plans.kept
        self._session = session
        self._sync: Any = session.sync_session
        self.executor = plans.executor

    def add(self, entities: list[Any], states: set[Any]) -> None:
        """Make objects that were stored by a statement members of the session."""
        self._sync.add_all(entities)
        self._sync._register_persistent(states)  # noqa: SLF001

    def held(self, mapper: Any, key: tuple[Any, ...]) -> Any:
        """
        Give the object with a key that the session has, or None.

        Raises:
            UnplannableError: SQLAlchemy has to look whether it may be shown.
        """
        entity = self._sync.identity_map.get((mapper.base_mapper.class_, key, None))
        if entity is not None and (instance_state(entity).expired or is_soft_delete(type(entity))):
            raise UnplannableError("the session has an object that may have to be refreshed")
        return entity

    async def results(
        self, plan: Plan, values: Sequence[Any], *, writes: Table | None = None
    ) -> list[Any]:
        """
        Run a plan, and give what its rows become.

        Raises:
            UnplannableError: SQLAlchemy has to do it.
        """
        sql, bound = plan.bind(values)
        driver: Any = self.executor.driver
        rows, _, description = await self.send(
            lambda connection: driver.join(connection, sql, bound), sql, writes=writes
        )
        found = plan.build(rows, description, driver)
        return found if plan.mapper is None else _members(self._sync, plan.mapper, found)

    async def send(
        self,
        work: Callable[[Any], Awaitable[Any]],
        sql: str,
        *,
        writes: Table | None = None,
        is_told: bool = True,
    ) -> Any:
        """
        Run a statement in the transaction, after what waits in the session.

        Args:
            work: Runs it, or looks at something before, given the connection as it lies in
                the pool.
            sql: What it is called in errors and facts.
            writes: The table that it writes to.
            is_told: Whether it is announced.

        Returns:
            What ``work`` returns; of what is announced, the driver's answer.

        Raises:
            UnplannableError: SQLAlchemy has to do it; the transaction goes on.
        """
        with in_use(self._session):
            if self._sync.autoflush and not self._sync._is_clean():  # noqa: SLF001
                await self._session.flush()
            connection = await self._connection()
            executor, began = self.executor, time.perf_counter()
            try:
                answer = await work(connection.connection)
            except UnplannableError:
                raise
            except BaseException as error:
                sent = Sent(executor.driver, writes, began)
                await self._session.run_sync(_fail, connection, error, sql, sent)
                raise
            if is_told:
                executor.hooks.finished_within(
                    sql, began, rows=answer[1] if writes is not None else None
                )
            return answer

    async def _connection(self) -> Any:
        """Give SQLAlchemy's connection, which has begun a transaction."""
        sync, executor = self._sync, self.executor
        is_here = sync.in_transaction() and sync._transaction._connections  # noqa: SLF001
        # A savepoint is sent with its first statement.
        if is_here or (not sync.in_nested_transaction() and ready_pool(executor.engine)):
            connection: Any = sync.connection()
        else:
            connection = (await self._session.connection()).sync_connection
        if not connection.get_execution_options().keys() <= KNOWN_OPTIONS:
            raise UnplannableError("the connection has execution options")
        return connection


class Sent:
    """
    What those who handle errors ask SQLAlchemy's context of a statement for.

    Args:
        driver: Who sends it.
        writes: The table that it writes to.
        began: When it was sent.
    """

    def __init__(self, driver: Any, writes: Table | None, began: float) -> None:
        self._driver = driver
        self.table = writes
        self.isdelete = writes is None
        self.compiled = self.statement = self
        self.executemany = False
        self.execution_options: dict[str, Any] = {}
        setattr(self, STARTED, began)

    def handle_dbapi_exception(self, error: Exception) -> None:
        """Forget prepared statements that no longer fit the tables."""
        self._driver.is_outdated(error)


def _fail(_sync: Any, connection: Any, error: BaseException, sql: str, sent: Sent) -> None:
    """Let SQLAlchemy do with an error what it does, and raise what it raises."""
    if isinstance(error, Exception):
        error = adapted(connection.connection, error)
    try:
        raise error  # noqa: TRY301  SQLAlchemy looks for the one that is handled
    except BaseException:  # noqa: BLE001
        connection._handle_dbapi_exception(error, sql, None, None, sent)  # noqa: SLF001


def _members(sync: Any, mapper: Any, rows: list[dict[str, Any]]) -> list[Any]:
    """
    Give the session's objects for rows, making those that it does not have.

    Raises:
        UnplannableError: One that it has is to be refreshed.
    """
    columns, names = names_of(mapper)
    identity, known = mapper.base_mapper.class_, sync.identity_map
    keys = [(identity, tuple([values[name] for name in names]), None) for values in rows]
    for key in keys:
        entity = known.get(key)
        if entity is not None and not entity.__dict__.keys() >= columns:
            raise UnplannableError("the session has an object that is to be refreshed")
    run = object()  # by which peers of one statement are known (andamios.models.peers)
    return [_member(sync, mapper, run, *pair) for pair in zip(keys, rows, strict=True)]


def _member(sync: Any, mapper: Any, run: object, key: Any, values: dict[str, Any]) -> Any:
    entity = sync.identity_map.get(key)
    if entity is None:
        entity = mapper.class_manager.new_instance()
        entity.__dict__.update(values)
        state = entity.__dict__[STATE]
        state.key, state.session_id, state.runid = key, sync.hash_key, run
        sync.identity_map._add_unpresent(state, key)  # noqa: SLF001
    return entity
