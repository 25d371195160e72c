"""Statements that took too long: logged without values, and the worst of them kept."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from andamios.monitoring.fingerprints import fingerprint, mask_literals

__all__ = ["SlowQueries", "SlowQuery"]

KEPT = 100
LONGEST_TEXT = 2000

log = logging.getLogger("andamios.slow")


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """
    A statement that was slow at least once.

    Args:
        fingerprint: Twelve hexadecimal digits, equal for all values.
        statement: The SQL without values, its first 2000 characters.
        count: How often it was slow.
        total: Seconds, of all those times.
        longest: Seconds, of the longest.
    """

    fingerprint: str
    statement: str
    count: int
    total: float
    longest: float


class SlowQueries:
    """
    The slow statements of one engine.

    Args:
        backend: Whose SQL they are.
        kept: How many different ones; the one that cost least time makes room for a new one.

    Example:
        >>> slow = SlowQueries("sqlite")
        >>> for value in ("'a'", "'b'"):
        ...     slow.add(f"SELECT * FROM t WHERE x = {value}", 2.0)
        >>> [(query.statement, query.count) for query in slow.worst()]
        [('SELECT * FROM t WHERE x = ?', 2)]
    """

    def __init__(self, backend: str, *, kept: int = KEPT) -> None:
        self._backend = backend
        self._kept = kept
        self._queries: dict[str, SlowQuery] = {}
        self.count = 0

    def add(self, statement: str, seconds: float) -> None:
        """Log a statement, and count it."""
        name = fingerprint(statement, self._backend)
        known = self._queries.get(name)
        if known is None:
            text = mask_literals(statement, self._backend)[:LONGEST_TEXT]
            known = SlowQuery(name, text, 0, 0.0, 0.0)
            if len(self._queries) >= self._kept:
                del self._queries[min(self._queries.values(), key=lambda q: q.total).fingerprint]
        self.count += 1
        self._queries[name] = replace(
            known,
            count=known.count + 1,
            total=known.total + seconds,
            longest=max(known.longest, seconds),
        )
        facts = {"fingerprint": name, "duration": seconds}
        log.warning("%.3f s [%s] %s", seconds, name, known.statement, extra=facts)

    def worst(self) -> list[SlowQuery]:
        """List them, the one that cost most time in all first."""
        return sorted(self._queries.values(), key=lambda query: query.total, reverse=True)
