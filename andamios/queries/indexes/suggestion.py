"""An index that was seen to help, as the statement that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from andamios.queries.planning.plan import QueryPlan

__all__ = ["IndexProof", "IndexSuggestion"]


@dataclass(frozen=True, slots=True)
class IndexProof:
    """
    What was seen when a query was planned without and with an index.

    Args:
        name: The name of the index.
        table: Its table.
        columns: Its columns in order.
        cost_before: What the query costs without it, in ``unit``.
        cost_after: What it costs with it.
        unit: What is counted: the planner's own cost; on SQLite, which has none, the steps
            of its virtual machine when the query ran on the copy; rows read where the
            database tells nothing else.
        plan_before: The plan without it.
        plan_after: The plan with it.
        tried_on: What it was tried on, in words.
        write_cost: What each write pays for it, in words.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    cost_before: float
    cost_after: float
    unit: str
    plan_before: QueryPlan
    plan_after: QueryPlan
    tried_on: str
    write_cost: str


class IndexSuggestion(str):
    """
    The DDL of an index that helps a query, with the proof.

    A suggestion was proven on top of those before it in its list. It has the attributes
    of :class:`IndexProof`.

    Args:
        ddl: The statement that makes the index.
        proof: What was seen.

    Example:
        >>> from andamios.queries.indexes.suggestion import IndexProof, IndexSuggestion
        >>> from andamios.queries.planning.plan import QueryPlan
        >>> before = QueryPlan("sequential scan", "port")
        >>> after = QueryPlan("index scan", "port", "ix_port_name")
        >>> proof = IndexProof(
        ...     "ix_port_name", "port", ("name",), 400.0, 8.0, "planner's cost", before, after,
        ...     "hypothetical indexes", "one more index to write",
        ... )
        >>> found = IndexSuggestion("CREATE INDEX ix_port_name ON port (name)", proof)
        >>> print(found.evidence)
        port (name): planner's cost 400 → 8.0, 50 times less; tried on hypothetical indexes
    """

    __slots__ = ("proof",)

    proof: IndexProof

    def __new__(cls, ddl: str, proof: IndexProof) -> Self:
        """Make the text, which is what a list of strings holds."""
        made = super().__new__(cls, ddl)
        made.proof = proof
        return made

    def __getnewargs__(self) -> tuple[str, IndexProof]:  # type: ignore[override]
        return str(self), self.proof

    @property
    def name(self) -> str:
        """The name of the index."""
        return self.proof.name

    @property
    def table(self) -> str:
        """The table of the index."""
        return self.proof.table

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns in order."""
        return self.proof.columns

    @property
    def cost_before(self) -> float:
        """What the query costs without it, in ``proof.unit``."""
        return self.proof.cost_before

    @property
    def cost_after(self) -> float:
        """What the query costs with it, in ``proof.unit``."""
        return self.proof.cost_after

    @property
    def plan_before(self) -> QueryPlan:
        """The plan without it."""
        return self.proof.plan_before

    @property
    def plan_after(self) -> QueryPlan:
        """The plan with it."""
        return self.proof.plan_after

    @property
    def write_cost(self) -> str:
        """What each write pays for it, in words."""
        return self.proof.write_cost

    @property
    def evidence(self) -> str:
        """The proof in one line, without values of the query."""
        proof = self.proof
        less = proof.cost_before / max(proof.cost_after, 1e-9)
        factor = f"{less:.0f} times less" if less >= 2 else f"{1 - 1 / less:.0%} less"  # noqa: PLR2004
        return (
            f"{proof.table} ({', '.join(proof.columns)}): {proof.unit} "
            f"{_short(proof.cost_before)} → {_short(proof.cost_after)}, {factor}; "
            f"tried on {proof.tried_on}"
        )


def _short(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 10 else f"{cost:.1f}"  # noqa: PLR2004  a digit is enough there
