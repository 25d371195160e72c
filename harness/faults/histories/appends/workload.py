"""Lists to which many append in transactions, and what the lists say of their isolation."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

from harness.faults.histories.appends.book import Book
from harness.faults.histories.appends.classes import cycles
from harness.faults.histories.appends.graph import graph_of
from harness.faults.histories.appends.lists import (
    aborted_reads,
    intermediate_reads,
    wrong_elements,
    wrong_orders,
)
from harness.faults.histories.appends.updates import lost_appends, lost_updates
from harness.faults.histories.levels import Level
from harness.faults.histories.verdict import Verdict

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    from harness.faults.histories.appends.transaction import Element, Step
    from harness.faults.histories.history import History
    from harness.faults.histories.verdict import Anomaly

__all__ = ["ListAppend", "ListStore"]


class ListStore(Protocol):
    """Lists in a database, by key; a list that nobody appended to is empty."""

    async def transact(self, steps: Sequence[Step]) -> Sequence[Sequence[Element] | None]:
        """
        Do the steps one after the other in one transaction.

        Args:
            steps: Each is `["append", key, element]` or `["read", key, None]`.

        Returns:
            For each step the list that was read, or None of an append.
        """


class ListAppend:
    """
    Transactions of reads and appends, checked in the manner of Elle.

    Each element is appended once, so that a list tells who wrote it and in which order. From
    that comes a graph of which transaction has to be before which other; a cycle is an anomaly,
    and what it is made of says which. See :mod:`~harness.faults.histories.appends.classes`, and K.
    Kingsbury and P. Alvaro, *Elle* (VLDB 2020). As there, what is found has happened, and not
    all that happens is found.

    Args:
        keys: How many lists are in use at a time.
        longest: The most steps of a transaction.
        per_list: How many appends are asked of a list before another takes its place, as long
            ones say little more and cost much.
        reads_first: Whether the store appends by reading a list and writing a longer one, so that
            appends get lost at READ COMMITTED, rather than let the database append.

    Example:
        >>> from harness.faults.histories import History
        >>> history = History()
        >>> skew = [
        ...     history.invoke(process, "transaction", [["read", one, None], ["append", other, 1]])
        ...     for process, (one, other) in enumerate(("xy", "yx"))
        ... ]
        >>> for each in skew:
        ...     each.ok([[], None])
        >>> both = [["read", "x", None], ["read", "y", None]]
        >>> history.invoke(0, "transaction", both).ok([[1], [1]])
        >>> level = {"isolation": "REPEATABLE READ", "database": "postgresql"}
        >>> checked = ListAppend().check(history, **level)
        >>> checked.is_valid, checked.kinds()
        (True, {'G2': 1})
        >>> print(checked.allowed[0].words)
        T0 < T1 < T0: T0 read 'x' before T1 appended 1; T1 read 'y' before T0 appended 1
    """

    def __init__(
        self,
        *,
        keys: int = 5,
        longest: int = 4,
        per_list: int = 32,
        reads_first: bool = False,
    ) -> None:
        self._longest = longest
        self._per_list = per_list
        self._reads_first = reads_first
        self._elements = itertools.count(1)
        self._lists = [0] * keys
        self._in_use = list(range(keys))

    def ask(self, chance: random.Random) -> tuple[str, Any]:
        """Choose a transaction; half of its steps are reads."""
        return (
            "transaction",
            [self._step(chance) for _ in range(chance.randint(1, self._longest))],
        )

    def _step(self, chance: random.Random) -> Step:
        place = chance.randrange(len(self._in_use))
        key = self._in_use[place]
        if chance.random() < 0.5:  # noqa: PLR2004
            return ["read", key, None]
        self._lists[key] += 1
        if self._lists[key] == self._per_list:
            self._in_use[place] = len(self._lists)
            self._lists.append(0)
        return ["append", key, next(self._elements)]

    def last(self) -> list[tuple[str, Any]]:
        """Read each list."""
        return [("transaction", [["read", key, None]]) for key in range(len(self._lists))]

    async def perform(self, store: ListStore, name: str, asked: Any) -> Any:
        """Do a transaction."""
        return [None if read is None else list(read) for read in await store.transact(asked)]

    def check(
        self, history: History, *, isolation: str = "SERIALIZABLE", database: str | None = None
    ) -> Verdict:
        """
        Find what the isolation level forbids, and what it allows.

        Args:
            history: Operations `transaction`, which asked steps and answered one read or None
                for each.
            isolation: At which level it ran.
            database: On which database; see :func:`~harness.faults.histories.levels.level_of`.

        Raises:
            HistoryError: A step is none, or an element is appended twice.
        """
        book = Book(history)
        facts = {
            "transactions": len(book.transactions),
            "recovered": sum(
                each.operation.is_unknown and each.index in book.committed
                for each in book.transactions
            ),
        }
        at = isolation, database
        return Verdict.of("list-append", history, self._find(book), at=at, facts=facts)

    def _find(self, book: Book) -> Iterator[Anomaly]:
        reads_first = self._reads_first
        yield from wrong_elements(book)
        yield from lost_appends(book, Level.SNAPSHOT if reads_first else Level.READ_UNCOMMITTED)
        yield from aborted_reads(book)
        yield from intermediate_reads(book)
        yield from wrong_orders(book, Level.SNAPSHOT if reads_first else Level.READ_COMMITTED)
        yield from lost_updates(book)
        yield from cycles(graph_of(book))
