"""
One worker's own database: made when a test first needs it, with the tables that tests need.

It stays for the whole run, and each test leaves it as empty as it was made.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData, exists, inspect, literal, select, table, text, union_all

from andamios import AndamiosEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Dialect, Executable
    from sqlalchemy.ext.asyncio import AsyncConnection

    from harness.databases import TestDatabaseManager
    from harness.templates import Schema

__all__ = ["WorkerDatabase"]

CLEANING_LIMIT = 15.0
"""Seconds; a test that leaves a lock behind gets its database replaced after them."""

AT_ONCE = 200
"""Tables that one query looks at; SQLite takes no more than 500."""

MOST_SEEDS = 10_000
"""Rows; with more of them, a database is made anew instead of being filled again."""


class WorkerDatabase:
    """
    A database that many tests use, one after the other.

    Args:
        manager: Makes databases on the server.
        worker: The worker's name.
    """

    def __init__(self, manager: TestDatabaseManager, worker: str) -> None:
        self._manager = manager
        self._worker = worker
        self._names = itertools.count(1)
        self._name = worker
        self._numbers = itertools.count(1)
        self._url: str | None = None
        self._schemas: list[Schema] = []
        self._looks: list[str] = []
        self._seeds: dict[str, list[dict[str, Any]]] | None = {}

    def url_with(self, schema: Schema) -> str | None:
        """Give the URL of the database if it holds a schema already; costs no I/O."""
        is_there = any(each.digest == schema.digest for each in self._schemas)
        return self._url if is_there else None

    async def with_tables(self, schema: Schema) -> str:
        """Give the URL of the database, with what a schema holds in it."""
        if known := self.url_with(schema):
            return known
        if self._url is None:
            self._url = await self._manager.create_test_database(self._name, schema)
        else:
            await schema.create(self._url)
        self._schemas.append(schema)
        async with (
            AndamiosEngine(self._url, uvloop=False, pool_size=1) as engine,
            engine.connections.acquire() as connection,
        ):
            await self._learn(connection)
        return self._url

    async def _learn(self, connection: AsyncConnection) -> None:
        """Remember which tables there are, and what is in them before any test."""
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        self._looks = [_look(part, connection.dialect) for part in batched(names, AT_ONCE)]
        self._seeds = {}
        filled = await self.filled(connection)
        if not filled:
            return
        found = MetaData()
        await connection.run_sync(lambda sync: found.reflect(sync, only=filled))
        for each in found.sorted_tables:
            rows = await connection.execute(select(each).limit(MOST_SEEDS + 1))
            self._seeds[each.name] = [dict(row) for row in rows.mappings()]
        if sum(map(len, self._seeds.values())) > MOST_SEEDS:
            self._seeds = None

    async def filled(self, connection: AsyncConnection) -> list[str]:
        """Name the tables that hold rows."""
        found: list[str] = []
        for look in self._looks:
            found += (await connection.scalars(text(look))).all()
        return found

    async def left_behind(self, connection: AsyncConnection) -> list[str]:
        """Name the tables that hold rows and did not before any test."""
        seeded = self._seeds or {}
        return [name for name in await self.filled(connection) if name not in seeded]

    async def clean(self, engine: AndamiosEngine) -> None:
        """Make it as it was: delete rows of tables that hold some, or replace all of it."""
        try:
            async with asyncio.timeout(CLEANING_LIMIT):
                done = await self._empty(engine)
        except Exception:  # noqa: BLE001  locks, broken connections, tables that are gone
            done = False
        if not done:
            await self.renew()

    async def _empty(self, engine: AndamiosEngine) -> bool:
        if self._seeds is None:
            return False
        async with engine.connections.acquire() as connection, connection.begin():
            filled = await self.filled(connection)
            for statement in _deletes(engine.backend, filled) if filled else ():
                await connection.execute(statement)
            if self._seeds:
                await self._fill_again(connection)
        return True

    async def _fill_again(self, connection: AsyncConnection) -> None:
        seeds = self._seeds or {}
        found = MetaData()
        await connection.run_sync(lambda sync: found.reflect(sync, only=list(seeds)))
        for each in found.sorted_tables:
            if seeds[each.name]:
                await connection.execute(each.insert(), seeds[each.name])

    async def renew(self) -> None:
        """Throw the database away; the next test gets a new one of the same name."""
        await self._manager.cleanup_test_database(self._name)
        await self._again()

    async def leave(self) -> None:
        """Leave the database to whoever wants to look at it; the next test gets another one."""
        self._name = f"{self._worker}_{next(self._names)}"
        await self._again()

    async def _again(self) -> None:
        schemas, self._schemas, self._url = self._schemas, [], None
        for schema in schemas:
            await self.with_tables(schema)

    async def copy(self, schema: Schema) -> tuple[str, str]:
        """Make a database for one test; give its name and URL."""
        name = f"{self._worker}_own_{next(self._numbers)}"
        return name, await self._manager.create_test_database(name, schema)

    async def drop(self, name: str | None = None) -> None:
        """Drop a copy, or the worker's database."""
        await self._manager.cleanup_test_database(name or self._name)


def _look(names: Sequence[str], dialect: Dialect) -> str:
    """Write the query for those of some tables that hold rows; once, since it is sent often."""
    rows = ((name, select(literal(1)).select_from(table(name))) for name in names)
    looks = [select(literal(name)).where(exists(some)) for name, some in rows]
    written = union_all(*looks).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return str(written).replace(":", "\\:")  # no name of a parameter


def batched(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Cut names into parts, as ``itertools.batched`` does from Python 3.12 on."""
    for begin in range(0, len(names), size):
        yield names[begin : begin + size]


def _deletes(backend: str, names: Sequence[str]) -> list[Executable]:
    """Delete all rows, whichever refer to each other, also in circles."""
    deletes = [table(name).delete() for name in names]
    if backend == "postgresql":
        # References are checked when the statement has ended, all parts of it.
        parts = [delete.cte(f"part_{number}") for number, delete in enumerate(deletes)]
        return [select(literal(1)).add_cte(*parts)]
    if backend == "sqlite":
        return [text("PRAGMA defer_foreign_keys = ON"), *deletes]
    return [text("SET foreign_key_checks = 0"), *deletes, text("SET foreign_key_checks = 1")]
