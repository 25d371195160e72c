"""Breaking MySQL and MariaDB."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.faults.services.base import ANSWER_LIMIT, FaultError, Held, until
from harness.faults.services.database import DatabaseFaults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from harness.services import ServiceDetails

__all__ = ["MySQLFaults"]

Rows: TypeAlias = tuple[tuple[Any, ...], ...]

_TOO_MANY = 1040
_FULL = {1114, 1021}
_GONE = {1094}
_NO_DATABASE = {1008}
_NO_WARNINGS = "SET SESSION max_error_count = 0"
"""The driver would make exceptions of them; one is about SHOW PROCESSLIST."""

_OURS = {"system user", "event_scheduler"}
_ROWS = (500, 50, 5, 1)
"""Rows a statement, of those that fill a disk: the last ones find place where no others do."""

_FILL = """
INSERT INTO {table} WITH RECURSIVE numbers (number) AS (
    SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {rows}
) SELECT REPEAT('x', 7000) FROM numbers
"""
"""Rows fit into a page: MariaDB dies of a larger one that it has to roll back without space."""


class MySQLFaults(DatabaseFaults):
    """A server of MySQL or MariaDB to be broken."""

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[_Admin]:
        import aiomysql  # noqa: PLC0415  an extra

        details = self._server.details
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                connection = await self._get_in(details)
            try:
                yield _Admin(connection)
            finally:
                connection.close()
        except (OSError, TimeoutError, aiomysql.MySQLError) as error:
            raise FaultError(f"{details.name} did not do it: {error!r}") from error

    async def _get_in(self, details: ServiceDetails) -> Any:
        import aiomysql  # noqa: PLC0415  an extra

        while True:
            try:
                return await _connect(details, details.user, "", _NO_WARNINGS)
            except aiomysql.OperationalError as error:
                # There is one place more for us, which who was refused just now still holds.
                if error.args[0] != _TOO_MANY:
                    raise
            await asyncio.sleep(0.02)

    async def _set_up(self) -> str:
        details, name = self._server.details, self._name
        async with self._admin() as admin:
            await admin.ask(f"CREATE DATABASE {name}")
            await admin.ask(f"CREATE USER {name}@'%' IDENTIFIED BY '{details.password}'")
            await admin.ask(f"GRANT ALL ON {name}.* TO {name}@'%'")
        return replace(details, user=name, database=name).url()

    async def _tear_down(self) -> None:
        await self._end_others()
        async with self._admin() as admin:
            await admin.ask(f"DROP DATABASE {self._name}")
            await admin.ask(f"DROP USER {self._name}@'%'")

    async def _hold_one(self) -> Held | None:
        import aiomysql  # noqa: PLC0415  an extra

        try:
            connection = await _connect(self._server.details, self._name, self._name)
        except aiomysql.OperationalError as error:
            if error.args[0] == _TOO_MANY:
                return None
            raise

        async def close() -> None:
            connection.close()

        return Held(connection.thread_id(), close)

    async def _end_others(self) -> int:
        async with self._admin() as admin:
            others = await self._others(admin)
            for number in others:
                await admin.ask(f"KILL {number}", unless=_GONE)

            async def have_ended() -> bool:
                return not others & await self._others(admin)

            await until(have_ended, "connections to end")
        return len(others)

    async def _others(self, admin: _Admin) -> set[int]:
        ours = {admin.number, *(each.number for each in self._held)}
        rows = await admin.ask("SHOW PROCESSLIST")
        return {int(row[0]) for row in rows or () if row[1] not in _OURS} - ours

    async def _set_read_only(self, *, is_read_only: bool) -> None:
        # In MariaDB nobody is above the one, who is not allowed to be.
        is_mariadb = self._server.details.name == "mariadb"
        name = "read_only" if is_mariadb else "super_read_only"
        async with self._admin() as admin:
            await admin.ask(f"SET SESSION lock_wait_timeout = {ANSWER_LIMIT:.0f}")
            await admin.ask(f"SET GLOBAL {name} = {int(is_read_only)}")
            if not is_read_only:
                await admin.ask("SET GLOBAL read_only = 0")

    async def _fill(self) -> None:
        async with self._admin() as admin:
            await admin.ask(f"CREATE DATABASE {self._filler}")
            for rows in _ROWS:
                while await self._write(admin, rows):
                    pass

    async def _free(self) -> None:
        async with self._admin() as admin:
            dropped = await admin.ask(f"DROP DATABASE {self._filler}", unless=_NO_DATABASE)
            if dropped is None:
                return

            async def is_free() -> bool:
                await admin.ask(f"CREATE DATABASE {self._filler}")
                is_written = await self._write(admin, _ROWS[0])
                await admin.ask(f"DROP DATABASE {self._filler}")
                return is_written

            # MariaDB gives space back some time after it was asked for.
            await until(is_free, "space on the disk")

    @property
    def _filler(self) -> str:
        return f"{self._name}_filler"

    async def _write(self, admin: _Admin, rows: int) -> bool:
        table = f"{self._filler}.filler"
        made = f"CREATE TABLE IF NOT EXISTS {table} (filler VARCHAR(7000)) CHARACTER SET latin1"
        if await admin.ask(made, unless=_FULL) is None:
            return False
        return await admin.ask(_FILL.format(table=table, rows=rows), unless=_FULL) is not None


class _Admin:
    """A connection of the administrator."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.number: int = connection.thread_id()

    async def ask(self, sql: str, *, unless: Collection[int] = ()) -> Rows | None:
        """Do a statement; None if it fails with one of these numbers."""
        import aiomysql  # noqa: PLC0415  an extra

        async with asyncio.timeout(ANSWER_LIMIT), self._connection.cursor() as cursor:
            try:
                await cursor.execute(sql)
            except aiomysql.MySQLError as error:
                if error.args and error.args[0] in unless:
                    return None
                raise
            found: Rows = await cursor.fetchall()
            return found


async def _connect(
    details: ServiceDetails, user: str, database: str, first: str | None = None
) -> Any:
    import aiomysql  # noqa: PLC0415  an extra

    return await aiomysql.connect(
        host=details.host,
        port=details.port,
        user=user,
        password=details.password,
        db=database or None,
        connect_timeout=ANSWER_LIMIT,
        autocommit=True,
        init_command=first,
    )
