"""What a checker says of a history: anomalies, and which of them the isolation level forbids."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from harness.faults.histories.levels import Level, level_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.faults.histories.history import History
    from harness.faults.histories.operation import Outcome

__all__ = ["Anomaly", "Verdict"]

SHOWN = 3
"""Anomalies of each kind that a text shows; the others are counted."""


@dataclass(frozen=True)
class Anomaly:
    """
    Something that should not have happened.

    Args:
        kind: Its name, such as `G1a` or `lost update`.
        words: What happened, in words, with the operations by their index.
        operations: Indexes of the operations that are in it.
        level: The weakest level that forbids it.
    """

    kind: str
    words: str
    operations: tuple[int, ...]
    level: Level

    @property
    def forbidden_by(self) -> tuple[str, ...]:
        """The levels that forbid it, weakest first; see :func:`level_of` for each database's."""
        return tuple(str(level) for level in Level if level >= self.level)

    def __str__(self) -> str:
        by = f"{self.level} and above" if self.level > Level.READ_UNCOMMITTED else "every level"
        return f"{self.kind} (forbidden by {by}): {self.words}"


@dataclass(frozen=True)
class Verdict:
    """
    What was found in a history.

    Args:
        workload: Which checker it was.
        isolation: The level that it was checked for, as it was named.
        level: What that level means on the database.
        counts: Operations by outcome.
        anomalies: All that were found.
        facts: What else was counted, such as unknown operations that turned out to have happened.

    Example:
        >>> from harness.faults.histories import Counter, History
        >>> history = History()
        >>> for name, answer in (("increment", None), ("read", 2)):
        ...     history.invoke(0, name, 1).ok(answer)
        >>> print(Counter().check(history, isolation="READ COMMITTED"))
        counter at READ COMMITTED: 1 forbidden anomaly in 2 operations (2 ok, 0 fail, 0 unknown)
          acknowledged: 1, unknown: 0, recovered: 0
          doubled increment (forbidden by every level): operation 1 read 2, and at most 1 was added
    """

    workload: str
    isolation: str
    level: Level
    counts: dict[Outcome, int]
    anomalies: tuple[Anomaly, ...]
    facts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        workload: str,
        history: History,
        anomalies: Iterable[Anomaly],
        *,
        at: tuple[str, str | None],
        facts: dict[str, int] | None = None,
    ) -> Self:
        """
        Build the verdict of a checker.

        Args:
            workload: Which checker it is.
            history: What was checked.
            anomalies: What was found.
            at: The isolation level, and the database.
            facts: What else was counted.
        """
        counts, found = history.counts(), tuple(anomalies)
        return cls(workload, at[0], level_of(*at), counts, found, facts or {})

    @property
    def forbidden(self) -> tuple[Anomaly, ...]:
        """Those which the level forbids."""
        return tuple(each for each in self.anomalies if each.level <= self.level)

    @property
    def allowed(self) -> tuple[Anomaly, ...]:
        """Those which were found, and which the level allows."""
        return tuple(each for each in self.anomalies if each.level > self.level)

    @property
    def is_valid(self) -> bool:
        """Whether nothing was found that the level forbids."""
        return not self.forbidden

    def kinds(self) -> dict[str, int]:
        """Count anomalies by kind, forbidden or not."""
        return dict(sorted(Counter(each.kind for each in self.anomalies).items()))

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as JSON has it."""
        return {
            "workload": self.workload,
            "isolation": self.isolation,
            "level": str(self.level),
            "is_valid": self.is_valid,
            "counts": dict(self.counts),
            "facts": dict(self.facts),
            "anomalies": [self._record(each) for each in self.anomalies],
        }

    def _record(self, anomaly: Anomaly) -> dict[str, Any]:
        return {
            "kind": anomaly.kind,
            "words": anomaly.words,
            "operations": list(anomaly.operations),
            "forbidden_by": list(anomaly.forbidden_by),
            "is_forbidden": anomaly.level <= self.level,
        }

    def __str__(self) -> str:
        found, total = len(self.forbidden), sum(self.counts.values())
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items())
        what = f"{found or 'no'} forbidden anomal{'y' if found == 1 else 'ies'}"
        lines = [f"{self.workload} at {self.isolation}: {what} in {total} operations ({outcomes})"]
        if self.facts:
            lines.append("  " + ", ".join(f"{name}: {count}" for name, count in self.facts.items()))
        lines += self._shown()
        if self.allowed:
            allowed = Counter(each.kind for each in self.allowed)
            lines.append(
                "  found, and allowed here: "
                + ", ".join(f"{kind} {count}" for kind, count in sorted(allowed.items()))
            )
        return "\n".join(lines)

    def _shown(self) -> list[str]:
        lines, seen = [], Counter[str]()
        for each in self.forbidden:
            seen[each.kind] += 1
            if seen[each.kind] <= SHOWN:
                lines.append(f"  {each}")
        more = ((kind, count - SHOWN) for kind, count in seen.items() if count > SHOWN)
        return lines + [f"  and {count} more {kind}" for kind, count in more]
