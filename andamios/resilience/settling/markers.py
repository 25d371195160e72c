"""What an engine knows of its table of commit markers, and how old ones are removed."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from typing import TYPE_CHECKING

from sqlalchemy import text

from andamios.core.hooks import INTERNAL
from andamios.core.markers import MARKERS, MARKING_BACKENDS
from andamios.errors import AndamiosError

if TYPE_CHECKING:
    from andamios.core.engine import AndamiosEngine

__all__ = ["Markers", "markers_of"]

PURGE_EVERY = 1000
"""COMMITs of an engine after which old markers are removed."""

KEPT = 24 * 3600
"""Seconds; no settler looks for a marker for longer than a minute."""

BATCH = 500
"""Rows that one statement removes."""

MOST_BATCHES = 20

LOOK_AGAIN = 10.0
"""Seconds after which a table that was missing may be there."""

# Keys begin with the time of the client that made them, which may be wrong.
PURGE = f"""
DELETE FROM andamios_commits
WHERE marker < X'%s' AND created_at < CURRENT_TIMESTAMP(6) - INTERVAL {KEPT} SECOND
ORDER BY marker LIMIT {BATCH}
"""  # noqa: S608  constants

log = logging.getLogger("andamios.resilience")


class Markers:
    """
    The table of commit markers of one engine.

    Args:
        engine: On MySQL or MariaDB.
    """

    def __init__(self, engine: AndamiosEngine) -> None:
        self._engine = weakref.ref(engine)
        self._missing_since: float | None = None
        self._count = 0
        self.purging: asyncio.Task[None] | None = None

    @property
    def may_be_there(self) -> bool:
        """Whether the table is there, or nobody has looked for a while."""
        since = self._missing_since
        return since is None or time.monotonic() - since > LOOK_AGAIN

    def is_missing(self) -> None:
        """Learn that it is not there, and say so once."""
        if self._missing_since is None:
            log.warning(
                "The table andamios_commits is missing, so that a COMMIT which loses its answer "
                "cannot be settled. Call TransactionManager(engine).prepare() once, or "
                "create_commit_markers() in a migration."
            )
        self._missing_since = time.monotonic()

    async def prepare(self, engine: AndamiosEngine) -> None:
        """Make the table, unless it is there."""
        await engine.create_all(MARKERS.metadata)
        self._missing_since = None

    def count(self) -> None:
        """Count a COMMIT with a marker; now and then, begin to remove old ones."""
        self._count += 1
        is_free = self.purging is None or self.purging.done()
        if self._count >= PURGE_EVERY and is_free:
            self._count = 0
            # Beside whoever committed, who does not wait for it.
            self.purging = asyncio.get_running_loop().create_task(self.purge())

    async def purge(self) -> None:
        """Remove what is older than a day, in small batches, as long as there is much."""
        engine = self._engine()
        if engine is None:
            return
        try:
            for _ in range(MOST_BATCHES):
                if await _purge_some(engine) < BATCH:
                    return
        except AndamiosError as error:
            log.warning("Old commit markers were not removed: %s", error)


async def _purge_some(engine: AndamiosEngine) -> int:
    limit = int((time.time() - KEPT) * 1000).to_bytes(6).hex()
    async with engine.connections.acquire() as plain:
        # Without locks on gaps, which would keep others from inserting.
        connection = await plain.execution_options(isolation_level="READ COMMITTED")
        removed = await connection.execute(text(PURGE % limit), execution_options={INTERNAL: True})
        await connection.commit()
        return removed.rowcount


_markers: weakref.WeakKeyDictionary[AndamiosEngine, Markers] = weakref.WeakKeyDictionary()


def markers_of(engine: AndamiosEngine) -> Markers | None:
    """Give what an engine knows of its table; None on backends that need none."""
    if engine.backend not in MARKING_BACKENDS:
        return None
    found = _markers.get(engine)
    if found is None:
        found = _markers[engine] = Markers(engine)
    return found
