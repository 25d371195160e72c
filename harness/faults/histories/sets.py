"""A set that many add to at once, and whether each element that was acknowledged is there once."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from harness.faults.histories.ends import final_reads
from harness.faults.histories.levels import Level
from harness.faults.histories.verdict import Anomaly, Verdict

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterator

    from harness.faults.histories.history import History
    from harness.faults.histories.operation import Operation

__all__ = ["GrowingSet", "SetStore"]


class SetStore(Protocol):
    """Rows in a database, one for each element; no constraint keeps them from coming twice."""

    async def add(self, element: int) -> None:
        """Insert a row, in a transaction."""

    async def read(self) -> Collection[int]:
        """Give the elements of all rows, however often they are there."""


class GrowingSet:
    """
    Adds of elements that are never added twice, and one read at the end.

    Example:
        >>> from harness.faults.histories import History
        >>> history = History()
        >>> for element in (1, 2):
        ...     history.invoke(0, "add", element).ok()
        >>> history.invoke(0, "add", 3).unknown()
        >>> history.invoke(0, "read").ok([2, 3, 3])
        >>> verdict = GrowingSet().check(history)
        >>> verdict.kinds(), verdict.facts["recovered"]
        ({'doubled element': 1, 'lost element': 1}, 1)
    """

    def __init__(self) -> None:
        self._elements = itertools.count(1)

    def ask(self, chance: random.Random) -> tuple[str, Any]:
        """Choose an element that was never added."""
        return ("add", next(self._elements))

    def last(self) -> list[tuple[str, Any]]:
        """Read all of them."""
        return [("read", None)]

    async def perform(self, store: SetStore, name: str, asked: Any) -> Any:
        """Add or read."""
        return list(await store.read()) if name == "read" else await store.add(asked)

    def check(
        self, history: History, *, isolation: str = "SERIALIZABLE", database: str | None = None
    ) -> Verdict:
        """
        Find elements that are lost, doubled, or there although they should not be.

        Args:
            history: Operations `add`, which asked an element, and `read`, which gave all.
            isolation: At which level it ran; no level allows any of this.
            database: On which database.

        Raises:
            HistoryError: There is no read at the end.
        """
        read = final_reads(history, "add")[-1]
        adds = {each.asked: each for each in history if each.name == "add"}
        seen = Counter(read.answer)
        unknown = {element for element, add in adds.items() if add.is_unknown}
        facts = {
            "acknowledged": sum(add.is_ok for add in adds.values()),
            "unknown": len(unknown),
            "recovered": len(unknown & seen.keys()),
        }
        found = _find(read, adds, seen)
        return Verdict.of("set", history, found, at=(isolation, database), facts=facts)


def _find(read: Operation, adds: dict[int, Operation], seen: Counter[int]) -> Iterator[Anomaly]:
    for element, add in adds.items():
        if add.is_ok and element not in seen:
            words = f"operation {add.index} added {element}, and operation {read.index} lacks it"
            yield _anomaly("lost element", words, add, read)
        if add.is_failed and element in seen:
            words = f"operation {add.index} failed to add {element}, and {read.index} has it"
            yield _anomaly("aborted element", words, add, read)
    for element, times in seen.items():
        if element not in adds:
            words = f"operation {read.index} has {element}, which nobody added"
            yield _anomaly("unasked element", words, read)
        elif times > 1:
            words = f"operation {adds[element].index} added {element}, which is there {times} times"
            yield _anomaly("doubled element", words, adds[element], read)


def _anomaly(kind: str, words: str, *operations: Operation) -> Anomaly:
    return Anomaly(kind, words, tuple(each.index for each in operations), Level.READ_UNCOMMITTED)
