"""What became of a workload while something was broken: the record of one trial."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from harness.faults.trials.pace import Pace

if TYPE_CHECKING:
    from harness.faults.histories.history import History
    from harness.faults.histories.verdict import Verdict

__all__ = ["LOST", "TWICE", "Strike", "Trial"]

LOST = frozenset({"lost element", "lost increment", "lost transfer", "lost append"})
"""Kinds of anomalies in which something is gone that was acknowledged."""

TWICE = frozenset({"doubled element", "doubled increment", "duplicate"})
"""Kinds of anomalies in which something happened more often than it was asked."""


@dataclass(frozen=True)
class Strike:
    """
    One fault, as long as it lasted.

    Args:
        name: Which fault.
        began: Seconds since the trial began.
        ended: When it was over, and work could go on.
    """

    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class Trial:
    """
    One workload, one database, one fault.

    Args:
        fault: What was broken.
        backend: On which database.
        workload: What ran meanwhile.
        client: Who ran it: the library that is tried, or one beside it.
        counts: Operations by how they ended for the client: ``ok``, ``fail``, ``unknown``.
        settled: COMMITs without an answer, by what was found out about them.
        lost: How often an acknowledged write was missed: elements of sets and lists, reads of a
            counter; of a bank 1, also if a transfer was made twice, as balances do not tell.
        doubled: How often a write was found twice: elements, or reads of a counter.
        forbidden: Anomalies that the isolation level forbids, the two above included.
        errors: What operations raised, by class.
        recovery: Seconds from the end of the fault to the end of the first operation that
            succeeded after it; None if none did.
        is_whole: Whether the pool was whole afterwards; None where it was not looked at.
        strikes: When something was broken.
        server: What the database is, such as ``PostgreSQL 18.6``; empty where nobody said.
        pace: How many operations ended when, and how; None where it was not looked at.
    """

    fault: str
    backend: str
    workload: str
    client: str = "andamios"
    counts: dict[str, int] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    doubled: int = 0
    forbidden: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    recovery: float | None = None
    is_whole: bool | None = None
    strikes: tuple[Strike, ...] = ()
    server: str = ""
    pace: Pace | None = None

    def with_history(self, history: History, verdict: Verdict, began: float) -> Trial:
        """
        Give the trial with what a history and its checker tell.

        Args:
            history: What was asked and answered.
            verdict: What the checker found in it.
            began: When the trial began, on the clock of the history.
        """
        kinds = Counter(each.kind for each in verdict.forbidden)
        errors = Counter(each.error for each in history if each.error is not None)
        ended = [each for each in history if each.ended_at is not None]
        return self.but(
            counts={str(outcome): count for outcome, count in history.counts().items()},
            lost=sum(kinds[kind] for kind in LOST),
            doubled=sum(kinds[kind] for kind in TWICE),
            forbidden=sum(kinds.values()),
            errors=dict(errors),
            pace=Pace.of([((each.ended_at or began) - began, each.outcome) for each in ended]),
        )

    def but(self, **changes: Any) -> Trial:
        """Give a copy that differs in some fields."""
        return Trial(**self.__dict__ | changes)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Build one from what :meth:`as_dict` gave."""
        strikes = tuple(Strike(**each) for each in record["strikes"])
        pace = record["pace"] and Pace.from_dict(record["pace"])
        return cls(**record | {"strikes": strikes, "pace": pace})
