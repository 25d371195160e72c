"""
How speed is measured: as a ratio to the raw driver, in the same round of the same run.

Machines are shared and noisy, so absolute times say little. In each round every system does the
operation once, the floor included, in an order that rotates; what a round's ratio is, is its
system's time divided by its floor's. The figure is the median of the ratios, with quartiles.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.speed.checks import verify
from benchmarks.speed.results import Figure, Measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed.floors import Floor
    from benchmarks.speed.operations import Operation
    from benchmarks.speed.workload import Workload

__all__ = ["Bench", "Limits"]

Arguments = list[tuple[Any, ...]]

FEWEST = 3
"""Rounds that have quartiles."""


@dataclass(frozen=True)
class Limits:
    """
    How long to measure one operation.

    Args:
        rounds: At most so many.
        least: How many are enough.
        seconds: No new round after this time, when there were enough.
        patience: No new round after this time, when there were three.
    """

    rounds: int = 30
    least: int = 5
    seconds: float = 5.0
    patience: float = 20.0

    def is_over(self, rounds: int, seconds: float) -> bool:
        """Whether so many rounds that took so long are enough."""
        if rounds >= self.rounds:
            return True
        return (rounds >= self.least and seconds >= self.seconds) or (
            rounds >= FEWEST and seconds >= self.patience
        )


class Bench:
    """
    Measures operations of systems on one backend.

    Args:
        backend: Where.
        systems: By name; the floor's is the first.
        floor: The raw driver, which is among them.
        work: What makes the inputs.
        limits: How long.
    """

    def __init__(
        self,
        backend: str,
        systems: dict[str, Any],
        floor: Floor,
        work: Workload,
        limits: Limits,
    ) -> None:
        self._backend = backend
        self._systems = systems
        self._floor = floor
        self._work = work
        self._limits = limits

    async def measure(
        self, operation: Operation, progress: Callable[[int], object] = int
    ) -> Measured:
        """
        Measure one operation.

        Args:
            operation: Which.
            progress: Called with the number of each round.
        """
        able, failures = await self._able(operation)
        for name in able:
            await self._round(operation, name)  # warms it
        times: dict[str, list[float]] = defaultdict(list)
        begun, number = time.perf_counter(), 0
        while not self._limits.is_over(number, time.perf_counter() - begun):
            for name in _rotated(able, number):
                times[name].append(await self._round(operation, name))
            number += 1
            progress(number)
        if operation.writes:
            await self._floor.tidy(self._work.rows)
        floor = next(iter(self._systems))
        figures = {}
        for name, seconds in times.items():
            ratios = [mine / raw for mine, raw in zip(seconds, times[floor], strict=True)]
            figures[name] = Figure.of(ratios, seconds)
        return Measured(self._backend, operation.name, figures, failures)

    async def failures(self, operation: Operation) -> dict[str, str]:
        """Find out which systems do not do what they are asked, without measuring."""
        return (await self._able(operation))[1]

    async def _able(self, operation: Operation) -> tuple[list[str], dict[str, str]]:
        """Find the systems that do what they are asked, and what is wrong with others."""
        able, failures = [], {}
        for name in self._systems:
            is_floor = self._systems[name] is self._floor
            if not hasattr(self._systems[name], operation.method_for(is_floor=is_floor)):
                continue
            try:
                await self._verify(operation, name)
            except NotImplementedError:
                continue
            except Exception as error:
                if is_floor:
                    raise
                failures[name] = f"{type(error).__name__}: {error}"
            else:
                able.append(name)
        return able, failures

    async def _verify(self, operation: Operation, name: str) -> None:
        arguments = (await operation.inputs(self._work))[:1]
        system = self._systems[name]
        results, _ = await self._run(operation, name, arguments)
        if not (system is self._floor and operation.floor):
            await verify(operation, system, self._floor, arguments[0], results[0])
        if operation.writes:
            await self._floor.tidy(self._work.rows)

    async def _round(self, operation: Operation, name: str) -> float:
        """Let one system do the operation; give the seconds of one call."""
        arguments = await operation.inputs(self._work)
        gc.collect()
        _, seconds = await self._run(operation, name, arguments)
        if operation.writes == "many":
            await self._floor.tidy(self._work.rows)
        return seconds / len(arguments) / operation.each

    async def _run(
        self, operation: Operation, name: str, arguments: Arguments
    ) -> tuple[list[Any], float]:
        system = self._systems[name]
        method = operation.method_for(is_floor=system is self._floor)
        if method == "session":
            async with system.session() as session:
                return await _call(session.get, arguments)
        if method == "iterate":
            return await _consume(system.iterate)
        return await _call(getattr(system, method), arguments)


async def _call(method: Any, arguments: Arguments) -> tuple[list[Any], float]:
    results = []
    begun = time.perf_counter()
    for each in arguments:
        results.append(await method(*each))  # noqa: PERF401  one after the other
    return results, time.perf_counter() - begun


async def _consume(iterate: Any) -> tuple[list[Any], float]:
    count, last = 0, None
    begun = time.perf_counter()
    async for last in iterate():  # noqa: B007  what was the last one is looked at later
        count += 1
    return [(count, last)], time.perf_counter() - begun


def _rotated(names: list[str], number: int) -> list[str]:
    begin = number % len(names)
    return names[begin:] + names[:begin]
