"""
Choosing indexes by trying them: the best one first, and the next on top of it.

This is the greedy search of Chaudhuri and Narasayya, "An Efficient, Cost-Driven Index
Selection Tool for Microsoft SQL Server" (VLDB 1997), for one statement. It leaves out by
itself what adds nothing, such as the same columns in another order.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.schema import CreateIndex

from andamios.queries.indexes.existing import free_name
from andamios.queries.indexes.laboratory import renamed
from andamios.queries.indexes.suggestion import IndexProof, IndexSuggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from andamios.queries.indexes.candidates import Candidate
    from andamios.queries.indexes.existing import ExistingIndexes
    from andamios.queries.indexes.laboratory import Laboratory
    from andamios.queries.planning.plan import QueryPlan

__all__ = ["proven"]

WORTHWHILE = 0.1
"""The part of what the statement cost at first that each further index has to save."""

ALIKE = 0.001
"""Costs that differ by less than this part of it count as equal: then the simpler index wins."""

MOST = 3
"""Indexes to suggest for a statement."""


@dataclass(frozen=True, slots=True)
class _Trial:
    candidate: Candidate
    plan: QueryPlan
    cost: float

    @property
    def rank(self) -> tuple[int, int]:
        return len(self.plan.find("sort")), len(self.candidate.columns)


async def proven(
    laboratory: Laboratory,
    candidates: Sequence[Candidate],
    existing: Mapping[str, ExistingIndexes],
) -> list[IndexSuggestion]:
    """
    Give the indexes that help, each proven on top of those before it.

    Args:
        laboratory: Where to try them.
        candidates: What to try.
        existing: By table, the indexes that it has.
    """
    suggestions: list[IndexSuggestion] = []
    remaining = list(candidates)
    names = {id(each): _name(number) for number, each in enumerate(candidates)}
    before = await laboratory.plan()
    first, unit = await laboratory.cost(before)
    cost = first
    finals: dict[str, str] = {}
    while remaining and len(suggestions) < MOST:
        trials = [await _try(laboratory, each, names[id(each)]) for each in remaining]
        least_gain = max(cost * laboratory.worthwhile, first * WORTHWHILE)
        helpful = [trial for trial in trials if trial and cost - trial.cost >= least_gain]
        if not helpful:
            break
        least = min(trial.cost for trial in helpful)
        best = min(
            (t for t in helpful if t.cost <= least + first * ALIKE), key=lambda trial: trial.rank
        )
        chosen = best.candidate
        await laboratory.add(chosen, names[id(chosen)])
        there = existing[chosen.table.key]
        name = _final_name(laboratory, chosen, there.names | {each.name for each in suggestions})
        finals[names[id(chosen)]] = name
        proof = IndexProof(
            name,
            chosen.table.name,
            chosen.names,
            cost,
            best.cost,
            unit,
            renamed(before, finals),
            renamed(best.plan, finals),
            laboratory.tried_on,
            _write_cost(chosen, len(there.columns) + len(suggestions)),
        )
        suggestions.append(IndexSuggestion(_ddl(laboratory, chosen, name), proof))
        before, cost = best.plan, best.cost
        remaining = [trial.candidate for trial in helpful if trial is not best]
    return suggestions


async def _try(laboratory: Laboratory, candidate: Candidate, name: str) -> _Trial | None:
    if not await laboratory.attempt(candidate, name):
        return None
    plan = await laboratory.plan()
    uses_it = plan.uses_index(name)
    cost, _ = await laboratory.cost(plan) if uses_it else (0.0, "")
    await laboratory.drop(candidate, name)
    return _Trial(candidate, plan, cost) if uses_it else None


def _name(number: int) -> str:
    return f"andamios_trial_{secrets.token_hex(4)}_{number}"


def _final_name(laboratory: Laboratory, candidate: Candidate, taken: Collection[str]) -> str:
    """Give the name that the index has in its DDL, where a long one is cut."""
    dialect = laboratory.connection.dialect
    preparer = dialect.identifier_preparer
    (name,) = preparer.unformat_identifiers(preparer.format_index(candidate.index()))
    return free_name(name, taken, dialect.max_identifier_length)


def _ddl(laboratory: Laboratory, candidate: Candidate, name: str) -> str:
    create = CreateIndex(candidate.index(name))
    return " ".join(str(create.compile(dialect=laboratory.connection.dialect)).split())


def _write_cost(candidate: Candidate, indexed: int) -> str:
    return (
        f"every INSERT and DELETE on {candidate.table.name}, and every UPDATE of "
        f"{' or '.join(candidate.names)}, writes one more index entry; the table has "
        f"{indexed} {'index' if indexed == 1 else 'indexes'} so far"
    )
