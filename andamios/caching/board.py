"""
The board: which version each tag has, and who is writing to it now.

This is what keeps answers fresh, and it needs three rules.

1. Before COMMIT is sent, a writer gives each tag that it touched a new version and puts its
   mark on it; after COMMIT it gives it another version and takes the mark away.
2. An answer carries the versions its tags had before its load began. It is given to readers
   only while the tags have these very versions and no mark.
3. It is stored only if that is still so, checked and stored in one step.

Why nothing stale is given out: take a reader that begins after a COMMIT returned. The version
changed before that COMMIT was sent, so that every answer that was there is void. A load that
began before carries an older version and is refused. A load that began between the
mark and its removal saw the mark, and is not kept. A load that began after that sees the
commit. A load that others wait for is shared only among readers who found equal versions.

A mark ends by itself after ``LEASE`` seconds, for a writer that died. After a COMMIT whose
outcome is unknown the mark is left to that, since the server may still be at it; if somebody
finds out what became of it, versions change and the mark goes then, as after any other end.

The idea of a token that a write takes away from a load under way is that of leases in
Facebook's memcache (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, §3.2.1). There
the cache learns of a write after the COMMIT; here before it too, so that there is no moment
at which a committed value is not the one given out.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["LEASE", "WRITTEN", "Board", "Entry", "LocalBoard", "Versions", "is_settled"]

LEASE = 30.0
"""Seconds after which a mark ends by itself."""

WRITTEN = ""
"""Stands for the version of a tag that somebody is writing to, or that nobody knows."""

Versions = dict[str, str]


def is_settled(versions: Mapping[str, str], tags: Collection[str]) -> bool:
    """Whether each of these tags has a known version, and nobody writes to it."""
    return all(versions.get(tag, WRITTEN) != WRITTEN for tag in tags)


@dataclass(frozen=True, slots=True)
class Entry:
    """
    An answer as it is kept.

    Args:
        payload: The value as text.
        versions: Of the tags it depends on, from before it was loaded.
    """

    payload: str
    versions: Mapping[str, str]

    def is_current(self, now: Mapping[str, str]) -> bool:
        """Whether all its tags have the same versions now."""
        return all(now.get(tag, WRITTEN) == version for tag, version in self.versions.items())


class Board(Protocol):
    """What the cache asks of a board; one that cannot be reached knows no versions."""

    async def versions(self, tags: Collection[str]) -> Versions:
        """Give the version of each tag; ``WRITTEN`` while it is being written to."""

    async def fetch(self, key: str, tags: Collection[str]) -> tuple[Entry | None, Versions]:
        """Give an answer that other processes can see and that is current, and versions."""

    async def store(self, key: str, entry: Entry, ttl: float) -> bool:
        """Keep an answer, if it is current; say whether it was."""

    async def mark(self, writer: str, tags: Collection[str]) -> None:
        """Change versions and put a writer's mark on them; never raises."""

    async def unmark(self, writer: str, tags: Collection[str], *, changed: bool) -> None:
        """Take a writer's mark away, after it has changed what the tags name; never raises."""

    async def close(self) -> None:
        """Let go of what it holds."""


class LocalBoard:
    """
    A board for the readers and writers of one process.

    Args:
        limit: Tags that are remembered; one that was forgotten has a new version, so that
            what depends on it is loaded again.

    Example:
        >>> import asyncio
        >>> from andamios.caching.board import LocalBoard
        >>> async def main() -> bool:
        ...     board = LocalBoard()
        ...     before = await board.versions(["t:users"])
        ...     await board.mark("writer", ["t:users"])
        ...     await board.unmark("writer", ["t:users"], changed=True)
        ...     return before == await board.versions(["t:users"])
        >>> asyncio.run(main())
        False
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._versions: OrderedDict[str, str] = OrderedDict()
        self._marks: dict[str, dict[str, float]] = {}
        self._numbers = itertools.count(1)

    async def versions(self, tags: Collection[str]) -> Versions:
        """Give the version of each tag; ``WRITTEN`` while it is being written to."""
        return {tag: WRITTEN if self.is_marked(tag) else self._version(tag) for tag in tags}

    async def fetch(self, key: str, tags: Collection[str]) -> tuple[Entry | None, Versions]:
        """Give no answer, since nobody else keeps any, and versions."""
        return None, await self.versions(tags)

    async def store(self, key: str, entry: Entry, ttl: float) -> bool:
        """Say whether an answer is current."""
        return entry.is_current(await self.versions(entry.versions))

    async def mark(self, writer: str, tags: Collection[str]) -> None:
        """Change versions and put a writer's mark on them."""
        until = time.monotonic() + LEASE
        for tag in tags:
            self._change(tag)
            marks = self._marks.pop(tag, {}) if self.is_marked(tag) else {}
            self._marks[tag] = {**marks, writer: until}
        # The first was marked longest ago; whoever put that mark may never come back.
        while self._marks and not self.is_marked(next(iter(self._marks))):
            pass

    async def unmark(self, writer: str, tags: Collection[str], *, changed: bool) -> None:
        """Take a writer's mark away."""
        for tag in tags:
            if changed:
                self._change(tag)
            marks = self._marks.get(tag, {})
            marks.pop(writer, None)
            if not marks:
                self._marks.pop(tag, None)

    async def close(self) -> None:
        """Do nothing: nothing is held."""

    def is_marked(self, tag: str) -> bool:
        """Whether somebody writes to a tag."""
        marks = self._marks.get(tag)
        if marks is None:
            return False
        now = time.monotonic()
        for writer in [writer for writer, until in marks.items() if until < now]:
            del marks[writer]
        if not marks:
            del self._marks[tag]
        return bool(marks)

    def _version(self, tag: str) -> str:
        if tag not in self._versions:
            self._change(tag)
        self._versions.move_to_end(tag)
        return self._versions[tag]

    def _change(self, tag: str) -> None:
        self._versions[tag] = str(next(self._numbers))
        self._versions.move_to_end(tag)
        while len(self._versions) > self._limit:
            self._versions.popitem(last=False)
