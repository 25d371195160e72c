"""What a read alone gives away: elements that cannot be there, or not in this order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.faults.histories.levels import Level
from harness.faults.histories.verdict import Anomaly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.faults.histories.appends.book import Book
    from harness.faults.histories.appends.transaction import Key, Read, Transaction

__all__ = ["aborted_reads", "intermediate_reads", "wrong_elements", "wrong_orders"]


def aborted_reads(book: Book) -> Iterator[Anomaly]:
    """Find reads of what a transaction appended that failed: G1a."""
    for (key, element), readers in book.seen.items():
        writer = book.writers.get((key, element))
        if writer is None or not writer.operation.is_failed:
            continue
        words = (
            f"{readers[0]} read {element!r} in {key!r}, which {writer} appended, and {writer} was "
            f"rolled back{_and_others(len(readers) - 1)}"
        )
        yield Anomaly("G1a", words, (readers[0].index, writer.index), Level.READ_COMMITTED)


def intermediate_reads(book: Book) -> Iterator[Anomaly]:
    """Find reads of a list as it was in the middle of another transaction: G1b."""
    for transaction, read in book.reads():
        others = [element for element in read.value if element not in read.own]
        if not others:
            continue
        last = others[-1]
        writer = book.writers.get((read.key, last))
        if writer is None or writer is transaction or writer.operation.is_failed:
            continue
        if last != writer.appends[read.key][-1]:
            words = (
                f"{transaction} read {list(read.value)} from {read.key!r}, the work of {writer} "
                f"up to {last!r}, to which it then appended {writer.appends[read.key][-1]!r}"
            )
            pair = transaction.index, writer.index
            yield Anomaly("G1b", words, pair, Level.READ_COMMITTED)


def wrong_elements(book: Book) -> Iterator[Anomaly]:
    """Find elements that are there twice, or that nobody appended, or one's own that are not."""
    doubled: set[tuple[Key, object]] = set()
    for transaction, read in book.reads():
        for element, times in Counter(read.value).items():
            if times > 1 and (read.key, element) not in doubled:
                doubled.add((read.key, element))
                words = f"{transaction} read {element!r} {times} times in {read.key!r}"
                yield _always("duplicate", words, transaction)
        if missing := [element for element in read.own if element not in read.value]:
            words = f"{transaction} read {read.key!r} without {missing}, which it had appended"
            yield _always("internal", words, transaction)
    for (key, element), readers in book.seen.items():
        if (key, element) not in book.writers:
            words = f"{readers[0]} read {element!r} in {key!r}, which nobody appended"
            yield _always("unasked", words, readers[0])


def wrong_orders(book: Book, level: Level) -> Iterator[Anomaly]:
    """
    Find reads that are not the beginning of the longest one of their list.

    Args:
        book: What is known.
        level: The weakest level that forbids it.
    """
    longest = _longest(book)
    for transaction, read in book.reads():
        value = tuple(dict.fromkeys(read.value))
        if value != tuple(book.orders[read.key][: len(value)]):
            holder, held = longest[read.key]
            words = (
                f"{transaction} read {list(read.value)} from {read.key!r}, "
                f"and {holder} read {list(held.value)}: neither grew from the other"
            )
            pair = transaction.index, holder.index
            yield Anomaly("incompatible order", words, pair, level)


def _longest(book: Book) -> dict[Key, tuple[Transaction, Read]]:
    return {
        read.key: (transaction, read)
        for transaction, read in book.reads()
        if list(dict.fromkeys(read.value)) == book.orders[read.key]
    }


def _always(kind: str, words: str, transaction: Transaction) -> Anomaly:
    return Anomaly(kind, words, (transaction.index,), Level.READ_UNCOMMITTED)


def _and_others(count: int) -> str:
    return f"; so did {count} more" if count else ""
