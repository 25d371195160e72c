"""
Which relationships come with the objects, and how they are read.

A collection is read by one more statement (``selectin``), since joining it would repeat
its parents; a single object is joined.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy.orm as sa_orm
from sqlalchemy.orm.interfaces import ORMOption

from andamios.errors import ConfigurationError, QueryError
from andamios.plans.branches import Branch, Tree, branch_obstacle
from andamios.plans.forms import UnplannableError
from andamios.queries.fields import mapper_of, relationship_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Load", "joins_collections", "loader_options", "tree_of"]

STRATEGIES = {
    "selectin": "selectinload",
    "joined": "joinedload",
    "subquery": "subqueryload",
    "immediate": "immediateload",
    "raise": "raiseload",
}

_trees: weakref.WeakKeyDictionary[type[Any], dict[Any, Tree | str]] = weakref.WeakKeyDictionary()


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
        start = ends[_start(ends, load)][1]
        option = getattr(start or sa_orm, load.method)(load.target)
        ends.append((load.target.property.mapper, option))
        options.append(option)
    return options


def tree_of(model: type[Any], loads: tuple[Load, ...]) -> Tree | str:
    """
    Give what the short way loads along, or say why it cannot.

    Raises:
        QueryError: As :func:`loader_options` does.
    """
    if any(load.is_option or not _is_plain(load.target) for load in loads):
        return "it loads relationships by options or conditions"
    known = _trees.setdefault(model, {})
    key = tuple((load.target.property, load.method) for load in loads)
    if key not in known:
        try:
            known[key] = _planted(model, loads)
        except UnplannableError as error:
            known[key] = str(error)
    found = known[key]
    return found if isinstance(found, str) else found.obstacle() or found


def _is_plain(target: Any) -> bool:
    return target is target.property.class_attribute


def _planted(model: type[Any], loads: tuple[Load, ...]) -> Tree:
    mapper = mapper_of(model)
    ends: list[tuple[Any, Any]] = [(mapper, None)]
    behind: list[list[int]] = [[]]
    for place, load in enumerate(loads, 1):
        start = _start(ends, load)
        if load.target.parent is not ends[start][0]:
            raise UnplannableError(f"it loads {load.target} for another class")
        if any(loads[other - 1].target is load.target for other in behind[start]):
            raise UnplannableError(f"it loads {load.target} twice")
        behind[start].append(place)
        behind.append([])
        ends.append((load.target.property.mapper, None))

    def branch(place: int, *, is_nested: bool) -> Branch:
        load = loads[place - 1]
        if load.method not in {"joinedload", "selectinload"}:
            raise UnplannableError(f"it loads {load.target} by {load.method}")
        is_joined = load.method == "joinedload"
        further = tuple(branch(each, is_nested=is_joined) for each in behind[place])
        made = Branch(load.target.property, is_joined, further)
        if (reason := branch_obstacle(made, is_nested=is_nested)) is not None:
            raise UnplannableError(reason)
        return made

    branches = tuple(branch(place, is_nested=False) for place in behind[0])
    return Tree(mapper, branches, tuple(loader_options(model, loads)))


def joins_collections(loads: Iterable[Load]) -> bool:
    """Whether a collection is joined, so that rows repeat their parent."""
    return any(
        not load.is_option and load.method == "joinedload" and load.target.property.uselist
        for load in loads
    )


def _start(ends: list[tuple[Any, Any]], load: Load) -> int:
    owner = load.target.parent.mapper
    for place in range(len(ends) - 1, -1, -1):
        mapper = ends[place][0]
        if mapper.isa(owner) or owner.isa(mapper):
            return place
    raise QueryError(
        f"Nothing before it loads {owner.class_.__name__}: name the relationships that lead to "
        f"{load.target} first, as in load(User.posts, Post.comments)"
    )
