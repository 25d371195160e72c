"""
Locks by name for SQLite, which has none but the one of its writer.

To hold that one would keep everybody from writing. So each name has a small file beside the
database, which is a database itself, and whoever has begun to write to that one holds the lock.
SQLite's own locks on files keep it to one holder, between the processes of a machine too, and
the system gives them back when a process ends. The files stay. A database in memory belongs
to one engine, and so do its locks.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from andamios.core.sqlite import is_memory
from andamios.errors import ConnectionFailedError, DeadlockError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from andamios.core.engine import AndamiosEngine

__all__ = ["locked_file"]

PAUSE = 0.02
"""Seconds between attempts."""

_held: weakref.WeakKeyDictionary[AndamiosEngine, set[str]] = weakref.WeakKeyDictionary()


@asynccontextmanager
async def locked_file(
    engine: AndamiosEngine, name: str, patience: float | None
) -> AsyncIterator[Any]:
    """Hold the lock of that name; gives a function that says whether it is held."""
    take = _in_memory if is_memory(engine.url) else _in_file
    loop = asyncio.get_running_loop()
    end = None if patience is None else loop.time() + patience
    while (release := await take(engine, name)) is None:
        if end is not None and loop.time() >= end:
            raise DeadlockError(
                f"Somebody else has held the lock {name!r} for {patience:g} s. Try again later, or "
                "wait for longer."
            )
        await asyncio.sleep(PAUSE)
    try:
        yield _always
    finally:
        await release()


async def _always() -> bool:
    return True


async def _in_memory(engine: AndamiosEngine, name: str) -> Any:
    names = _held.setdefault(engine, set())
    if name in names:
        return None
    names.add(name)

    async def release() -> None:
        names.discard(name)

    return release


async def _in_file(engine: AndamiosEngine, name: str) -> Any:
    path = f"{engine.url.database}-lock-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    taking = asyncio.create_task(asyncio.to_thread(_begin, path))
    try:
        connection = await asyncio.shield(taking)
    except asyncio.CancelledError:
        # The thread goes on, and what it took has to be given back.
        taken = await taking
        if taken is not None:
            await asyncio.to_thread(taken.close)
        raise
    if connection is None:
        return None

    async def release() -> None:
        await asyncio.shield(asyncio.to_thread(connection.close))

    return release


def _begin(path: str) -> sqlite3.Connection | None:
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _cannot_open(path) from error
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return None
        raise _cannot_open(path) from error
    return connection


def _cannot_open(path: str) -> ConnectionFailedError:
    return ConnectionFailedError(
        f"The file of a lock cannot be written: {path}. May this user write to that folder?"
    )
