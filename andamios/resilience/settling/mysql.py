"""
What became of a transaction on MySQL and MariaDB, by a marker.

The last statement before COMMIT inserts a row with a key that nobody else has. If the answer
is lost, the settler inserts the same key and commits: a duplicate says that the transaction was
committed; success says that it never will be, since the key is taken now. Merely to read would
not do: the row may be missing now, and be committed a moment later. As long as the transaction
is open, the insert waits; then the server's thread that holds it is ended.

That thread is found by the row itself, which READ UNCOMMITTED shows: it names its thread, its
server and its time. The numbers of threads begin anew with each start of a server, so that
it is ended only when row and server are of the same life.

A row of the settler's names the thread 0: its own COMMIT may be lost too, and it must not
take its row for the transaction's.

A crash changes nothing of this where ``innodb_flush_log_at_trx_commit = 1``, as it is by
default. After a failover to a replica that did not receive the transaction it is not committed
there, and the settler's row says so.

MySQL, "InnoDB Locking" and "Consistent Nonlocking Reads".
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from andamios.core.hooks import INTERNAL
from andamios.core.translation import error_code
from andamios.errors import AndamiosError, DeadlockError, DuplicateError, QueryError, ReadOnlyError
from andamios.resilience.settling.witness import Finding, Witness

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from andamios.core.facts import Outcome
    from andamios.resilience.settling.markers import Markers

__all__ = ["MarkerWitness", "new_marker"]

SERVER = "CRC32(CONCAT_WS('/', @@hostname, @@port, @@server_id))"

INSERT = "INSERT INTO andamios_commits (marker, thread, server) SELECT X'%s', %s, " + SERVER

WRITER = "SELECT thread FROM andamios_commits WHERE marker = X'%s'"

HOLDER = f"""
{WRITER} AND thread <> 0 AND server = {SERVER}
  AND created_at > CURRENT_TIMESTAMP(6) - INTERVAL %s SECOND
"""
"""Its row was written since the server's start."""

NO_TABLE = {1046, 1142, 1146}
"""Errors of an INSERT into a table that is missing, or that this user may not write."""

READ_ONLY = {1290, 1792, 1836}


def new_marker() -> str:
    """
    Make a key of 16 bytes, in hexadecimals.

    As in a UUID of version 7 (RFC 9562), the first six tell the milliseconds, so that new rows
    come last in the table and old ones are found by their keys; ten are random.
    """
    return (int(time.time() * 1000).to_bytes(6) + os.urandom(10)).hex()


class MarkerWitness(Witness):
    """
    Inserts a marker before COMMIT, and asks for it by inserting it again.

    Args:
        markers: What the engine knows of its table.
    """

    can_tell = True

    def __init__(self, markers: Markers) -> None:
        super().__init__()
        self._markers = markers
        self._marker: str | None = None

    @property
    def transaction(self) -> str | None:
        """The marker, in hexadecimals."""
        return self._marker

    def before(self, connection: Any) -> None:
        """Insert the marker, unless the table is known to be missing."""
        if not self._markers.may_be_there:
            return
        marker = new_marker()
        cursor = connection.cursor()
        try:
            cursor.execute(INSERT % (marker, "CONNECTION_ID()"))
        except Exception as error:
            code = error_code(error)
            if code in NO_TABLE:
                self._markers.is_missing()
            elif code not in READ_ONLY:  # where nothing was written either
                raise
        else:
            self._marker = marker
        finally:
            cursor.close()

    def ended(self, outcome: Outcome) -> None:
        """Learn what came of the COMMIT."""
        super().ended(outcome)
        if outcome == "committed" and self._marker is not None:
            self._markers.count()

    async def look(self, connection: AsyncConnection) -> Finding:
        """Insert the marker; while the transaction holds it, end the transaction's thread."""
        if self._marker is None:
            return Finding(
                None,
                "the table andamios_commits is missing. Make it with 'await manager.prepare()', "
                "or in a migration with create_commit_markers()",
            )
        try:
            return await self._insert(connection, self._marker)
        finally:
            await connection.invalidate()  # with its short time-out

    async def _insert(self, connection: AsyncConnection, marker: str) -> Finding:
        await _send(connection, "SET SESSION innodb_lock_wait_timeout = 1")
        try:
            await _send(connection, INSERT % (marker, 0))
            await connection.commit()
        except DuplicateError:
            await connection.rollback()
            return await self._whose(connection, marker)
        except DeadlockError:
            await connection.rollback()
            await self._end(connection, marker)
            return Finding.not_yet("the transaction is still open")
        except ReadOnlyError:
            return Finding.not_yet("the server only reads")
        except QueryError as error:
            if error.code not in NO_TABLE:
                raise
            return Finding(None, "the table andamios_commits is gone")
        return Finding(False, "its marker was not there, and cannot come any more")  # noqa: FBT003

    async def _whose(self, connection: AsyncConnection, marker: str) -> Finding:
        writer = (await _send(connection, WRITER % marker)).scalar()
        if writer is None:
            return Finding.not_yet("its marker came and went")
        is_committed = writer != 0
        return Finding(is_committed, f"its marker is {'there' if is_committed else 'taken'}")

    async def _end(self, connection: AsyncConnection, marker: str) -> None:
        uptime = (await _send(connection, "SHOW GLOBAL STATUS LIKE 'Uptime'")).one()[1]
        await connection.rollback()
        await _send(connection, "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
        thread = (await _send(connection, HOLDER % (marker, int(uptime)))).scalar()
        if thread is not None:
            try:
                await _send(connection, f"KILL {int(thread)}")
            except AndamiosError:
                return  # it is gone already, or this user may not


async def _send(connection: AsyncConnection, statement: str) -> Any:
    return await connection.execute(text(statement), execution_options={INTERNAL: True})
