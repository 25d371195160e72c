"""
The relationships that come with objects, as a tree, and which of them the short way can load.

A branch is joined to the statement that loads its owners, or asked for behind it by their keys, as
SQLAlchemy's ``joinedload`` and ``selectinload`` do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import RelationshipDirection, aliased
from sqlalchemy.sql import operators, visitors

from andamios.plans.builders import Shape, objects_shape
from andamios.plans.objects import load_obstacle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.orm import Mapper

__all__ = ["Branch", "Part", "Tree", "branch_obstacle", "joined", "parts_of", "shape_of"]


@dataclass(frozen=True, slots=True)
class Branch:
    """
    A relationship that is loaded.

    Args:
        relationship: SQLAlchemy's property.
        is_joined: Whether it comes with the statement of its owners.
        behind: What is loaded for the objects that it loads.
    """

    relationship: Any
    is_joined: bool
    behind: tuple[Branch, ...] = ()

    @property
    def name(self) -> str:
        """The attribute that it fills."""
        return str(self.relationship.key)

    @property
    def mapper(self) -> Mapper[Any]:
        """What it loads."""
        found: Mapper[Any] = self.relationship.mapper
        return found

    def mappers(self) -> Iterator[Mapper[Any]]:
        """Give what it loads and what is loaded behind that, twice where owners may share it."""
        yield self.mapper
        if self.relationship.direction is not RelationshipDirection.ONETOMANY:
            yield self.mapper
        for branch in self.behind:
            yield from branch.mappers()


@dataclass(frozen=True, slots=True)
class Tree:
    """
    All relationships that are loaded with objects.

    Args:
        mapper: Of the objects.
        branches: Their relationships.
        options: SQLAlchemy's options for the same, which it remembers in the objects.
    """

    mapper: Mapper[Any]
    branches: tuple[Branch, ...]
    options: tuple[Any, ...]

    @property
    def is_one_statement(self) -> bool:
        """Whether everything is joined."""
        return all(part.is_last for part in parts_of(self.mapper, self.branches))

    @property
    def repeated(self) -> set[Mapper[Any]]:
        """Whose objects may be met in several places, and are the same objects there."""
        met = [self.mapper, *(each for branch in self.branches for each in branch.mappers())]
        return {mapper for mapper in met if met.count(mapper) > 1}

    def obstacle(self) -> str | None:
        """Say why SQLAlchemy has to load what is loaded along, or None if it need not."""
        mappers = (mapper for branch in self.branches for mapper in branch.mappers())
        return next(filter(None, (load_obstacle(mapper.class_) for mapper in mappers)), None)


@dataclass(frozen=True, slots=True)
class Part:
    """
    Objects that a statement gives, one a row.

    Args:
        mapper: Of the objects.
        behind: What is loaded for them.
        branch: Which joins them; None of those that the statement is about.
        owner: The place of the part that they belong to.
    """

    mapper: Mapper[Any]
    behind: tuple[Branch, ...]
    branch: Branch | None = None
    owner: int = 0

    @property
    def is_last(self) -> bool:
        """Whether no further statement is needed for its objects."""
        return all(branch.is_joined for branch in self.behind)

    @property
    def shape(self) -> Shape:
        """How they are built; those that are joined may be missing, or the same in many rows."""
        return objects_shape(self.mapper, is_shared=self.branch is not None)


@lru_cache
def parts_of(mapper: Mapper[Any], branches: tuple[Branch, ...]) -> list[Part]:
    """Give the parts of the statement that loads objects and what is joined to them."""
    parts = [Part(mapper, branches)]
    for place, part in enumerate(parts):
        parts += [
            Part(branch.mapper, branch.behind, branch, place)
            for branch in part.behind
            if branch.is_joined
        ]
    return parts


def shape_of(parts: Sequence[Part], *first: Shape) -> Shape:
    """Give the shape of rows that hold objects of these parts."""
    return Shape("objects", (), (), parts=(*first, *(part.shape for part in parts)))


def joined(statement: sa.Select[Any], parts: Sequence[Part]) -> sa.Select[Any]:
    """Join to a statement that selects the columns of the first part those of the others."""
    entities: list[Any] = [parts[0].mapper.class_]
    for part in parts[1:]:
        assert part.branch is not None
        target: Any = aliased(part.mapper.class_)
        on = getattr(entities[part.owner], part.branch.name).of_type(target)
        statement = statement.join(on, isouter=not part.branch.relationship.innerjoin)
        columns = (getattr(target, attribute.key) for attribute in part.mapper.column_attrs)
        statement = statement.add_columns(*columns)
        entities.append(target)
    return statement


def branch_obstacle(branch: Branch, *, is_nested: bool) -> str | None:
    """
    Say why a relationship cannot be loaded on the short way.

    Args:
        branch: The relationship.
        is_nested: Whether those for whom it is loaded are joined themselves.
    """
    return next(_obstacles(branch, is_nested=is_nested), None)


def _obstacles(branch: Branch, *, is_nested: bool) -> Iterator[str]:
    relationship, name = branch.relationship, str(branch.relationship)
    if relationship.lazy in {"dynamic", "write_only"}:
        yield f"{name} cannot be loaded"
    if not _is_plain(relationship):
        yield f"{name} is not joined by equal columns alone"
    if any(map(_has_values, (*(relationship.order_by or ()), relationship.secondaryjoin))):
        yield f"{name} has values in its order or condition"
    if not all(isinstance(item.columns[0], sa.Column) for item in branch.mapper.column_attrs):
        yield f"{branch.mapper.class_.__name__} has expressions"
    if not relationship.uselist and not _is_single(relationship):
        yield f"several rows may fit {name}, of which one is loaded"
    if branch.is_joined:
        if relationship.uselist:
            yield f"{name} is a collection, and joined"
        if relationship.order_by or (is_nested and relationship.innerjoin):
            yield f"{name} is joined with an order, or inside a join"
    elif not _is_by_key(relationship):
        yield f"{name} does not refer to a key of one column"


def _has_values(element: Any) -> bool:
    return element is not None and any(
        isinstance(part, sa.BindParameter) for part in visitors.iterate(element)
    )


def _is_plain(relationship: Any) -> bool:
    """Whether columns are equal, and nothing else is said."""
    on = relationship.primaryjoin
    is_list = isinstance(on, sa.BooleanClauseList) and on.operator is operators.and_
    comparisons = list(on.clauses) if is_list else [on]
    columns = len(relationship.local_columns)
    return len(comparisons) == columns and all(
        isinstance(each, sa.BinaryExpression)
        and each.operator is operators.eq
        and isinstance(each.left, sa.Column)
        and isinstance(each.right, sa.Column)
        for each in comparisons
    )


def _is_single(relationship: Any) -> bool:
    """Whether no more than one row can fit."""
    table = relationship.mapper.local_table
    unique = [item.columns for item in table.constraints if isinstance(item, sa.UniqueConstraint)]
    unique += [item.columns for item in table.indexes if item.unique and not item.dialect_kwargs]
    remote = {column.key for column in relationship.remote_side if column.table is table}
    return relationship.secondary is None and any(
        remote >= {column.key for column in columns} for columns in [table.primary_key, *unique]
    )


def _is_by_key(relationship: Any) -> bool:
    """Whether the owners' keys, or those that they refer to, say which rows are theirs."""
    local, remote = relationship.local_remote_pairs[0]
    if relationship.direction is RelationshipDirection.MANYTOONE:
        key, other, mapper = remote, local, relationship.parent
    else:
        key, other, mapper = local, remote, relationship.mapper
    owner = relationship.mapper if mapper is relationship.parent else relationship.parent
    is_plain = len(relationship.local_columns) == 1 and relationship.omit_join is not False
    is_mapped = relationship.secondary is not None or mapper.columns.contains_column(other)
    return is_plain and is_mapped and owner.primary_key == (key,)
