"""Faults that come one after the other as a seed decides, and again so with the same seed."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.faults.named import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.faults.named import Fault, Target

__all__ = ["FaultSchedule", "PlannedFault"]


@dataclass(frozen=True)
class PlannedFault:
    """
    One fault of a schedule.

    Args:
        at: Seconds after the beginning.
        name: Which.
        length: Seconds from its begin to its end.
    """

    at: float
    name: str
    length: float


class FaultSchedule:
    """
    Faults drawn by a seed, of which one ends before the next begins.

    Args:
        seed: What chance begins with.
        faults: Names of :data:`~harness.faults.named.FAULTS`, or faults of one's own by name;
            each comes once before one comes again.
        seconds: How long it lasts at most.
        length: How many seconds a fault lasts, at least and at most.
        pause: How many seconds there are before each.

    Raises:
        ValueError: No such faults, or no such times.

    Example:
        >>> schedule = FaultSchedule(7, ("pause", "kill", "latency"), seconds=3)
        >>> print(schedule)
        faults of seed 7:
          at 1.15 s pause for 0.26 s
          at 2.44 s kill for 0.49 s
        >>> list(schedule) == list(FaultSchedule(7, ("pause", "kill", "latency"), seconds=3))
        True
    """

    def __init__(
        self,
        seed: int,
        faults: Sequence[str] | Mapping[str, Fault],
        *,
        seconds: float = 30,
        length: tuple[float, float] = (0.2, 1.0),
        pause: tuple[float, float] = (0.5, 1.5),
    ) -> None:
        _check(length, pause)
        self.seed = seed
        self.record: list[dict[str, Any]] = []
        self._faults = _known(faults)
        self._planned = tuple(_draw(seed, sorted(self._faults), seconds, length, pause))

    def __iter__(self) -> Iterator[PlannedFault]:
        return iter(self._planned)

    def __len__(self) -> int:
        return len(self._planned)

    def __str__(self) -> str:
        lines = [f"  at {each.at:.2f} s {each.name} for {each.length:.2f} s" for each in self]
        return "\n".join([f"faults of seed {self.seed}:", *lines])

    async def play(self, target: Target) -> list[dict[str, Any]]:
        """
        Make the faults, each at its time, or when the one before has ended.

        A fault that is under way when this is cancelled is undone first.

        Args:
            target: What is broken: a proxy, or a server of ``service_faults``.

        Returns:
            What happened, also in ``record``: ``fault``, ``planned``, ``began`` and ``ended``
            (when it had been undone) in seconds after the beginning, and ``error``, None or
            the one that the fault failed with.
        """
        self.record = []
        start = time.monotonic()
        for planned in self:
            await asyncio.sleep(start + planned.at - time.monotonic())
            await self._make(planned, target, start)
        return self.record

    async def _make(self, planned: PlannedFault, target: Target, start: float) -> None:
        entry: dict[str, Any] = {
            "fault": planned.name,
            "planned": planned.at,
            "began": time.monotonic() - start,
            "ended": None,
            "error": None,
        }
        self.record.append(entry)
        try:
            async with self._faults[planned.name](target):
                await asyncio.sleep(planned.length)
        except Exception as error:
            entry["error"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            entry["ended"] = time.monotonic() - start


def _check(length: tuple[float, float], pause: tuple[float, float]) -> None:
    are_ordered = all(0 <= least <= most for least, most in (length, pause))
    if not are_ordered or length[1] + pause[1] <= 0:
        raise ValueError(
            f"length {length} and pause {pause} are each least and most seconds, and some of them "
            "have to be above 0"
        )


def _known(faults: Sequence[str] | Mapping[str, Fault]) -> Mapping[str, Fault]:
    if faults and not isinstance(faults, (list, tuple)):
        return dict(faults)  # type: ignore[arg-type]
    unknown = sorted(set(faults) - FAULTS.keys())
    if unknown or not faults:
        raise ValueError(f"no faults {', '.join(unknown)}; known: {', '.join(sorted(FAULTS))}")
    return {name: FAULTS[name] for name in faults}


def _draw(
    seed: int,
    names: list[str],
    seconds: float,
    length: tuple[float, float],
    pause: tuple[float, float],
) -> Iterator[PlannedFault]:
    chance = random.Random(seed)  # noqa: S311  to be repeated
    at, left = 0.0, list[str]()
    while True:
        if not left:
            left = chance.sample(names, len(names))
        at += chance.uniform(*pause)
        lasts = chance.uniform(*length)
        if at + lasts > seconds:
            return
        yield PlannedFault(round(at, 3), left.pop(), round(lasts, 3))
        at += lasts
