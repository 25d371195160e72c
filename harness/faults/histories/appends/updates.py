"""Updates that are lost: two wrote what followed from the same read, or an append is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.faults.histories.levels import Level
from harness.faults.histories.verdict import Anomaly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.faults.histories.appends.book import Book
    from harness.faults.histories.appends.transaction import Element, Key, Read, Transaction

__all__ = ["lost_appends", "lost_updates"]

Version = tuple["Key", tuple["Element", ...]]


def lost_updates(book: Book) -> Iterator[Anomaly]:
    """
    Find transactions that read the same version of a list and then both appended to it.

    It is P4 of Berenson et al., *A Critique of ANSI SQL Isolation Levels* (SIGMOD 1995).
    """
    for (key, value), group in _updates(book).items():
        if len(group) > 1:
            read = f"all read {list(value)} from {key!r}"
            words = f"{_named(group)} {read}, appended to it, and committed"
            indexes = tuple(each.index for each in group)
            yield Anomaly("lost update", words, indexes, Level.SNAPSHOT)


def lost_appends(book: Book, level: Level) -> Iterator[Anomaly]:
    """
    Find acknowledged appends that are missing in a read which began when all had ended.

    Args:
        book: What is known.
        level: The weakest level that forbids it.
    """
    finals = _final_reads(book)
    for (key, element), writer in book.writers.items():
        if not writer.operation.is_ok or key not in finals:
            continue
        reader, read = finals[key]
        if element not in read:
            words = (
                f"{writer} appended {element!r} to {key!r} and committed, "
                f"and {reader}, which began after all appends, read the list without it"
            )
            yield Anomaly("lost append", words, (writer.index, reader.index), level)


def _updates(book: Book) -> dict[Version, list[Transaction]]:
    found: dict[Version, list[Transaction]] = {}
    for transaction, read in book.reads():
        if read.is_before_append:
            found.setdefault((read.key, read.value), []).append(transaction)
    return found


def _final_reads(book: Book) -> dict[Key, tuple[Transaction, set[Element]]]:
    last: dict[Key, int] = {}
    for each in book.transactions:
        for key in each.appends:
            last[key] = max(last.get(key, -1), each.operation.ended or 0)
    found: dict[Key, tuple[Transaction, Read]] = {}
    for transaction, read in book.reads():
        if transaction.operation.began > last.get(read.key, -1):
            kept = found.get(read.key)
            # The shortest lacks the most.
            if kept is None or len(read.value) < len(kept[1].value):
                found[read.key] = transaction, read
    return {key: (each, set(read.value)) for key, (each, read) in found.items()}


def _named(group: list[Transaction]) -> str:
    return ", ".join(map(str, group[:-1])) + f" and {group[-1]}"
