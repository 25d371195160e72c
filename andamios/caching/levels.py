"""
Both levels as one: answers in this process, and those in Redis if there is one.

With Redis, an answer held in this process saves its transfer; whether it is current is
asked of Redis each time, in one round trip. So a commit anywhere is seen by the next read
everywhere. An answer that depends on tables then lives ``max_staleness`` seconds at most,
counted from before its load began: a writer that cannot reach Redis cannot tell anybody, and
this is what bounds how long others may go on with what it changed.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from andamios.caching.board import Board, Entry, LocalBoard, Versions, is_settled
from andamios.caching.codec import decode
from andamios.caching.flights import Flights
from andamios.caching.memory import Memory
from andamios.caching.shared import SharedBoard
from andamios.caching.statistics import CacheStats

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["MISSING", "Levels", "Look"]

JITTER = 0.1
"""How much shorter an answer may live than asked, so that those stored together end apart."""

MISSING: Any = object()
"""Stands for no answer, since None is one."""


@dataclass(frozen=True, slots=True)
class Look:
    """
    What was found for a key.

    Args:
        value: The answer, or ``MISSING``.
        versions: Of the tags on which a new answer may depend.
        began: When it was looked for, on the monotonic clock.
    """

    value: Any
    versions: Versions
    began: float


class Levels:
    """
    Finds and keeps answers.

    Args:
        redis_url: Of the second level; None leaves it out.
        max_entries: Answers in this process.
        max_staleness: Seconds, see above.
        timeout: Seconds after which a reader gives up on Redis.
    """

    def __init__(
        self, redis_url: str | None, *, max_entries: int, max_staleness: float, timeout: float
    ) -> None:
        self.stats = CacheStats()
        self.flights = Flights()
        self._memory = Memory(max_entries)
        self._longest = None if redis_url is None else max_staleness
        self.board: Board = (
            LocalBoard()
            if redis_url is None
            else SharedBoard(redis_url, timeout=timeout, failed=self.stats.count_error)
        )

    async def look(self, key: str, tags: Collection[str], model: str) -> Look:
        """
        Look for an answer.

        Args:
            key: Its key.
            tags: What a new answer may depend on.
            model: Under which name it is counted.
        """
        began = time.monotonic()
        entry, versions = await self._find(key, tags)
        value = MISSING
        if entry is not None:
            try:
                value = decode(entry.payload)
            except Exception:  # noqa: BLE001  whatever is stored, the database has the answer
                # By code with other models or another codec, for instance.
                self._memory.drop(key)
        self.stats.count(model, is_hit=value is not MISSING)
        return Look(value, versions, began)

    async def ask(self, tags: Collection[str]) -> Look:
        """Ask for versions alone, before something is kept that was not looked for."""
        return Look(MISSING, await self.board.versions(tags), time.monotonic())

    async def keep(
        self, key: str, payload: str, tags: Collection[str], look: Look, ttl: float
    ) -> bool:
        """
        Keep an answer, unless something it depends on was written since it was looked for.

        Args:
            key: Its key.
            payload: The encoded value.
            tags: What it depends on.
            look: What was found before it was loaded.
            ttl: Seconds; it may live a little shorter.

        Returns:
            Whether it was kept.
        """
        ttl *= 1 - random.random() * JITTER  # noqa: S311  no secret
        # What depends on nothing but clear() cannot miss a write.
        if self._longest is not None and len(tags) > 1:
            ttl = min(ttl, self._longest - (time.monotonic() - look.began))
        if ttl <= 0 or not is_settled(look.versions, tags):
            return False
        entry = Entry(payload, {tag: look.versions[tag] for tag in tags})
        is_kept = await self.board.store(key, entry, ttl)
        if is_kept:
            self._memory.put(key, entry, ttl)
        return is_kept

    def forget(self) -> None:
        """Drop what is held in this process."""
        self._memory.clear()

    async def close(self) -> None:
        """Wait for loads, and close what is open."""
        await self.flights.close()
        await self.board.close()

    async def _find(self, key: str, tags: Collection[str]) -> tuple[Entry | None, Versions]:
        entry = self._memory.get(key)
        if entry is None:
            return await self.board.fetch(key, tags)
        versions = await self.board.versions({*tags, *entry.versions})
        if entry.is_current(versions):
            return entry, versions
        if is_settled(versions, entry.versions):
            self._memory.drop(key)
            return await self.board.fetch(key, tags)
        return None, versions
