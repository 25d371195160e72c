"""
What became of a transaction on PostgreSQL, by its id.

``pg_xact_status`` tells it, but not for whom: an id is written to the log only with the first
change that is, and a server that crashes before that was flushed gives the same id to another
transaction afterwards. Its COMMIT would be taken for ours. So the look also finds out whether
the server has lived on since. Its life is told by two numbers: when the postmaster started,
and how far the recovery at the beginning of this life came, which is NULL after a clean start
and never the same twice. In the same life the status is ours. In another one

* whatever is not committed is not ours, since our connection is gone with its server;
* after a recovery that ended before the place in the log where our COMMIT would be, it is
  not there; after one that came further, our id was in what survived, and the status is ours;
* after a clean start it is ours if the server's statistics are as old as before: a crash, of
  which there is no other trace, throws them away. Else nobody can tell.

Covered are crashes, restarts, standbys that were promoted (a recovery like any other; what an
asynchronous one had not received is not committed there) and poolers. A transaction that
waits for a synchronous standby is waited for. Not covered:

* two crashes between COMMIT and the first look, when the first one lost the id, another
  transaction got it, and the second recovery came past our place. No function of the server
  tells how often it crashed, and to flush the id before each COMMIT would double its cost;
* what gets no id here, since it changes nothing here: writes to foreign tables alone, which
  other servers commit, and ``NOTIFY`` alone. After a lost COMMIT they may be done twice;
* servers that keep their log elsewhere than PostgreSQL does;
* a log that is not flushed where the server says it is (``fsync = off``), or a COMMIT that asks
  for that (``synchronous_commit = off``): it may be found committed and still be lost in a
  later crash.

PostgreSQL, "Transaction ID and Snapshot Information Functions", "Recovery Information
Functions" and "WAL Reliability"; ``src/backend/access/transam/xlogrecovery.c``.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from andamios.core.hooks import INTERNAL
from andamios.errors import AndamiosError
from andamios.resilience.settling.witness import Finding, Witness

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Life", "PostgreSQLWitness", "Seen", "Trace", "judge"]

STARTED = "to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')"
RECOVERED = "(pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::text"
CLUSTER = "(SELECT system_identifier::text FROM pg_control_system())"
COUNTS_SINCE = (
    "(SELECT to_char(stats_reset AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS') FROM pg_stat_bgwriter)"
)
"""None of these reads differently under another time zone or format of dates."""

NOTE = f"""
SELECT pg_current_xact_id_if_assigned()::text,
  CASE WHEN pg_is_in_recovery() THEN NULL
    ELSE (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text END,
  {STARTED},
  {RECOVERED}
"""
"""Sent before each COMMIT, so that it asks for nothing that costs time."""

HISTORY = f"SELECT {CLUSTER}, {COUNTS_SINCE}"
"""What stays the same for a whole life of a server, and is asked for once."""

LOOK = f"""
SELECT CASE WHEN pg_is_in_recovery() THEN NULL
    WHEN CAST(CAST(:id AS text) AS xid8) < pg_snapshot_xmax(pg_current_snapshot())
    THEN coalesce(pg_xact_status(CAST(CAST(:id AS text) AS xid8)), 'forgotten')
    ELSE 'in progress' END,
  {STARTED},
  {RECOVERED}
"""
"""An id that is not below ``xmax`` is not over, or was never given; the status of one that was
never given would be an error."""

END = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_xid = CAST(CAST(CAST(:id AS text) AS xid8) AS xid)
  AND pid <> pg_backend_pid() AND wait_event IS DISTINCT FROM 'SyncRep'
  AND {STARTED} = CAST(:started AS text)
  AND {RECOVERED} IS NOT DISTINCT FROM CAST(:recovered AS text)
"""  # noqa: S608  constants
"""By the transaction, and only in the life that gave it its id, so that no stranger is ended."""


@dataclass(frozen=True, slots=True)
class Life:
    """
    A server from a start, or a crash that it recovered from by itself, to the next one.

    Args:
        started: When the postmaster started.
        recovered: Bytes of the log up to where the recovery came that began this life; None
            if it began without.
    """

    started: str
    recovered: str | None


@dataclass(frozen=True, slots=True)
class History:
    """What a server's life began with: which cluster it serves, and since when it counts."""

    cluster: str | None
    counts_since: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """What a transaction can be found by: its id, a place in the log before its COMMIT, a life."""

    id: str
    place: int
    life: Life
    history: History


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look saw; the status is None on a standby."""

    status: str | None
    life: Life
    history: History


_histories: weakref.WeakKeyDictionary[Dialect, dict[Life, History]] = weakref.WeakKeyDictionary()


def judge(trace: Trace, seen: Seen) -> Finding:
    """Say what became of a transaction, from its trace and what was seen later."""
    if seen.status is None:
        return Finding.not_yet("a standby answers instead of the server")
    if seen.history.cluster != trace.history.cluster:
        return Finding(None, "another cluster answers, where the id means nothing")
    if seen.status == "forgotten":
        return Finding(None, "the server has forgotten so old an id")
    return _judge_life(seen) if seen.life == trace.life else _judge_another(trace, seen)


def _judge_life(seen: Seen) -> Finding:
    if seen.status == "in progress":
        return Finding.not_yet("the transaction is in progress")
    return Finding(seen.status == "committed", f"it is {seen.status}")


def _judge_another(trace: Trace, seen: Seen) -> Finding:
    if seen.status != "committed":
        return Finding(False, "the server began anew without it")  # noqa: FBT003  a field
    if seen.life.recovered is not None:
        is_ours = int(seen.life.recovered) > trace.place
        what = "with" if is_ours else "without"
        return Finding(is_ours, f"the server recovered {what} it")
    since = trace.history.counts_since
    if since is not None and seen.history.counts_since == since:
        return Finding(True, "it is committed, and the server was restarted")  # noqa: FBT003
    return Finding(
        None,
        "the server may have crashed, and was then restarted, so that its id may have been given "
        "to another transaction, which is committed",
    )


class PostgreSQLWitness(Witness):
    """
    Notes the id before COMMIT, and asks for its status.

    Args:
        dialect: The engine's, under which the lives of its servers are kept.
    """

    can_tell = True

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect
        self._trace: Trace | None = None
        self._has_written = True

    @property
    def transaction(self) -> str | None:
        """The id."""
        return None if self._trace is None else self._trace.id

    def before(self, connection: Any) -> None:
        """Read the id and the rest, in one round trip, and two more once in a server's life."""
        driver = connection.driver_connection
        is_open = getattr(driver, "is_in_transaction", None)  # asyncpg's
        if is_open is not None and not is_open():
            self._has_written = False
            return
        cursor = connection.cursor()
        try:
            self._read(cursor)
        finally:
            cursor.close()

    def _read(self, cursor: Any) -> None:
        cursor.execute(NOTE)
        number, place, started, recovered = cursor.fetchone()
        self._has_written = number is not None
        if number is None or place is None:
            return
        life = Life(started, recovered)
        known = _histories.setdefault(self._dialect, {})
        if life not in known:
            known[life] = self._ask_for_history(cursor)
        self._trace = Trace(number, int(place), life, known[life])

    def _ask_for_history(self, cursor: Any) -> History:
        # Whom the server does not let ask must be able to commit all the same.
        cursor.execute("SAVEPOINT andamios_history")
        try:
            cursor.execute(HISTORY)
            found = History(*cursor.fetchone())
        except self._dialect.loaded_dbapi.Error:
            cursor.execute("ROLLBACK TO SAVEPOINT andamios_history")
            found = History(None, None)
        cursor.execute("RELEASE SAVEPOINT andamios_history")
        return found

    async def look(self, connection: AsyncConnection) -> Finding:
        """Ask for the status; a transaction that is in progress is ended on the server."""
        if not self._has_written:
            return Finding(False, "it had written nothing")  # noqa: FBT003
        if self._trace is None:
            return Finding(None, "its id is not known")
        seen = await self._see(connection, self._trace)
        found = judge(self._trace, seen)
        if not found.is_final and seen.status is not None:
            await self._end(connection, seen.life)
        return found

    async def _see(self, connection: AsyncConnection, trace: Trace) -> Seen:
        is_told = trace.history.cluster is not None
        query = text(f"{LOOK}, {CLUSTER}, {COUNTS_SINCE}" if is_told else f"{LOOK}, NULL, NULL")
        quiet = {INTERNAL: True}
        asked = await connection.execute(query, {"id": trace.id}, execution_options=quiet)
        status, started, recovered, *history = asked.one()
        return Seen(status, Life(started, recovered), History(*history))

    async def _end(self, connection: AsyncConnection, life: Life) -> None:
        values = {"id": self.transaction, "started": life.started, "recovered": life.recovered}
        try:
            await connection.execute(text(END), values, execution_options={INTERNAL: True})
        except AndamiosError:
            await connection.rollback()  # not allowed; it may end by itself
