"""What the operations are asked to do: keys, values and new rows, from one seed."""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING

from benchmarks.speed.schema import CITIES, row_values

if TYPE_CHECKING:
    from benchmarks.speed.floors import Floor
    from benchmarks.speed.system import Values

__all__ = ["Workload"]

FAR = 10_000_000
"""Rows that are added have numbers from here on, so that no email comes twice."""


class Workload:
    """
    Makes the inputs of operations.

    In a table with fewer than 10,000 rows, which is for trying something out, operations on many
    rows take fewer too.

    Args:
        floor: Stores what has to be there before an operation.
        rows: How many rows are there, from 200.
        seed: Equal seeds make equal inputs.
    """

    def __init__(self, floor: Floor, rows: int, seed: int = 1) -> None:
        self._floor = floor
        self._random = Random(seed)
        self._far = itertools.count(FAR + self._random.randrange(FAR))
        self.rows = rows
        self.many = min(1000, rows // 2)
        self.most = min(10_000, rows)

    def number(self) -> int:
        """Give any number."""
        return self._random.randrange(1_000_000)

    def city(self) -> str:
        """Give a city."""
        return self._random.choice(CITIES)

    def keys(self, count: int) -> list[int]:
        """Give different keys of rows that are there."""
        return self._random.sample(range(1, self.rows + 1), count)

    def starts(self, count: int, length: int) -> list[int]:
        """Give keys behind which there are so many rows at least."""
        return [self._random.randint(1, self.rows - length) for _ in range(count)]

    def new_rows(self, count: int) -> list[Values]:
        """Give rows that are not there."""
        return [values for _ in range(count) for values in row_values(1, next(self._far))]

    def known_rows(self, count: int) -> list[Values]:
        """Give rows that are there, with another value."""
        return [
            values | {"visits": self.number()}
            for key in self.keys(count)
            for values in row_values(1, key - 1)
        ]

    def updates(self, count: int) -> list[Values]:
        """Give keys with a value of each one's own."""
        return [
            {"id": key, "visits": self.number(), "note": f"changed {key}"}
            for key in self.keys(count)
        ]

    async def stored(self, count: int) -> list[int]:
        """Store rows and give their keys."""
        return list(await self._floor.bulk_keys(self.new_rows(count)))
