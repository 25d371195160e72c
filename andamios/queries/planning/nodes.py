"""Words for the nodes of plans that more than one file needs."""

from __future__ import annotations

__all__ = ["ACCESSES"]

ACCESSES = frozenset(
    {"sequential scan", "index scan", "index only scan", "bitmap scan", "primary key lookup"}
)
"""The nodes that read a table."""
