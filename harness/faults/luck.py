"""Chance of one connection, which a seed repeats."""

from __future__ import annotations

import random

__all__ = ["Luck"]


class Luck:
    """
    What chance has in store for a connection: whether a fault meets it, and all that varies.

    It is drawn once, so that a connection which a fault of some probability meets is met by
    every fault of the same probability or a higher one, whenever that begins.

    Args:
        seed: Of the proxy.
        number: Of the connection, counted from 1.

    Example:
        >>> [Luck(7, number).is_met(0.5) for number in range(1, 7)]
        [True, False, True, True, False, False]
        >>> Luck(7, 1).is_met(0), Luck(7, 2).is_met(1)
        (False, True)
    """

    def __init__(self, seed: int, number: int) -> None:
        self._chance = random.Random(f"{seed}/{number}")  # noqa: S311  to be repeated
        self._value = self._chance.random()

    def is_met(self, probability: float) -> bool:
        """Whether a fault of this probability meets the connection."""
        return self._value < probability

    def split(self) -> random.Random:
        """Give chance for one direction, of which the other one knows nothing."""
        return random.Random(self._chance.random())  # noqa: S311  to be repeated
