"""
The unique keys of a model's table: what can tell a new row from one that is there.

A key is the primary key, a unique constraint or a unique index. An index on some of the rows
only counts where those are the rows that are not softly deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.core.constraints import ConstraintFacts
from andamios.errors import ConfigurationError, DataError, DuplicateError, QueryError
from andamios.models.unique import live_indexes
from andamios.queries.fields import column_keys, mapper_of, unknown
from andamios.queries.values import is_expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["UniqueKey", "covered_keys", "key_on", "reachable_keys", "require_values"]


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """
    A unique key.

    Args:
        fields: Its fields, by attribute name.
        columns: Its columns, in the same order.
        name: What the database calls it, if it has a name.
        predicate: Which rows it is about; None means all of them.
    """

    fields: tuple[str, ...]
    columns: tuple[sa.Column[Any], ...]
    name: str | None
    predicate: sa.ColumnElement[bool] | None = None

    def duplicate(self) -> DuplicateError:
        """Build the error for a row that is in the way, though it is not the one to update."""
        names = tuple(column.name for column in self.columns)
        table = self.columns[0].table.name
        facts = ConstraintFacts(self.name, names, table)
        return DuplicateError(
            f"A row with this value exists already ({facts})",
            constraint=self.name,
            columns=names,
            table=table,
        )


def key_on(model: type[Any], on: Sequence[Any] | Any) -> UniqueKey:
    """
    Find the unique key that has exactly these fields.

    Args:
        model: The mapped class.
        on: Names or attributes, or a single one.

    Raises:
        ConfigurationError: There is no such key, or the model's rows lie in several tables.
        UnknownFieldError: The model has no such column.
    """
    parts = on if isinstance(on, list | tuple | set | frozenset) else (on,)
    names = [str(part if isinstance(part, str) else getattr(part, "key", part)) for part in parts]
    for name in names:
        if name not in column_keys(model):
            raise unknown("column", name, column_keys(model), model)
    for key in _keys(model):
        if set(key.fields) == set(names) and len(key.fields) == len(names):
            return key
    raise _no_key(model, f"({', '.join(names)}) is no unique key of {model.__name__}.")


def covered_keys(model: type[Any], values: Mapping[str, Any]) -> list[UniqueKey]:
    """
    Find the unique keys whose fields are all among these values.

    Raises:
        ConfigurationError: There is none, so that nothing could say which row is meant.
        DataError: Each has a None, which equals nothing.
    """
    covered = [key for key in _keys(model) if values.keys() >= set(key.fields)]
    if not covered:
        raise _no_key(model, f"These filters hold no unique key of {model.__name__}.")
    whole = [key for key in covered if all(values[name] is not None for name in key.fields)]
    if not whole:
        require_values(model, covered[0], values)
    return whole


def reachable_keys(model: type[Any], given: Iterable[str]) -> int:
    """
    Count the unique keys that a new row may collide with, on a backend without partial indexes.

    Args:
        model: The mapped class.
        given: The fields that the row has values for; a key that the database makes is free.
    """
    table: Any = mapper_of(model).local_table
    found = {frozenset(columns) for columns, _, _ in _declared(table)}
    own = {field for field, column in _fields(model) if column.primary_key}
    if not own & set(given):
        found.discard(frozenset(table.primary_key))
    expressions = [i for i in table.indexes if i.unique and not _is_plain(i)]
    return len(found) + len(expressions)


def require_values(model: type[Any], key: UniqueKey, values: Mapping[str, Any]) -> None:
    """
    Refuse a row that does not say which row it is.

    Raises:
        QueryError: A field of the key is missing.
        DataError: One is None, which equals nothing, or SQL.
    """
    for name in key.fields:
        if name not in values:
            raise QueryError(
                f"A {model.__name__} is found by {', '.join(key.fields)}; {name!r} is missing."
            )
        if values[name] is None:
            raise DataError(
                f"{model.__name__}.{name} is None, and NULL equals nothing: no row could ever be "
                "found by it. Use create(), or another key."
            )
        if is_expression(values[name]):
            raise DataError(f"{model.__name__}.{name} is to be found by, and takes a plain value.")


def _keys(model: type[Any]) -> Iterator[UniqueKey]:
    mapper = mapper_of(model)
    if len(mapper.tables) > 1 or not isinstance(mapper.local_table, sa.Table):
        raise ConfigurationError(
            f"{model.__name__} lies in several tables, and no unique key spans them. Read the "
            "object with lock(), then update() or create() it."
        )
    fields = {column: field for field, column in _fields(model)}
    live = {index.name for index in live_indexes(mapper.local_table)}
    for columns, name, predicate in _declared(mapper.local_table):
        is_whole = predicate is None or name in live
        if is_whole and all(column in fields for column in columns):
            yield UniqueKey(tuple(fields[column] for column in columns), columns, name, predicate)


def _declared(table: sa.Table) -> Iterator[tuple[tuple[sa.Column[Any], ...], Any, Any]]:
    if len(table.primary_key):
        yield tuple(table.primary_key), table.primary_key.name, None
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            yield tuple(constraint.columns), constraint.name, None
    for index in table.indexes:
        if index.unique and _is_plain(index):
            yield tuple(index.columns), index.name, _predicate(index)


def _is_plain(index: sa.Index) -> bool:
    return all(isinstance(expression, sa.Column) for expression in index.expressions)


def _predicate(index: sa.Index) -> Any:
    options = (index.dialect_options[name]["where"] for name in ("postgresql", "sqlite"))
    return next((where for where in options if where is not None), None)


def _fields(model: type[Any]) -> Iterator[tuple[str, sa.Column[Any]]]:
    for attribute in mapper_of(model).column_attrs:
        for column in attribute.columns:
            if isinstance(column, sa.Column):
                yield attribute.key, column


def _no_key(model: type[Any], what: str) -> ConfigurationError:
    known = " ".join(f"({', '.join(key.fields)})" for key in _keys(model)) or "none"
    return ConfigurationError(f"{what} Unique keys: {known}.")
