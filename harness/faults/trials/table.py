"""The table of faults: what each did to each database, and what was lost, as a run saw it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from harness.faults.trials.trial import Trial
from harness.session import KNOWN_BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["HEADS", "TrialTable"]

HEADS = (
    *("fault", "backend", "workload", "client", "ok", "failed", "unknown", "settled"),
    *("lost", "doubled", "forbidden", "flows again", "pool", "errors"),
)

SCHEMA_VERSION = 2
"""Of the JSON; counted up when a field changes its meaning or goes."""


class TrialTable:
    """
    Trials of a run, in the order of faults, databases and workloads.

    Args:
        trials: What it begins with.
        run: Facts about the run by name, such as when it was.
    """

    def __init__(self, trials: Iterable[Trial] = (), run: Mapping[str, str] | None = None) -> None:
        self._trials = [*trials]
        self.run = dict(run or {})

    def __bool__(self) -> bool:
        return bool(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(sorted(self._trials, key=_order))

    def add(self, trial: Trial) -> None:
        """Take a trial in."""
        self._trials.append(trial)

    def rows(self) -> list[tuple[str, ...]]:
        """Give a row of texts for each trial, for the columns of :data:`HEADS`."""
        return [_row(trial) for trial in self]

    def summary(self) -> list[str]:
        """Say in one line for each client and database what all its trials come to."""
        found: dict[tuple[str, str], list[Trial]] = {}
        for trial in self:
            found.setdefault((trial.client, trial.backend), []).append(trial)
        return [_sum(client, backend, trials) for (client, backend), trials in found.items()]

    def as_text(self) -> str:
        """Give the table as aligned lines, and the sums behind it."""
        rows = [HEADS, *self.rows()]
        widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
        lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True))
                 for row in rows]  # fmt: skip
        return "\n".join(line.rstrip() for line in [*lines, "", *self.summary()]) + "\n"

    def as_markdown(self) -> str:
        """Give the table as Markdown."""
        rows = [HEADS, ("---",) * len(HEADS), *self.rows()]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    def backends(self) -> list[str]:
        """Name the databases, in their usual order."""
        found = sorted(self, key=lambda trial: _order(trial)[1:])
        return list(dict.fromkeys(trial.backend for trial in found))

    def of(self, backend: str) -> Self:
        """Give the part of it that is about one database."""
        return type(self)((each for each in self if each.backend == backend), self.run)

    def as_json(self) -> str:
        """Give all of it as JSON, with a line for each trial."""
        lines = ",\n".join(json.dumps(each.as_dict(), ensure_ascii=False) for each in self)
        run = json.dumps(self.run, ensure_ascii=False)
        return f'{{"schema_version": {SCHEMA_VERSION}, "run": {run}, "trials": [\n{lines}\n]}}\n'

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Build the table that :meth:`as_json` gave.

        Raises:
            ValueError: It is another text, or one of another version.
        """
        record = json.loads(text)
        version = record.get("schema_version") if isinstance(record, dict) else None
        if version != SCHEMA_VERSION:
            raise ValueError(f"a table of trials of version {SCHEMA_VERSION}, not {version}")
        return cls(map(Trial.from_dict, record["trials"]), record["run"])


def _order(trial: Trial) -> tuple[Any, ...]:
    known = [*KNOWN_BACKENDS]
    place = known.index(trial.backend) if trial.backend in known else len(known)
    return trial.fault, place, trial.backend, trial.workload, trial.client


def _row(trial: Trial) -> tuple[str, ...]:
    counts = (str(trial.counts.get(outcome, 0)) for outcome in ("ok", "fail", "unknown"))
    return (
        *(trial.fault, trial.backend, trial.workload, trial.client, *counts),
        *(_listed(trial.settled), str(trial.lost), str(trial.doubled), str(trial.forbidden)),
        *("never" if trial.recovery is None else f"{trial.recovery:.2f} s", _pool(trial)),
        _listed(trial.errors),
    )


def _pool(trial: Trial) -> str:
    return {None: "-", True: "whole", False: "NOT WHOLE"}[trial.is_whole]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "-"


def _sum(client: str, backend: str, trials: list[Trial]) -> str:
    ok, unknown = (sum(each.counts.get(name, 0) for each in trials) for name in ("ok", "unknown"))
    lost, doubled = sum(each.lost for each in trials), sum(each.doubled for each in trials)
    forbidden = sum(each.forbidden for each in trials)
    count = len({each.fault for each in trials})
    settled = sum(sum(each.settled.values()) for each in trials)
    return (
        f"{client} on {backend}: {count} fault{'s' * (count != 1)}, {ok} acknowledged, "
        + f"{settled} COMMITs settled, " * (settled > 0)
        + f"{unknown} unknown; {lost} lost, {doubled} doubled, {forbidden} forbidden"
    )
