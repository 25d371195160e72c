"""
Watching a workload for statements that run once a row: the N+1 pattern.

A loop that asks for each row what one query could ask for all of them sends the same text
from the same line again and again. SQLAlchemy runs statements in a greenlet, whose parent
has the stack of the code that waits for them.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import linecache
import weakref
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import greenlet

from andamios.core.facts import QueryFinished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from andamios.core.engine import AndamiosEngine

__all__ = ["RepeatedQuery", "Watch"]

NOT_THE_USERS = frozenset(
    {
        *("aiomysql", "aiosqlite", "andamios", "asyncio", "asyncmy", "asyncpg", "concurrent"),
        *("contextlib", "functools", "greenlet", "sqlalchemy", "tenacity", "uvloop"),
    }
)
"""Packages whose lines are never where a statement comes from."""

FIXES = {
    "SELECT": "Load what belongs to the rows with the query that finds them, "
    ".load(Model.relationship), or read them all at once: get_many(ids).",
    "INSERT": "Write all rows at once: create_many(rows).",
    "UPDATE": "Change all rows at once: update_many(rows), or update_where(filters, values).",
    "DELETE": "Delete all rows at once: delete_where(filters).",
}
"""By the first word of the statement; other statements are not watched."""


@dataclass(frozen=True, slots=True)
class RepeatedQuery:
    """
    A statement that one line ran again and again.

    Args:
        statement: Its SQL, without values.
        count: How often one task ran it.
        where: The line of the caller's code, as ``file:line``.
        fix: What to do instead, in a sentence.
        source: What that line says, since a notebook's file has no name to know it by; empty
            where the source is not to be had.
    """

    statement: str
    count: int
    where: str
    fix: str
    source: str = ""

    def __str__(self) -> str:
        words = " ".join(self.statement.split())
        lines = [f"{self.where} ran {self.count} times: {words:.120}", self.source, self.fix]
        return "\n  ".join(filter(None, lines))


class Watch:
    """
    Watches an engine for the length of a block.

    Args:
        engine: What to watch.
        threshold: How often a line has to run a statement, in one task, to be told.

    Example:
        >>> import andamios
        >>> from sqlalchemy import text
        >>> from andamios.queries import QueryOptimizer
        >>> async def main() -> list[int]:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         async with engine.session() as session:
        ...             with QueryOptimizer(engine).watch() as report:
        ...                 for number in range(7):
        ...                     await session.scalar(text("SELECT :n"), {"n": number})
        ...     return [found.count for found in report.findings]
        >>> andamios.run(main())
        [7]
    """

    def __init__(self, engine: AndamiosEngine, threshold: int) -> None:
        self._hooks = engine.hooks
        self._threshold = threshold
        self._counts: Counter[tuple[str, str, int]] = Counter()
        # Two requests that run the same line are two tasks, and nothing repeats.
        self._tasks: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._numbers = itertools.count(1)

    @property
    def findings(self) -> list[RepeatedQuery]:
        """What repeated so far, the most often first."""
        most: Counter[tuple[str, str]] = Counter()
        for (statement, where, _task), count in self._counts.items():
            most[statement, where] = max(most[statement, where], count)
        return [
            RepeatedQuery(statement, count, where, FIXES[_verb(statement)], _source(where))
            for (statement, where), count in most.most_common()
            if count >= self._threshold
        ]

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "Nothing ran once a row."

    def __enter__(self) -> Self:
        self._hooks.listen(QueryFinished, self._note)
        return self

    def __exit__(self, *raised: object) -> None:
        self._hooks.remove(QueryFinished, self._note)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *raised: object) -> None:
        self.__exit__()

    def _note(self, fact: QueryFinished) -> None:
        if _verb(fact.statement) not in FIXES:
            return
        where = _users_line()
        if where is not None:
            self._counts[fact.statement, where, self._task()] += 1

    def _task(self) -> int:
        task = asyncio.current_task()
        if task not in self._tasks:
            self._tasks[task] = next(self._numbers)
        return self._tasks[task]


def _verb(statement: str) -> str:
    words = statement.split(None, 1)
    return words[0].upper() if words else ""


def _source(where: str) -> str:
    file, _, line = where.rpartition(":")
    return linecache.getline(file, int(line)).strip()


def _users_line() -> str | None:
    """Find the innermost line that is neither Andamios' nor a library's below it."""
    for frame in _frames():
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] not in NOT_THE_USERS:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return None


def _frames() -> Iterator[FrameType]:
    """Give the frames of this greenlet from the inside, then those of the ones around it."""
    current: greenlet.greenlet | None = greenlet.getcurrent()
    frame = inspect.currentframe()
    while current is not None:
        while frame is not None:
            yield frame
            frame = frame.f_back
        current = current.parent
        frame = current.gr_frame if current is not None else None
