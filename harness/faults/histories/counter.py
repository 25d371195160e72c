"""A counter that many increment at once, and whether each increment counted once."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from harness.faults.histories.ends import final_reads
from harness.faults.histories.levels import Level
from harness.faults.histories.verdict import Anomaly, Verdict

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator

    from harness.faults.histories.history import History
    from harness.faults.histories.operation import Operation

__all__ = ["Counter", "CounterStore"]


class CounterStore(Protocol):
    """A number in a database, which begins at 0."""

    async def increment(self, amount: int) -> None:
        """Add to it, in a transaction."""

    async def read(self) -> int:
        """Give it."""


class Counter:
    """
    Increments and reads.

    Whatever order they come in, a read gives no less than what was acknowledged before it began,
    and no more than what had been asked when it ended; unknown increments lie between.

    Args:
        reads_first: Whether the store reads the number and writes the sum, so that increments
            get lost at READ COMMITTED, rather than let the database add.

    Example:
        >>> from harness.faults.histories import History
        >>> history = History()
        >>> history.invoke(0, "increment", 1).ok()
        >>> history.invoke(1, "increment", 1).unknown()
        >>> history.invoke(0, "read").ok(1)
        >>> history.invoke(0, "read").ok(2)
        >>> Counter().check(history).is_valid
        True
        >>> history.invoke(0, "read").ok(0)
        >>> Counter().check(history).kinds()
        {'lost increment': 1}
    """

    def __init__(self, *, reads_first: bool = False) -> None:
        self._level = Level.SNAPSHOT if reads_first else Level.READ_UNCOMMITTED

    def ask(self, chance: random.Random) -> tuple[str, Any]:
        """Choose: mostly to increment."""
        return ("read", None) if chance.random() < 0.2 else ("increment", 1)  # noqa: PLR2004

    def last(self) -> list[tuple[str, Any]]:
        """Read once more."""
        return [("read", None)]

    async def perform(self, store: CounterStore, name: str, asked: Any) -> Any:
        """Increment or read."""
        return await (store.read() if name == "read" else store.increment(asked))

    def check(
        self, history: History, *, isolation: str = "SERIALIZABLE", database: str | None = None
    ) -> Verdict:
        """
        Find increments that are lost or counted twice.

        Args:
            history: Operations `increment`, which asked an amount above 0, and `read`.
            isolation: At which level it ran.
            database: On which database; see :func:`~harness.faults.histories.levels.level_of`.

        Raises:
            HistoryError: There is no read at the end.
        """
        final = final_reads(history, "increment")[-1]
        increments = [each for each in history if each.name == "increment"]
        sure = sum(each.asked for each in increments if each.is_ok)
        unknown = sum(each.asked for each in increments if each.is_unknown)
        facts = {
            "acknowledged": sure,
            "unknown": unknown,
            "recovered": min(unknown, max(0, final.answer - sure)),
        }
        found = self._find(history, increments, final.began)
        return Verdict.of("counter", history, found, at=(isolation, database), facts=facts)

    def _find(self, history: History, increments: list[Operation], end: int) -> Iterator[Anomaly]:
        sure = _Sums((each.ended or 0, each.asked) for each in increments if each.is_ok)
        possible = _Sums((each.began, each.asked) for each in increments if not each.is_failed)
        for read in history:
            if read.name != "read" or not read.is_ok:
                continue
            least, most = sure.before(read.began), possible.before(read.ended or 0)
            said = f"operation {read.index} read {read.answer}"
            if read.answer < least:
                words = f"{said}, and {least} was acknowledged before"
                yield Anomaly("lost increment", words, (read.index,), self._level)
            if read.answer > most:
                # Before, it may be a dirty read of what is rolled back later.
                is_final = read.began >= end and self._level is Level.READ_UNCOMMITTED
                level = Level.READ_UNCOMMITTED if is_final else Level.READ_COMMITTED
                words = f"{said}, and at most {most} was added"
                yield Anomaly("doubled increment", words, (read.index,), level)


class _Sums:
    """Sums of what came before a place in the history."""

    def __init__(self, steps: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(steps)
        self._places = [place for place, _ in ordered]
        self._sums = [0, *accumulate(amount for _, amount in ordered)]

    def before(self, place: int) -> int:
        return self._sums[bisect_left(self._places, place)]
