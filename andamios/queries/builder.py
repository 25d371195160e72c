"""
The query builder: a sentence about which rows, ended by what to do with them.

Named for its pattern. It has more public methods than a class here usually has, one for
each word of SQL and each way to end; every other thing is a SQLAlchemy expression handed
to one of them. It holds no logic: what was said is a ``QuerySpec``, and ``compose``,
``reading``, ``paging``, ``keyset`` and ``writing`` act on it.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from andamios.core.engine import AndamiosEngine
from andamios.errors import QueryError
from andamios.plans.forms import UnplannableError
from andamios.queries import keyset, paging, reading, streaming, writing
from andamios.queries.cached import read_cached, refuse_cached
from andamios.queries.compose import executed, plain
from andamios.queries.fields import field, mapper_of
from andamios.queries.filters import conditions_of, expressions_of
from andamios.queries.loading import Load
from andamios.queries.scope import (
    read,
    require_session,
    write_scope,
)
from andamios.queries.short import path_of, reader_for
from andamios.queries.short_writes import delete_alone, update_alone
from andamios.queries.spec import Join, Lock, QuerySpec
from andamios.queries.values import is_expression, whole_number

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    import pydantic
    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.queries.pages import CursorPage, Page
    from andamios.queries.planning.plan import QueryPlan
    from andamios.queries.scope import Bind
    from andamios.queries.short import QueryPath

__all__ = ["QueryBuilder"]

EMPTY = QuerySpec(object)
"""A copy of it costs less than a new one, of which each field is set by itself."""

T = TypeVar("T")
R = TypeVar("R")
M = TypeVar("M", bound="pydantic.BaseModel")


class QueryBuilder(Generic[T]):
    """
    A query on a model, built step by step.

    Every step returns a new builder and leaves the old one as it was. Conditions are
    SQLAlchemy expressions, dicts or :class:`FilterBuilder`. Objects come out once each,
    also when a join repeats them.

    Args:
        model: The mapped class.
        bind: A session, an engine, or nothing: the session of this task.
        read_only: Whether ``update`` and ``delete`` are refused.

    Example:
        >>> import andamios
        >>> from sqlalchemy import String
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import AndamiosEngine, BaseModel, QueryBuilder
        >>> class Port(BaseModel):
        ...     name = mapped_column(String(50))
        >>> async def main() -> list[str]:
        ...     async with AndamiosEngine("sqlite://") as engine:
        ...         await engine.create_all(BaseModel)
        ...         async with engine.session() as session:
        ...             session.add_all([Port(name="Callao"), Port(name="Paita")])
        ...             ports = await QueryBuilder(Port).filter(Port.name > "D").execute()
        ...             return [port.name for port in ports]
        >>> andamios.run(main())
        ['Paita']
    """

    __slots__ = ("_bind", "_spec")

    def __init__(self, model: type[T], bind: Bind = None, *, read_only: bool = False) -> None:
        mapper_of(model)
        self._spec = EMPTY.but(model=model, is_read_only=read_only)
        self._bind = bind

    def _with(self, **changes: Any) -> Self:
        query = type(self).__new__(type(self))
        query._spec = self._spec.but(**changes)  # noqa: SLF001  a copy of itself
        query._bind = self._bind  # noqa: SLF001
        return query

    # -- which rows

    def filter(self, *conditions: Any) -> Self:
        """Keep what fits all of these: SQLAlchemy expressions, dicts or FilterBuilders."""
        found = conditions_of(self._spec.model, conditions)
        return self._with(where=self._spec.where + found)

    def filter_by(self, **filters: Any) -> Self:
        """Keep what has these values; names as in a dict: ``filter_by(age__gte=18)``."""
        return self.filter(filters)

    def exclude(self, *conditions: Any) -> Self:
        """Drop what fits all of these; rows where they are neither true nor false stay."""
        found = expressions_of(self._spec.model, conditions)
        if not found:
            raise QueryError("exclude() needs a condition")
        return self.filter(sa.and_(*found).is_not(sa.true()))

    def join(self, target: Any, condition: Any = None) -> Self:
        """
        Read another table along, and keep what has a row there.

        Args:
            target: A relationship (``User.profile``), a model, or a table.
            condition: How they belong together, unless the relationship says it.
        """
        return self._joined(Join(target, condition))

    def outerjoin(self, target: Any, condition: Any = None) -> Self:
        """Read another table along, and keep what has no row there too."""
        return self._joined(Join(target, condition, is_outer=True))

    def include_deleted(self) -> Self:
        """See rows that were softly deleted."""
        return self._with(includes_deleted=True)

    def unscoped(self) -> Self:
        """Let ``update`` and ``delete`` work on every row, without a condition."""
        return self._with(is_unscoped=True)

    # -- what of them

    def load(self, *relationships: Any, strategy: str | None = None) -> Self:
        """
        Load relationships along with the objects.

        Args:
            relationships: For instance ``User.posts, Post.comments``, the second for the
                objects of the first; or loader options of SQLAlchemy.
            strategy: ``selectin`` (the default for collections), ``joined`` (the default
                for single objects), ``subquery``, ``immediate`` or ``raise``.
        """
        loads = tuple(Load(item, strategy) for item in relationships)
        return self._with(loads=self._spec.loads + loads)

    def only(self, *columns: Any) -> QueryBuilder[sa.Row[Any]]:
        """Give rows of these columns or expressions instead of objects."""
        found = tuple(self._named(column) for column in columns)
        return self._as_rows(columns=self._spec.columns + found)

    def aggregate(self, **expressions: Any) -> QueryBuilder[sa.Row[Any]]:
        """Give rows with these values, for each group: ``aggregate(total=func.sum(…))``."""
        for item in expressions.values():
            if not is_expression(item):
                raise QueryError(f"aggregate() takes expressions, not {item!r:.40}")
        labels = tuple(item.label(name) for name, item in expressions.items())
        return self._as_rows(aggregates=self._spec.aggregates + labels)

    def group_by(self, *columns: Any) -> QueryBuilder[sa.Row[Any]]:
        """Give a row for each value of these columns, which it begins with."""
        found = tuple(self._named(column) for column in columns)
        return self._as_rows(group_by=self._spec.group_by + found)

    def having(self, *conditions: Any) -> Self:
        """Keep groups that fit; without ``group_by`` an object and its joined rows are one."""
        return self._with(having=self._spec.having + expressions_of(self._spec.model, conditions))

    def distinct(self) -> Self:
        """Give equal rows once; objects come once anyway."""
        return self._with(is_distinct=True)

    def order_by(self, *expressions: Any) -> Self:
        """
        Order by these, after what was given before.

        Args:
            expressions: SQLAlchemy expressions, or names of fields or aggregates, with
                ``-`` in front for descending. NULL is the largest value on every backend.
        """
        for item in expressions:
            if not isinstance(item, str) and not is_expression(item):
                raise QueryError(f"order_by() takes expressions and names, not {item!r:.40}")
        return self._with(order_by=self._spec.order_by + expressions)

    def limit(self, count: int) -> Self:
        """Give at most so many results."""
        return self._with(limit=whole_number("limit", count))

    def offset(self, count: int) -> Self:
        """Leave out so many results at the beginning."""
        return self._with(offset=whole_number("offset", count))

    def for_update(
        self, *, skip_locked: bool = False, nowait: bool = False, share: bool = False
    ) -> Self:
        """
        Lock the rows until the transaction ends, and read them as they are now.

        SQLite has one writer at a time, which is lock enough.

        Args:
            skip_locked: Leave out rows that somebody else has locked.
            nowait: Raise ``DeadlockError`` instead of waiting.
            share: Let others read with ``share`` too.
        """
        return self._with(lock=Lock(skip_locked, nowait, share))

    def cached(self, ttl: float) -> Self:
        """
        Answer from the engine's cache, or let it keep the answer.

        Objects then belong to no session, and each caller has copies of its own.

        Args:
            ttl: Seconds for which the answer may be kept.
        """
        if not ttl > 0:
            raise QueryError(f"cached() takes a number of seconds above 0, not {ttl!r:.40}")
        return self._with(ttl=ttl)

    # -- ends

    async def execute(self) -> list[T]:
        """Give all results."""
        return await self._read(reading.fetch)

    async def first(self) -> T | None:
        """Give the first result in order, or None."""
        return cast("T | None", await self._read(reading.first))

    async def one(self) -> T:
        """
        Give the only result.

        Raises:
            NotFoundError: There is none.
            MultipleFoundError: There are several.
        """
        found = await self.one_or_none()
        if found is None:
            raise reading.missing(self._spec)
        return found

    async def one_or_none(self) -> T | None:
        """
        Give the only result, or None.

        Raises:
            MultipleFoundError: There are several.
        """
        return cast("T | None", await self._read(reading.only_one))

    async def scalar(self) -> Any:
        """Give the first column of the first result (of an object: itself), or None."""
        found: Any = await self.first()
        return found[0] if found is not None and self._spec.gives_rows else found

    async def count(self) -> int:
        """Count the results."""
        return await self._read(reading.count)

    async def exists(self) -> bool:
        """Whether there is any result."""
        return await self._read(reading.exists)

    async def stream(self, batch: int = 1000) -> AsyncGenerator[T, None]:
        """
        Give results one by one as they arrive, in constant memory.

        When you leave the loop early, close it: ``async with aclosing(query.stream())``.

        Args:
            batch: How many are fetched at a time.
        """
        whole_number("batch", batch, least=1)
        refuse_cached(self._spec, "stream()")
        async with aclosing(streaming.parts(self._reading_bind, self._spec, batch)) as parts:
            async for part in parts:
                for item in part:
                    yield item

    async def page(self, number: int = 1, size: int = 50) -> Page[T]:
        """
        Give one page and the total number of results.

        Args:
            number: Which page, from 1.
            size: Results on a page.
        """
        return await self._read(paging.page, number, size)

    async def page_after(self, cursor: str | None = None, size: int = 50) -> CursorPage[T]:
        """
        Give the page at a cursor, with the cursors of its neighbours.

        Cursors are signed with ``ANDAMIOS_CURSOR_KEY`` from the environment, where it is set
        (:mod:`andamios.queries.cursors`).

        Args:
            cursor: ``next`` or ``previous`` of an earlier page; None is the beginning.
            size: Results on a page.

        Raises:
            QueryError: The cursor was changed, or belongs to another query.
        """
        return await self._read(keyset.page_after, cursor, size)

    async def as_dicts(self) -> list[dict[str, Any]]:
        """Give results as dicts of their columns."""
        return await self._read(reading.as_dicts)

    async def as_models(self, schema: type[M]) -> list[M]:
        """
        Give results as pydantic models; where all fields are columns, these alone are read.

        Relationships among the fields are loaded along; what a property reads besides, name in
        ``load``. A field that the model does not have keeps its default.

        Args:
            schema: A pydantic model; fields are matched by name, or by alias.

        Raises:
            UnknownFieldError: It requires what the model does not have.
            QueryError: What was found does not fit, or it is no pydantic model.
        """
        from andamios.queries.shapes import models_of, shape_of  # noqa: PLC0415  brings pydantic

        if self._spec.gives_rows:
            return models_of(schema, await self.as_dicts())
        shape = shape_of(self._spec.model, schema)
        if not shape.is_flat:
            found = await self.load(*shape.options()).execute()
            return models_of(schema, map(shape.of, found))
        rows = await self._with(flat=tuple(shape.columns.values())).as_dicts()
        names = {each.key: name for name, each in shape.columns.items()}
        return models_of(schema, ({names[key]: row[key] for key in row} for row in rows))

    async def update(self, values: Mapping[Any, Any]) -> int:
        """
        Set values in every row that fits, by one statement.

        Args:
            values: By field name or attribute; SQL expressions may refer to the row.

        Returns:
            How many rows fit.

        Raises:
            UnscopedWriteError: There is no condition, and no ``unscoped()``.
        """
        if isinstance(self._bind, AndamiosEngine):
            with suppress(UnplannableError):
                return await update_alone(self._bind, self._spec, values)
        async with write_scope(self._bind, self._spec.model) as session:
            return await writing.update_rows(session, self._spec, values)

    async def delete(self) -> int:
        """
        Delete every row that fits, by one statement; softly, where the model says so.

        Returns:
            How many rows were deleted.

        Raises:
            UnscopedWriteError: There is no condition, and no ``unscoped()``.
        """
        if isinstance(self._bind, AndamiosEngine):
            with suppress(UnplannableError):
                return await delete_alone(self._bind, self._spec)
        async with write_scope(self._bind, self._spec.model) as session:
            return await writing.delete_rows(session, self._spec)

    async def explain(self, *, analyze: bool = False) -> QueryPlan:
        """
        Give the database's plan for what ``execute`` sends, with the values bound as ever.

        Args:
            analyze: Run the statement too and count the rows of each node, where the
                database can: PostgreSQL, MySQL 9 and MariaDB.
        """
        from andamios.queries.planning.explain import explain  # noqa: PLC0415  used rarely

        async def ask(session: AsyncSession, spec: QuerySpec) -> QueryPlan:
            statement = executed(spec, reading.dialect_of(session, spec))
            return await explain(session, statement, analyze=analyze)

        return await self._read(ask)

    def explain_path(self) -> QueryPath:
        """
        Say whether ``execute`` takes the short way to the driver, and if not, why.

        Example:
            ``print(query.explain_path())`` prints ``the long way, since it locks rows``.
        """
        return path_of(self._bind, self._spec)

    def statement(self) -> sa.Select[Any]:
        """Give SQLAlchemy's ``Select``, for what the builder has no word for."""
        return plain(self._spec)

    def to_sql(self) -> str:
        """Give the SQL that ``execute`` sends, with placeholders for the values."""
        dialect = _dialect(self._bind, self._spec)
        return str(executed(self._spec, dialect.name).compile(dialect=dialect))

    def __repr__(self) -> str:
        return f"QueryBuilder({self._spec.model.__name__}): {plain(self._spec)}"

    async def _read(self, work: Callable[..., Awaitable[R]], *args: Any) -> R:
        spec = self._spec
        if spec.ttl is not None:
            return cast("R", await read_cached(self._bind, spec, work))
        bind = self._reading_bind
        if work in reading.ENDS and (short := reader_for(bind, spec)) is not None:
            with suppress(UnplannableError):
                return await work(short, spec)
        return await read(bind, spec.model, lambda s: work(s, spec, *args))

    @property
    def _reading_bind(self) -> Bind:
        if self._spec.lock is not None:
            require_session(self._bind, "for_update()")
        return self._bind

    def _as_rows(self, **changes: Any) -> QueryBuilder[sa.Row[Any]]:
        return cast("QueryBuilder[sa.Row[Any]]", self._with(**changes))

    def _joined(self, join: Join) -> Self:
        if sa.inspect(join.target, raiseerr=False) is None:
            raise QueryError(
                "join() takes relationships, such as User.posts, models and tables, not "
                f"{join.target!r:.40}"
            )
        return self._with(joins=(*self._spec.joins, join))

    def _named(self, column: Any) -> Any:
        if isinstance(column, str):
            return field(self._spec.model, column)
        if not is_expression(column) and sa.inspect(column, raiseerr=False) is None:
            raise QueryError(f"A column, an expression or a name was expected, not {column!r:.40}")
        return column


def _dialect(bind: Bind, spec: QuerySpec) -> sa.Dialect:
    if isinstance(bind, AndamiosEngine):
        return bind.async_engine.dialect
    if bind is None:
        return DefaultDialect()
    return bind.get_bind(mapper_of(spec.model)).dialect
