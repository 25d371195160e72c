"""Breaking PostgreSQL."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.faults.services.base import ANSWER_LIMIT, FaultError, Held, until
from harness.faults.services.database import DatabaseFaults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg import Connection

__all__ = ["PostgreSQLFaults"]

_MOVE_TRIES = 5


class PostgreSQLFaults(DatabaseFaults):
    """A server of PostgreSQL to be broken."""

    @asynccontextmanager
    async def _admin(self, database: str = "postgres") -> AsyncIterator[Connection]:
        import asyncpg  # noqa: PLC0415  an extra

        details = self._server.details
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                connection = await asyncpg.connect(
                    host=details.host,
                    port=details.port,
                    user=details.user,
                    password=details.password,
                    database=database,
                    ssl=False,
                    command_timeout=ANSWER_LIMIT,
                )
            try:
                yield connection
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise FaultError(f"postgresql did not do it: {error!r}") from error

    async def _set_up(self) -> str:
        details = self._server.details
        async with self._admin() as admin:
            await admin.execute(f"CREATE ROLE {self._name} LOGIN PASSWORD '{details.password}'")
            await admin.execute(f"CREATE DATABASE {self._name} OWNER {self._name}")
        return replace(details, user=self._name, database=self._name).url()

    async def _tear_down(self) -> None:
        async with self._admin() as admin:
            await admin.execute(f"DROP DATABASE {self._name} WITH (FORCE)")
            await admin.execute(f"DROP ROLE {self._name}")

    async def _hold_one(self) -> Held | None:
        import asyncpg  # noqa: PLC0415  an extra

        details = self._server.details
        try:
            connection = await asyncpg.connect(
                host=details.host,
                port=details.port,
                user=self._name,
                password=details.password,
                database=self._name,
                ssl=False,
            )
        except asyncpg.TooManyConnectionsError:
            return None

        async def close() -> None:
            connection.terminate()

        return Held(connection.get_server_pid(), close)

    async def _end_others(self) -> int:
        held = [each.number for each in self._held]
        others = (
            "FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid() AND pid <> ALL($1)"
        )
        async with self._admin() as admin:
            rows = await admin.fetch(f"SELECT pid, pg_terminate_backend(pid) {others}", held)
            ended = [row[0] for row in rows]
            left = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY($1)"
            await until(lambda: admin.fetchval(left, ended), "connections to end")
        return len(ended)

    async def _set_read_only(self, *, is_read_only: bool) -> None:
        setting, value = "default_transaction_read_only", "on" if is_read_only else "off"

        async def is_set() -> bool:
            return bool(await watching.fetchval(f"SHOW {setting}") == value)

        # One that is there already sees when those of others do.
        async with self._admin() as watching, self._admin() as admin:
            await admin.execute(f"ALTER SYSTEM SET {setting} = {value}")
            await admin.execute("SELECT pg_reload_conf()")
            await until(is_set, f"{setting} = {value}")

    async def _fill(self) -> None:
        folder = (await self._do(self._server.small_disk)).replace("'", "''")
        async with self._admin(self._name) as admin:
            await admin.execute(f"CREATE TABLESPACE {self._name} LOCATION '{folder}'")
            await admin.execute(f"GRANT CREATE ON TABLESPACE {self._name} TO {self._name}")
            await admin.execute(
                f"ALTER DATABASE {self._name} SET default_tablespace = {self._name}"
            )
            await self._move(admin, "pg_default", self._name)
        await self._do(self._server.fill)

    async def _free(self) -> None:
        await self._do(self._server.free)
        async with self._admin(self._name) as admin:
            found = "SELECT count(*) FROM pg_tablespace WHERE spcname = $1"
            if await admin.fetchval(found, self._name):
                await admin.execute(f"ALTER DATABASE {self._name} RESET default_tablespace")
                await self._move(admin, self._name, "pg_default")
                await admin.execute(f"DROP TABLESPACE {self._name}")

    async def _move(self, admin: Connection, source: str, target: str) -> None:
        """Move tables and indexes, for which nobody else may use them for a moment."""
        import asyncpg  # noqa: PLC0415  an extra

        await admin.execute("SET lock_timeout = '2s'")
        for kind in ("TABLE", "INDEX"):
            for is_last in (*[False] * _MOVE_TRIES, True):
                try:
                    await admin.execute(
                        f"ALTER {kind} ALL IN TABLESPACE {source} SET TABLESPACE {target}"
                    )
                    break
                except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                    if is_last:
                        raise
