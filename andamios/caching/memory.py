"""The first level: answers in this process, the least recently used one leaves first."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from andamios.caching.board import Entry

__all__ = ["Memory"]


class Memory:
    """
    A bounded store of answers with an end to each.

    Args:
        limit: Answers that are kept.

    Example:
        >>> from andamios.caching.board import Entry
        >>> from andamios.caching.memory import Memory
        >>> memory = Memory(limit=1)
        >>> memory.put("a", Entry("1", {}), ttl=60)
        >>> memory.put("b", Entry("2", {}), ttl=60)
        >>> memory.get("a") is None, memory.get("b").payload
        (True, '2')
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[str, tuple[Entry, float]] = OrderedDict()

    def get(self, key: str) -> Entry | None:
        """Give an answer whose time is not up, or None."""
        found = self._held.get(key)
        if found is None:
            return None
        entry, until = found
        if until < time.monotonic():
            self.drop(key)
            return None
        self._held.move_to_end(key)
        return entry

    def put(self, key: str, entry: Entry, ttl: float) -> None:
        """Keep an answer for ``ttl`` seconds."""
        self._held[key] = (entry, time.monotonic() + ttl)
        self._held.move_to_end(key)
        while len(self._held) > self._limit:
            self._held.popitem(last=False)

    def drop(self, key: str) -> None:
        """Keep an answer no longer."""
        self._held.pop(key, None)

    def clear(self) -> None:
        """Keep nothing."""
        self._held.clear()

    def __len__(self) -> int:
        return len(self._held)
