"""
Cycles of dependencies, each called by the weakest level that forbids it.

G0 has only ww; G1c has ww and wr; G-single has one rw besides; G2 has more. The names are those
of Adya (1999); that a cycle is looked for in each strongly connected component by itself, and the
shortest one is shown, is Elle's (2020).

G-nonadjacent, also Elle's word, has several rw of which none follows another. Snapshots do not
allow it: in their cycles two rw follow one another (A. Fekete et al., *Making Snapshot Isolation
Serializable*, TODS 2005). Two readers who see two writes in different order are one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.faults.histories.appends.cycles import components, reached, shortest_way
from harness.faults.histories.levels import Level
from harness.faults.histories.verdict import Anomaly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.faults.histories.appends.cycles import Arrows
    from harness.faults.histories.appends.graph import Edges, Graph

__all__ = ["cycles"]

TRIED = 50
"""Edges of a component from which a shortest cycle is looked for."""

Edge = tuple[int, int]
Closing = Callable[[int, int], "list[int]"]
"""Gives the nodes of a shortest way from the end of an edge back to its beginning."""


def cycles(graph: Graph) -> Iterator[Anomaly]:
    """Give a cycle of each class that each component has."""
    ww, known = graph.union("ww"), graph.union("ww", "wr")
    every = graph.union("ww", "wr", "rw")
    overwrites = ((first, second) for first, seconds in ww.items() for second in seconds)
    yield from _shown("G0", Level.READ_UNCOMMITTED, overwrites, ww, _closing(ww))
    read = graph.only("wr", "ww")
    yield from _shown("G1c", Level.READ_COMMITTED, read, known, _closing(known))
    skipped = [*graph.only("rw", "ww", "wr")]
    single = set(reached(known, skipped))
    yield from _shown("G-single", Level.SNAPSHOT, single, every, _closing(known))
    # No cycle through such an edge has fewer than two of its kind.
    double = [edge for edge in skipped if edge not in single]
    turns = _turns(known, skipped)
    asked = reached(turns, ((2 * first, 2 * second + 1) for first, second in double))
    apart = {(first // 2, second // 2) for first, second in asked}
    yield from _shown("G-nonadjacent", Level.SNAPSHOT, apart, every, _closing_apart(turns))
    adjacent = (edge for edge in double if edge not in apart)
    yield from _shown("G2", Level.REPEATABLE_READ, adjacent, every, _closing(every))


def _closing(arrows: Arrows) -> Closing:
    return lambda first, second: shortest_way(arrows, second, first)


def _turns(known: Edges, skipped: Iterable[Edge]) -> dict[int, list[int]]:
    """
    Give the ways on which no rw follows another.

    Each transaction is there twice: by twice its index where one comes by ww or wr and may go
    on as one likes, and by one more where one comes by rw.
    """
    found: dict[int, list[int]] = {}
    for first, seconds in known.items():
        for second in seconds:
            found.setdefault(2 * first, []).append(2 * second)
            found.setdefault(2 * first + 1, []).append(2 * second)
    for first, second in skipped:
        found.setdefault(2 * first, []).append(2 * second + 1)
    return found


def _closing_apart(turns: Arrows) -> Closing:
    def close(first: int, second: int) -> list[int]:
        return [node // 2 for node in shortest_way(turns, 2 * second + 1, 2 * first)]

    return close


def _shown(
    kind: str, level: Level, edges: Iterable[Edge], arrows: Edges, close: Closing
) -> Iterator[Anomaly]:
    for group in _by_component(sorted(edges), arrows):
        found = [close(first, second) for first, second in group[:TRIED]]
        way = min((each for each in found if each), key=len)
        yield Anomaly(kind, _words([way[-1], *way], arrows), tuple(sorted({*way})), level)


def _by_component(edges: Iterable[Edge], arrows: Edges) -> Iterable[list[Edge]]:
    of = {node: place for place, nodes in enumerate(components(arrows)) for node in nodes}
    groups: dict[int, list[Edge]] = {}
    for first, second in edges:
        if of.get(first, -1) == of.get(second, -2):
            groups.setdefault(of[first], []).append((first, second))
    return groups.values()


def _words(circle: list[int], arrows: Edges) -> str:
    way = " < ".join(f"T{index}" for index in circle)
    steps = pairwise(circle)
    return f"{way}: " + "; ".join(arrows[first][second] for first, second in steps)
