"""What is wrong with one direction of every connection through a proxy."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from harness.faults.luck import Luck

__all__ = ["Conditions", "Direction", "Limit", "Line"]

Direction: TypeAlias = Literal["up", "down", "both"]
"""Up is from the client to the server, down is from the server to the client."""

TICKS = 20
"""Pieces a second in which a slow line delivers."""


@dataclass(frozen=True, eq=False)
class Limit:
    """So many bytes for each connection, counted from when this was set."""

    size: int


@dataclass(frozen=True)
class Conditions:
    """
    How bytes pass; as it is made, at once and all of them.

    Args:
        latency: Seconds by which each chunk is late.
        jitter: Seconds by which that varies, either way.
        rate: Bytes a second; None is no limit.
        slice_size: Bytes a piece; None leaves chunks whole.
        slice_variation: Bytes by which that varies, either way.
        slice_delay: Seconds before each piece.
        limit: After how many bytes a connection ends; None is never.
        is_silent: Whether everything is lost.
        close_delay: Seconds by which the end of a connection is late.
    """

    latency: float = 0
    jitter: float = 0
    rate: float | None = None
    slice_size: int | None = None
    slice_variation: int = 0
    slice_delay: float = 0
    limit: Limit | None = None
    is_silent: bool = False
    close_delay: float = 0

    def piece(self, size: int, chance: random.Random) -> int:
        """Tell how many of so many bytes go next."""
        if self.slice_size is not None:
            varied = chance.randint(-self.slice_variation, self.slice_variation)
            size = min(size, max(1, self.slice_size + varied))
        if self.rate is not None:
            size = min(size, max(1, int(self.rate / TICKS)))
        return size

    def cost(self, size: int) -> float:
        """Tell how many seconds so many bytes take."""
        return self.slice_delay + (size / self.rate if self.rate is not None else 0)


class Line:
    """One direction, with the faults of the moment, which may change at any time."""

    def __init__(self) -> None:
        self.faults: Mapping[str, tuple[float, dict[str, Any]]] = {}
        self._changed = asyncio.Event()

    def change(self, fault: str, probability: float, **conditions: Any) -> None:
        """Begin a fault, or begin it anew, at once also for bytes that are under way."""
        self._put({**self.faults, fault: (probability, conditions)})

    def reset(self) -> None:
        """Let everything pass again."""
        self._put({})

    def conditions(self, luck: Luck) -> Conditions:
        """Add up the faults that meet a connection; good until `faults` is another object."""
        found: dict[str, Any] = {}
        for probability, conditions in self.faults.values():
            if luck.is_met(probability):
                found |= conditions
        return Conditions(**found)

    def _put(self, faults: Mapping[str, tuple[float, dict[str, Any]]]) -> None:
        self.faults = faults
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float | None) -> None:
        """Wait so long, or until the conditions change; None waits for that alone."""
        if seconds is None or seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
