"""Reads that come last: what they do not show is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.faults.histories.history import HistoryError

if TYPE_CHECKING:
    from harness.faults.histories.history import History
    from harness.faults.histories.operation import Operation

__all__ = ["final_reads"]


def final_reads(history: History, write: str) -> list[Operation]:
    """
    Give the reads that began when every write had ended.

    Args:
        history: Where they are.
        write: The name of operations that write; the others are reads.

    Raises:
        HistoryError: There is none, so that nothing can be said about losses.
    """
    ends = (each.ended or 0 for each in history if each.name == write)
    last = max(ends, default=-1)
    reads = [each for each in history if each.name == "read" and each.is_ok and each.began > last]
    if not reads:
        raise HistoryError(f"no read was answered after the last {write!r}; read once at the end")
    return reads
