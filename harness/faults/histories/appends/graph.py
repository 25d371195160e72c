"""
Which transaction has to come before which other, and why.

The dependencies are Adya's: ww, the second overwrites what the first wrote; wr, it reads what
the first wrote; rw, it overwrites what the first read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.faults.histories.appends.book import Book
    from harness.faults.histories.appends.transaction import Element, Key, Read, Transaction

__all__ = ["Dependency", "Edges", "Graph", "graph_of"]

Dependency: TypeAlias = Literal["ww", "wr", "rw"]
Edges: TypeAlias = dict[int, dict[int, str]]
"""From the index of a transaction to those that come after it, and why, in words."""


@dataclass
class Graph:
    """The dependencies of each kind; an edge may be there for several."""

    ww: Edges = field(default_factory=dict)
    wr: Edges = field(default_factory=dict)
    rw: Edges = field(default_factory=dict)

    def add(self, kind: Dependency, first: Transaction, second: Transaction, why: str) -> None:
        """Add an edge, unless both are the same."""
        if first is not second:
            edges: Edges = getattr(self, kind)
            edges.setdefault(first.index, {}).setdefault(second.index, why)

    def union(self, *kinds: Dependency) -> Edges:
        """Give the edges of these kinds; of several reasons, that of the kind named first."""
        found: Edges = {}
        for kind in reversed(kinds):
            edges: Edges = getattr(self, kind)
            for first, seconds in edges.items():
                found.setdefault(first, {}).update(seconds)
        return found

    def only(self, kind: Dependency, *others: Dependency) -> Iterator[tuple[int, int]]:
        """Give the edges of a kind that are not there for other kinds."""
        without, edges = self.union(*others), getattr(self, kind)
        for first, seconds in edges.items():
            yield from ((first, each) for each in seconds if each not in without.get(first, {}))


def graph_of(book: Book) -> Graph:
    """Build the graph of the transactions that are known to have committed."""
    graph = Graph()
    for key, order in book.orders.items():
        pairs = ((element, book.writer(key, element)) for element in order)
        chain = [(element, writer) for element, writer in pairs if writer is not None]
        for (element, first), (after, second) in pairwise(chain):
            why = f"{second} appended {after!r} after {element!r} of {first} to {key!r}"
            graph.add("ww", first, second, why)
    following = {key: _following(book, key, order) for key, order in book.orders.items()}
    for transaction, read in book.reads():
        _add_read(graph, book, transaction, read)
        value = list(dict.fromkeys(read.value))
        if value == book.orders[read.key][: len(value)]:
            _add_overwrite(graph, transaction, read, following[read.key][len(value)])
    return graph


def _following(
    book: Book, key: Key, order: list[Element]
) -> list[tuple[Element, Transaction] | None]:
    """Give, for each length of a list, the next element of a committed transaction."""
    found: list[tuple[Element, Transaction] | None] = [None] * (len(order) + 1)
    for place in reversed(range(len(order))):
        element = order[place]
        writer = book.writer(key, element)
        found[place] = found[place + 1] if writer is None else (element, writer)
    return found


def _add_read(graph: Graph, book: Book, reader: Transaction, read: Read) -> None:
    if read.value and (writer := book.writer(read.key, read.value[-1])) is not None:
        why = f"{reader} read {read.value[-1]!r} of {writer} in {read.key!r}"
        graph.add("wr", writer, reader, why)


def _add_overwrite(
    graph: Graph, reader: Transaction, read: Read, following: tuple[Element, Transaction] | None
) -> None:
    if following is not None:
        element, writer = following
        why = f"{reader} read {read.key!r} before {writer} appended {element!r}"
        graph.add("rw", reader, writer, why)
