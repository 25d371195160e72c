"""
Answers to queries: which key an answer has, what it depends on, and who may keep it.

A load that stands alone begins its transaction after the versions were read, and may be kept
and shared. One inside a caller's transaction may not be shared, since it belongs to that
caller; it is kept only where every statement sees what is committed (READ COMMITTED),
because a snapshot may be older than the versions. A transaction that touched what it reads,
or that asked for a snapshot by name, goes past the cache.
"""

from __future__ import annotations

import hashlib
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors
from sqlalchemy.types import TypeEngine

from andamios.caching.board import is_settled
from andamios.caching.codec import decode, encode
from andamios.caching.entities import fingerprint, is_entity, is_lone, type_name
from andamios.caching.levels import MISSING, Levels, Look
from andamios.caching.statements import facts_of, key_parameters
from andamios.caching.tags import ANY_WRITE, EVERYTHING, row_tag, rows_tag, table_tag
from andamios.caching.watching import Watch, tables_read
from andamios.queries.fields import mapper_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.caching.watching import Reading
    from andamios.core.engine import AndamiosEngine
    from andamios.core.result_cache import CachedRead

__all__ = ["EngineCache"]

SNAPSHOTS = {"REPEATABLE READ", "SERIALIZABLE"}
SEES_COMMITTED = {"READ COMMITTED", "AUTOCOMMIT"}

SHAPES = 1000
"""Statements of which is remembered what they read; their walk costs as much as a hit."""


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What the text of a SELECT on a model tells of every one with this text.

    Args:
        tables: Full names of those it reads.
        has_text: Whether it may read others.
        may_name_row: Whether it reads its model's table once, so that a key names all of it.
    """

    tables: frozenset[str]
    has_text: bool
    may_name_row: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is known of a read before it runs.

    Args:
        key: Of the answer.
        model: Name of the model.
        tables: That it will read, as far as the statement tells.
        has_text: Whether it may read others.
        table: The one of which a single row is named by its key, or "".
        row: The tag of that row, or "".
    """

    key: str
    model: str
    tables: frozenset[str]
    has_text: bool
    table: str
    row: str

    def possible(self) -> set[str]:
        """Give every tag on which the answer may depend."""
        tags = {EVERYTHING, *map(table_tag, self.tables)}
        if self.has_text:
            tags.add(ANY_WRITE)
        return tags | {self.row, rows_tag(self.table)} if self.row else tags

    def actual(self, value: Any, reading: Reading) -> set[str]:
        """Give the tags on which this answer depends, which was read from these tables."""
        tables = set(reading.tables)
        tags = {EVERYTHING}
        if self.row and _is_one_row(value):
            tables.discard(self.table)
            tags |= {self.row, rows_tag(self.table)}
        if self.has_text or reading.has_text:
            tags.add(ANY_WRITE)
        return tags | set(map(table_tag, tables))


