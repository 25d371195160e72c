"""Strongly connected components, what is reached from where, and shortest ways."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["components", "reached", "shortest_way"]

Arrows: TypeAlias = "Mapping[int, Collection[int]]"
AT_ONCE = 2_048
"""For how many targets it is asked at once who reaches them."""


def components(arrows: Arrows) -> list[list[int]]:
    """
    Give the strongly connected components, each before those from which it is reached.

    By R. Tarjan, *Depth-First Search and Linear Graph Algorithms* (SIAM J. Comput. 1972), with
    a stack of its own, as Python's is too short for long histories.

    Example:
        >>> components({1: [2], 2: [3, 1], 3: []})
        [[3], [1, 2]]
    """
    search = _Search(arrows)
    for node in arrows:
        if node not in search.number:
            search.visit(node)
    return search.found


class _Search:
    def __init__(self, arrows: Arrows) -> None:
        self.arrows = arrows
        self.number: dict[int, int] = {}
        self.low: dict[int, int] = {}
        self.open: list[int] = []
        self.is_open: set[int] = set()
        self.found: list[list[int]] = []

    def visit(self, root: int) -> None:
        path = [self._enter(root)]
        while path:
            node, following = path[-1]
            for other in following:
                if other not in self.number:
                    path.append(self._enter(other))
                    break
                if other in self.is_open:
                    self.low[node] = min(self.low[node], self.number[other])
            else:
                path.pop()
                if path:
                    self.low[path[-1][0]] = min(self.low[path[-1][0]], self.low[node])
                self._leave(node)

    def _enter(self, node: int) -> tuple[int, Iterator[int]]:
        self.number[node] = self.low[node] = len(self.number)
        self.open.append(node)
        self.is_open.add(node)
        return node, iter(self.arrows.get(node, ()))

    def _leave(self, node: int) -> None:
        if self.low[node] == self.number[node]:
            members = [self.open.pop()]
            while members[-1] != node:
                members.append(self.open.pop())
            self.is_open.difference_update(members)
            self.found.append(sorted(members))


def reached(arrows: Arrows, pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """
    Give those pairs of which the first can be reached from the second.

    Bits of a number stand for the targets, so that one pass in the order of the components asks
    for many of them.

    Example:
        >>> list(reached({1: [2], 2: [3], 3: []}, [(3, 1), (1, 3)]))
        [(3, 1)]
    """
    asked = list(pairs)
    order = components(arrows)
    targets = sorted({target for target, _ in asked})
    for begin in range(0, len(targets), AT_ONCE):
        bits = {target: 1 << place for place, target in enumerate(targets[begin : begin + AT_ONCE])}
        reach = _reach(arrows, order, bits)
        for target, source in asked:
            if bits.get(target, 0) & reach.get(source, 0):
                yield target, source


def _reach(arrows: Arrows, order: Sequence[list[int]], bits: Mapping[int, int]) -> dict[int, int]:
    reach: dict[int, int] = {}
    for members in order:
        found = 0
        for node in members:
            found |= bits.get(node, 0)
            for other in arrows.get(node, ()):
                found |= reach.get(other, 0)
        reach.update(dict.fromkeys(members, found))
    return reach


def shortest_way(arrows: Arrows, source: int, target: int) -> list[int]:
    """
    Give the nodes of a shortest way, both ends included; empty if there is none.

    Example:
        >>> shortest_way({1: [2, 3], 2: [4], 3: [2], 4: []}, 1, 4)
        [1, 2, 4]
    """
    before: dict[int, int] = {source: source}
    waiting = deque([source])
    while waiting:
        node = waiting.popleft()
        if node == target:
            return _way(before, target)
        for other in arrows.get(node, ()):
            if other not in before:
                before[other] = node
                waiting.append(other)
    return []


def _way(before: Mapping[int, int], target: int) -> list[int]:
    way = [target]
    while before[way[-1]] != way[-1]:
        way.append(before[way[-1]])
    return way[::-1]
