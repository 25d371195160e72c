"""What a query asks for, as plain data: the builder collects it, other files act on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from andamios.queries.comparisons import expression_of
from andamios.queries.fields import relationship_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from andamios.queries.comparisons import Comparison
    from andamios.queries.loading import Load

__all__ = ["Join", "Lock", "QuerySpec"]


@dataclass(frozen=True, slots=True)
class Join:
    """A table that the query reads besides the model's."""

    target: Any
    condition: Any = None
    is_outer: bool = False

    @property
    def may_multiply(self) -> bool:
        """Whether one row of the model can become several."""
        for part in (self.target, self.condition):
            relationship = relationship_of(part)
            if relationship is not None:
                return bool(relationship.uselist)
        return True


@dataclass(frozen=True, slots=True)
class Lock:
    """How rows are locked until the transaction ends."""

    skip_locked: bool = False
    nowait: bool = False
    share: bool = False


@dataclass(frozen=True)
class QuerySpec:
    """
    Everything that a query says.

    Without ``columns``, ``aggregates`` and ``group_by`` it gives objects of the model,
    each once (or their ``flat`` columns); with any of them it gives rows. ``ttl`` is
    for how many seconds the engine's cache may keep the answer; None goes past the cache.
    """

    model: type[Any]
    where: tuple[sa.ColumnElement[bool] | Comparison, ...] = ()
    joins: tuple[Join, ...] = ()
    loads: tuple[Load, ...] = ()
    columns: tuple[Any, ...] = ()
    aggregates: tuple[sa.Label[Any], ...] = ()
    group_by: tuple[Any, ...] = ()
    having: tuple[sa.ColumnElement[bool], ...] = ()
    order_by: tuple[Any, ...] = ()
    limit: int | None = None
    offset: int | None = None
    lock: Lock | None = None
    is_distinct: bool = False
    is_unscoped: bool = False
    includes_deleted: bool = False
    flat: tuple[Any, ...] = ()
    is_read_only: bool = False
    ttl: float | None = None

    def but(self, **changes: Any) -> QuerySpec:
        """Give a copy with changes; ``dataclasses.replace`` takes as long as a small statement."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **changes)
        return copy

    @property
    def conditions(self) -> tuple[Any, ...]:
        """What must hold, as expressions of SQLAlchemy."""
        return tuple(map(expression_of, self.where))

    @property
    def gives_rows(self) -> bool:
        """Whether results are rows, and not objects of the model."""
        return bool(self.columns or self.aggregates or self.group_by)

    @property
    def is_grouped(self) -> bool:
        """Whether a result stands for several rows, so that it has no key."""
        return bool(self.aggregates or self.group_by or self.having)

    @property
    def needs_merging(self) -> bool:
        """Whether joins repeat objects, which must come out once."""
        joined = any(join.may_multiply for join in self.joins)
        return not self.gives_rows and (joined or bool(self.having))

    @property
    def is_sliced(self) -> bool:
        """Whether a limit or an offset is set."""
        return self.limit is not None or self.offset is not None
