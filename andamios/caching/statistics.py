"""Counting how often the cache had an answer, for each model."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CacheStats", "ModelStats"]


@dataclass(slots=True)
class ModelStats:
    """
    How often answers were there.

    Args:
        hits: Answers that were there.
        misses: Answers that were not.
    """

    hits: int = 0
    misses: int = 0

    @property
    def hit_ratio(self) -> float:
        """Hits among all reads, from 0 to 1; 0 before the first."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


@dataclass(slots=True)
class CacheStats(ModelStats):
    """
    The same for all, and for each model.

    Args:
        hits: Answers that were there.
        misses: Answers that were not.
        errors: How often Redis did not answer.
        models: By name of the model; what was cached by hand is ``other``.
    """

    errors: int = 0
    models: dict[str, ModelStats] = field(default_factory=dict)

    def count(self, model: str, *, is_hit: bool) -> None:
        """Count one read."""
        for stats in (self, self.models.setdefault(model, ModelStats())):
            if is_hit:
                stats.hits += 1
            else:
                stats.misses += 1

    def count_error(self) -> None:
        """Count one failure of Redis."""
        self.errors += 1
