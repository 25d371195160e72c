"""Keys that a client can make by itself."""

from __future__ import annotations

import secrets
import threading
import time
import uuid

__all__ = ["uuid7"]


def uuid7() -> uuid.UUID:
    """
    Make a UUID of version 7: 60 bits of time, in 4096ths of a millisecond, then randomness.

    New keys of a process sort behind its older ones, also when they are made at once or
    the clock is set back, so that an index grows at its end. Source: RFC 9562, sections
    5.7 and 6.2, method 3.
    """
    millis, fraction = divmod(_clock.next(), 1 << 12)
    value = millis << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | secrets.randbits(62)
    return uuid.UUID(int=value)


class _Clock:
    """The time in 4096ths of a millisecond; never the same twice."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        now = (time.time_ns() << 12) // 1_000_000
        with self._lock:
            self._last = max(now, self._last + 1)
            return self._last


_clock = _Clock()
