"""Whether unknown transfers, or some of them, explain balances."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["unexplained"]

Transfer = tuple[int, int, int]
TRIED = 4_000
"""Sets of transfers that are tried; beyond, each account is looked at by itself."""


def unexplained(left: Mapping[str, int], unknown: Sequence[Transfer]) -> dict[str, int]:
    """
    Give the accounts whose change no choice of unknown transfers explains.

    With many unknown transfers it is only asked whether each account can have changed so much,
    as choosing is then too much work; what is found is wrong in either case.

    Args:
        left: By how much each account has changed, without them.
        unknown: Source, target and amount of each.

    Returns:
        Their changes, by account; empty if there is an explanation.

    Example:
        >>> unexplained({"0": -5, "1": 5}, [(0, 1, 5), (0, 1, 2)])
        {}
        >>> unexplained({"0": -4, "1": 4}, [(0, 1, 5), (0, 1, 2)])
        {'0': -4, '1': 4}
    """
    off = {account: by for account, by in left.items() if by}
    reached = _reached(unknown)
    if reached is not None:
        return {} if _frozen(off) in reached else off
    least, most = Counter[str](), Counter[str]()
    for source, target, amount in unknown:
        least[str(source)] -= amount
        most[str(target)] += amount
    return {account: by for account, by in off.items() if not least[account] <= by <= most[account]}


def _reached(unknown: Iterable[Transfer]) -> set[frozenset[tuple[str, int]]] | None:
    reached = {_frozen({})}
    for source, target, amount in unknown:
        reached |= {_moved(changes, source, target, amount) for changes in reached}
        if len(reached) > TRIED:
            return None
    return reached


def _moved(
    changes: frozenset[tuple[str, int]], source: int, target: int, amount: int
) -> frozenset[tuple[str, int]]:
    changed = Counter(dict(changes))
    changed[str(source)] -= amount
    changed[str(target)] += amount
    return _frozen(changed)


def _frozen(changes: Mapping[str, int]) -> frozenset[tuple[str, int]]:
    return frozenset((account, by) for account, by in changes.items() if by)
