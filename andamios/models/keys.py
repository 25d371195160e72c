"""Keys that a client can make by itself."""

from __future__ import annotations

import secrets
import time
import uuid

__all__ = ["uuid7"]


def uuid7() -> uuid.UUID:
    """
    Make a UUID of version 7: 48 bits of time in milliseconds, then randomness.

    New keys sort behind older ones, so that an index grows at its end. Source: RFC 9562,
    section 5.7.
    """
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return uuid.UUID(int=value)
