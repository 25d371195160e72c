"""
Breaking SQLite, which has no server: its writer dies, its disk is full, others lock its file.

Another process does what another process would do. A full disk and a file that may not be
written are limits that SQLite itself keeps for each connection, as root may write everything.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import event

from harness.faults.services.base import ANSWER_LIMIT, FaultError

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["SQLiteFaults"]

_FULL = "PRAGMA max_page_count = 1"
"""SQLite takes no fewer than there are."""

_READ_ONLY = "PRAGMA query_only = ON"

_CHILD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
# Pages are written before the commit, as they are by a transaction that is large.
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
for statement in sys.argv[2:]:
    connection.execute(statement)
print("ready", flush=True)
sys.stdin.read()
"""


class SQLiteFaults:
    """
    A database of SQLite to be broken.

    The fixture ``sqlite_faults`` gives one for an engine. What is still broken when the test
    ends is mended then.

    Args:
        engine: Whose connections meet the faults, of a database in a file.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._limits: list[str] = []
        self._locker: Process | None = None
        path, is_sqlite = engine.url.database, engine.url.get_backend_name() == "sqlite"
        if not is_sqlite or not path or path.startswith((":memory:", "file:")):
            raise FaultError("these faults are for SQLite in a file")
        self._path = path

    async def __aenter__(self) -> Self:
        event.listen(self._engine.sync_engine, "connect", self._limit)
        return self

    async def __aexit__(self, *_error: object) -> None:
        event.remove(self._engine.sync_engine, "connect", self._limit)
        await self.mend()

    async def kill_writer(self, *statements: str) -> None:
        """
        Have another process die by SIGKILL in a transaction, before its COMMIT.

        Args:
            statements: What it has done in the transaction.
        """
        child = await self._begin(*statements)
        child.kill()
        await child.wait()

    async def lock(self) -> None:
        """Have another process hold the lock of writers, until :meth:`unlock`."""
        if self._locker is None:
            self._locker = await self._begin()

    async def unlock(self) -> None:
        """Have it end."""
        locker, self._locker = self._locker, None
        if locker is not None:
            locker.kill()
            await locker.wait()

    async def fill_disk(self) -> None:
        """
        Let the file grow no more, for connections that are not in use now.

        Rows that find place in pages which are there already can still be written.
        """
        await self._change([*self._limits, _FULL])

    async def free_disk(self) -> None:
        """Let it grow again."""
        await self._change([limit for limit in self._limits if limit != _FULL])

    async def read_only(self) -> None:
        """Refuse writes, for connections that are not in use now."""
        await self._change([*self._limits, _READ_ONLY])

    async def read_write(self) -> None:
        """Accept writes again."""
        await self._change([limit for limit in self._limits if limit != _READ_ONLY])

    async def mend(self) -> None:
        """Undo everything."""
        await self.unlock()
        if self._limits:
            await self._change([])

    async def _change(self, limits: list[str]) -> None:
        self._limits = limits
        # What connects anew gets the limits of the moment.
        await self._engine.dispose()

    def _limit(self, connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for limit in self._limits:
            cursor.execute(limit)
        cursor.close()

    async def _begin(self, *statements: str) -> Process:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _CHILD,
            self._path,
            *statements,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                if child.stdout is not None and await child.stdout.readline():
                    return child
                _, said = await child.communicate()
        except BaseException:
            child.kill()
            await child.wait()
            raise
        lines = said.decode(errors="replace").splitlines() or ["it ended"]
        raise FaultError(f"the other process failed: {lines[-1]}")
