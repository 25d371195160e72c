"""What was measured."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Figure", "Measured", "Report"]


@dataclass(frozen=True)
class Figure:
    """
    One operation of one system.

    Args:
        ratio: The median of its rounds' ratios to the floor.
        low: Their first quartile.
        high: Their third quartile.
        microseconds: The median time of one call.
        rounds: How many.
    """

    ratio: float
    low: float
    high: float
    microseconds: float
    rounds: int

    @classmethod
    def of(cls, ratios: list[float], seconds: list[float]) -> Figure:
        """Summarise rounds."""
        low, high = ratios[0], ratios[0]
        if len(ratios) > 1:
            low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return cls(
            ratio=round(statistics.median(ratios), 3),
            low=round(low, 3),
            high=round(high, 3),
            microseconds=round(statistics.median(seconds) * 1e6, 2),
            rounds=len(ratios),
        )


@dataclass(frozen=True)
class Measured:
    """
    One operation of all systems on one backend.

    Args:
        backend: Where.
        operation: Its name.
        figures: By system; the floor is one.
        failures: Why a system has no figure, by system.
    """

    backend: str
    operation: str
    figures: dict[str, Figure]
    failures: dict[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """
    A run.

    Args:
        started: When, as ISO 8601 writes it.
        machine: What it ran on.
        versions: Of what took part.
        servers: Version, settings and source of each backend's server.
        measured: What was found.
        single: Figures that are no ratios, by backend and name.
    """

    started: str
    machine: dict[str, str]
    versions: dict[str, str]
    servers: dict[str, dict[str, str]] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)
    single: dict[str, dict[str, float]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Report:
        """Read what ``as_dict`` gave."""
        measured = [
            Measured(
                each["backend"],
                each["operation"],
                {name: Figure(**figure) for name, figure in each["figures"].items()},
                each["failures"],
            )
            for each in found["measured"]
        ]
        return cls(**found | {"measured": measured})
