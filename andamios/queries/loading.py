"""
Which relationships come with the objects, and how they are read.

A collection is read by one more statement (``selectin``), since joining it would repeat
its parents; a single object is joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy.orm as sa_orm
from sqlalchemy.orm.interfaces import ORMOption

from andamios.errors import ConfigurationError, QueryError
from andamios.queries.fields import mapper_of, relationship_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Load", "joins_collections", "loader_options"]

STRATEGIES = {
    "selectin": "selectinload",
    "joined": "joinedload",
    "subquery": "subqueryload",
    "immediate": "immediateload",
    "raise": "raiseload",
}


@dataclass(frozen=True, slots=True)
class Load:
    """One relationship to load, or a ready-made loader option of SQLAlchemy."""

    target: Any
    strategy: str | None = None

    def __post_init__(self) -> None:
        if self.strategy is not None and self.strategy not in STRATEGIES:
            raise ConfigurationError(
                f"Unknown strategy {self.strategy!r}. Strategies: {', '.join(STRATEGIES)}."
            )
        if not self.is_option and relationship_of(self.target) is None:
            is_column = isinstance(self.target, sa_orm.QueryableAttribute)
            what = f"{self.target}, which is a column" if is_column else f"{self.target!r:.60}"
            raise QueryError(f"load() takes relationships, such as User.posts, not {what}")

    @property
    def is_option(self) -> bool:
        """Whether SQLAlchemy's own option was given."""
        return isinstance(self.target, ORMOption)

    @property
    def method(self) -> str:
        """The name of SQLAlchemy's function for it."""
        default = "selectin" if self.target.property.uselist else "joined"
        return STRATEGIES[self.strategy or default]


def loader_options(model: type[Any], loads: Iterable[Load]) -> list[ORMOption]:
    """
    Build SQLAlchemy's options.

    Args:
        model: Where the paths begin.
        loads: A relationship of another model is loaded for the objects that an
            earlier one loads: ``load(User.posts, Post.comments)``.

    Raises:
        QueryError: No earlier relationship leads to that model.
    """
    options: list[ORMOption] = []
    ends: list[tuple[Any, Any]] = [(mapper_of(model), None)]
    for load in loads:
        if load.is_option:
            options.append(load.target)
            continue
        start = _start(ends, load)
        option = getattr(start or sa_orm, load.method)(load.target)
        ends.append((load.target.property.mapper, option))
        options.append(option)
    return options


def joins_collections(loads: Iterable[Load]) -> bool:
    """Whether a collection is joined, so that rows repeat their parent."""
    return any(
        not load.is_option and load.method == "joinedload" and load.target.property.uselist
        for load in loads
    )


def _start(ends: list[tuple[Any, Any]], load: Load) -> Any:
    owner = load.target.parent.mapper
    for mapper, option in reversed(ends):
        if mapper.isa(owner) or owner.isa(mapper):
            return option
    raise QueryError(
        f"Nothing before it loads {owner.class_.__name__}: name the relationships that lead to "
        f"{load.target} first, as in load(User.posts, Post.comments)"
    )