class EngineCache:
    """
    The cache as queries of one engine see it.

    Args:
        engine: The engine.
        levels: Where answers are kept.
        namespace: What tells this database from others.
    """

    def __init__(self, engine: AndamiosEngine, levels: Levels, namespace: str) -> None:
        self._engine = engine
        self._levels = levels
        self.namespace = namespace
        self._watch = Watch(engine, levels.board, self._named)
        self._shapes: dict[tuple[type[Any], str], Shape] = {}
        self._also_read: weakref.WeakKeyDictionary[type[Any], frozenset[str]] = (
            weakref.WeakKeyDictionary()
        )
        self._also_text: weakref.WeakSet[type[Any]] = weakref.WeakSet()

    @property
    def engine(self) -> AndamiosEngine:
        """The engine whose writes it knows."""
        return self._engine

    def end(self) -> None:
        """Watch the engine no longer."""
        self._watch.end()

    async def answer(
        self,
        question: CachedRead,
        load: Callable[[], Awaitable[Any]],
        connection: AsyncConnection | None = None,
    ) -> Any:
        """Give a kept answer, or load and keep it; every caller gets a copy of its own."""
        plan = self._plan(question)
        tags = set(map(self._named, plan.possible()))
        if connection is not None and self._goes_past(connection, tags):
            return decode(encode(await load()))
        look = await self._levels.look(plan.key, tags, plan.model)
        if look.value is not MISSING:
            return look.value

        async def fill() -> str:
            return await self._fill(question, plan, look, load, connection)

        if connection is None and is_settled(look.versions, tags):
            flight = (plan.key, tuple(sorted(look.versions.items())))
            return decode(await self._levels.flights.run(flight, fill))
        return decode(await fill())

    async def _fill(
        self,
        question: CachedRead,
        plan: Plan,
        look: Look,
        load: Callable[[], Awaitable[Any]],
        connection: AsyncConnection | None,
    ) -> str:
        with tables_read() as reading:
            value = await load()
        payload = encode(value)
        if connection is None or await _sees_committed(connection):
            # Their versions were not read before; the next time they are.
            new = reading.tables - plan.tables
            if new:
                known = self._also_read.get(question.model, frozenset())
                self._also_read[question.model] = known | new
            if reading.has_text:
                self._also_text.add(question.model)
            if not new and (plan.has_text or not reading.has_text):
                tags = set(map(self._named, plan.actual(value, reading)))
                await self._levels.keep(plan.key, payload, tags, look, question.ttl)
        return payload

    def _plan(self, question: CachedRead) -> Plan:
        mapper = mapper_of(question.model)
        compiled = question.statement.compile(dialect=self._engine.async_engine.dialect)
        sql = str(compiled)
        shape = self._shapes.get((question.model, sql))
        if shape is None:
            shape = _shape(mapper, question.statement, compiled)
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            self._shapes[question.model, sql] = shape
        types = _types(question.statement, compiled)
        parts = (sql, compiled.params, types, question.variant, fingerprint(mapper))
        digest = hashlib.sha256(encode(parts).encode()).hexdigest()
        table, row = _named_row(mapper, question.statement) if shape.may_name_row else ("", "")
        return Plan(
            key=self._named(digest),
            model=question.model.__name__,
            tables=shape.tables | self._also_read.get(question.model, frozenset()),
            has_text=shape.has_text or question.model in self._also_text,
            table=table,
            row=row,
        )

    def _goes_past(self, connection: AsyncConnection, tags: set[str]) -> bool:
        sync = connection.sync_connection
        if sync is None or sync.get_execution_options().get("isolation_level") in SNAPSHOTS:
            return True
        touched = self._watch.touched_by(sync)
        return touched is None or not tags.isdisjoint(touched)

    def _named(self, tag: str) -> str:
        return f"{self.namespace}|{tag}"


async def _sees_committed(connection: AsyncConnection) -> bool:
    level = await connection.run_sync(lambda sync: sync.get_isolation_level())
    return level in SEES_COMMITTED


def _is_one_row(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return len(items) == 1 and is_entity(items[0]) and is_lone(items[0])


def _types(statement: Any, compiled: Any) -> list[str]:
    """Name what turns values into other ones, which the SQL does not show."""
    results = [column["type"] for column in statement.column_descriptions]
    types = [*results, *(bind.type for bind in compiled.binds.values())]
    return [type_name(each) for each in types if isinstance(each, TypeEngine)]


def _named_row(mapper: Any, statement: Any) -> tuple[str, str]:
    """Find the row that a SELECT names by its key."""
    table = mapper.local_table
    parameters = key_parameters(statement.whereclause, table)
    row = row_tag(table.fullname, [parameter.effective_value for parameter in parameters])
    return (table.fullname, row) if row is not None else ("", "")


def _shape(mapper: Any, statement: Any, compiled: Any) -> Shape:
    has_expressions = any(
        not isinstance(column, sa.Column)
        for attribute in mapper.column_attrs
        for column in attribute.columns
    )
    reads_more = any(
        part is not statement and isinstance(part, sa.SelectBase | sa.AliasedReturnsRows)
        for part in visitors.iterate(statement)
    )
    facts = facts_of(compiled)
    return Shape(facts.tables, facts.has_text, not (has_expressions or reads_more))
