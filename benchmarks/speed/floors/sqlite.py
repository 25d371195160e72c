"""
sqlite3 in a thread of its own: the whole operation in one hop, as few as there can be.

An executor with one thread, since ``asyncio.to_thread`` was slower by 2 to 10 microseconds. Rows
are tuples as sqlite3 gives them; moments and JSON are texts, decimals numbers. The file is in WAL
mode with SQLite's own ``synchronous=FULL``, like those of all systems.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from benchmarks.speed.schema import CHILD_COLUMNS, COLUMNS, DATA, child_values, row_values
from benchmarks.speed.sql import ALL, CHILD, ROW, SET_EXCLUDED, joined
from benchmarks.speed.system import in_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from benchmarks.speed.system import Values

__all__ = ["FLOOR", "SQLiteFloor"]

BY_KEY = f"{ALL} WHERE id = ?"
INSERT = f"INSERT INTO {ROW} ({', '.join(DATA)}) VALUES ({', '.join('?' * len(DATA))})"
JOIN = joined("?", "?")
UPDATE = f"UPDATE {ROW} SET visits = ?, note = ? WHERE id = ?"
UPSERT = f"{INSERT} {SET_EXCLUDED}"


class SQLiteFloor:
    """The raw driver on SQLite."""

    async def open(self, url: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sqlite-floor")
        self._loop = asyncio.get_running_loop()
        self._connection = await self._hop(lambda: _connect(str(make_url(url).database)))
        self._execute = self._connection.execute

    async def close(self) -> None:
        await self._hop(self._connection.close)
        self._executor.shutdown()

    def _hop(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        return self._loop.run_in_executor(self._executor, work)

    async def get(self, key: int) -> Any:
        return await self._hop(lambda: self._execute(BY_KEY, (key,)).fetchone())

    async def get_by_email(self, email: str) -> Any:
        return await self._hop(lambda: self._execute(f"{ALL} WHERE email = ?", (email,)).fetchone())

    async def list_rows(self, count: int) -> Sequence[Any]:
        sql = f"{ALL} ORDER BY id LIMIT ?"
        return await self._hop(lambda: self._execute(sql, (count,)).fetchall())

    async def dicts(self, count: int) -> Sequence[Any]:
        sql = f"{ALL} ORDER BY id LIMIT ?"
        return await self._hop(
            lambda: [dict(zip(COLUMNS, row, strict=True)) for row in self._execute(sql, (count,))]
        )

    async def filtered(self, city: str, age: int, count: int) -> Sequence[Any]:
        sql = f"{ALL} WHERE city = ? AND age >= ? ORDER BY id LIMIT ?"
        return await self._hop(lambda: self._execute(sql, (city, age, count)).fetchall())

    async def joined(self, first: int, count: int) -> Sequence[Any]:
        return await self._hop(lambda: self._execute(JOIN, (first, count)).fetchall())

    async def with_children(self, first: int, count: int) -> Sequence[Any]:
        def work() -> Sequence[Any]:
            sql = f"{ALL} WHERE id >= ? ORDER BY id LIMIT ?"
            families = {row[0]: (row, []) for row in self._execute(sql, (first, count))}
            sql = (
                f"SELECT {', '.join(CHILD_COLUMNS)} FROM {CHILD} "
                f"WHERE row_id IN ({', '.join('?' * len(families))}) ORDER BY id"
            )
            for child in self._execute(sql, list(families)):
                families[child[1]][1].append(child)
            return [*families.values()]

        return await self._hop(work)

    async def count(self, first: int, last: int) -> int:
        sql = f"SELECT count(*) FROM {ROW} WHERE id BETWEEN ? AND ?"
        return (await self._hop(lambda: self._execute(sql, (first, last)).fetchone()))[0]

    async def insert(self, values: Values) -> Any:
        return await self._hop(lambda: self._execute(INSERT, _bound(values)).lastrowid)

    async def update(self, key: int, visits: int) -> Any:
        sql = f"UPDATE {ROW} SET visits = ? WHERE id = ?"
        await self._hop(lambda: self._execute(sql, (visits, key)))

    async def delete(self, key: int) -> Any:
        await self._hop(lambda: self._execute(f"DELETE FROM {ROW} WHERE id = ?", (key,)))

    async def change(self, key: int, visits: int) -> Any:
        if await self.get(key) is not None:
            await self.update(key, visits)

    async def bulk_insert(self, rows: list[Values]) -> Any:
        await self._many(INSERT, lambda: [*map(_bound, rows)])

    async def bulk_keys(self, rows: list[Values]) -> Sequence[int]:
        await self.bulk_insert(rows)
        last = (await self._hop(lambda: self._execute(f"SELECT max(id) FROM {ROW}").fetchone()))[0]
        return [*range(last - len(rows) + 1, last + 1)]

    async def update_many(self, rows: list[Values]) -> Any:
        await self._many(UPDATE, lambda: [(r["visits"], r["note"], r["id"]) for r in rows])

    async def upsert_many(self, rows: list[Values]) -> Any:
        await self._many(UPSERT, lambda: [*map(_bound, rows)])

    async def _many(self, sql: str, parameters: Callable[[], list[Any]]) -> None:
        def work() -> None:
            with self._connection:
                self._execute("BEGIN IMMEDIATE")
                self._connection.executemany(sql, parameters())

        await self._hop(work)

    async def iterate(self) -> AsyncGenerator[Any, None]:
        cursor = await self._hop(lambda: self._execute(ALL))
        while rows := await self._hop(lambda: cursor.fetchmany(1000)):
            for row in rows:
                yield row

    async def get_concurrently(self, keys: list[list[int]]) -> Any:
        return await in_tasks(self.get, keys)

    async def fill(self, rows: int) -> None:
        keys = range(1, rows + 1)
        await self._many(INSERT, lambda: [*map(_bound, row_values(rows))])
        columns = CHILD_COLUMNS[1:]
        sql = f"INSERT INTO {CHILD} ({', '.join(columns)}) VALUES (?, ?, ?)"
        await self._many(sql, lambda: [tuple(each.values()) for each in child_values(keys)])
        await self._hop(lambda: self._execute("ANALYZE"))

    async def total(self) -> int:
        return (await self._hop(lambda: self._execute(f"SELECT count(*) FROM {ROW}").fetchone()))[0]

    async def tidy(self, rows: int) -> None:
        await self._hop(lambda: self._execute(f"DELETE FROM {ROW} WHERE id > ?", (rows,)))

    async def facts(self) -> dict[str, str]:
        facts = {"server": f"SQLite {sqlite3.sqlite_version}"}
        for name in ("journal_mode", "synchronous"):
            found = await self._hop(lambda name=name: self._execute(f"PRAGMA {name}").fetchone())
            facts[name] = str(found[0])
        return facts


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA journal_mode=WAL")
    return connection


def _bound(values: Values) -> tuple[Any, ...]:
    moment = values["seen_at"].replace(tzinfo=None).isoformat(" ", "microseconds")
    text = json.dumps(values["details"])
    changed = values | {"seen_at": moment, "balance": str(values["balance"]), "details": text}
    return tuple(changed.values())


FLOOR = SQLiteFloor
