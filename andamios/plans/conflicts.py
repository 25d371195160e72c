"""INSERT that updates rows which are there: what is set in them, and which are left alone."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.plans.forms import Form
from andamios.plans.writes import is_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Column

__all__ = ["Conflict", "Resolution", "insert_into"]

SET = "set_"
"""What names of parameters begin with that an update sets besides the rows' own values."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """
    What is done with rows that are there.

    Args:
        columns: The unique key by which they are found.
        predicate: Which rows that key is about, if not all.
        assignments: What is set in them, by column, given the columns of the new row; values
            that are no SQL are made anew with each call.
        limits: Which of them may be updated, likewise.
    """

    columns: tuple[Column[Any], ...]
    predicate: Any
    assignments: Callable[[Any], Mapping[str, Any]]
    limits: Callable[[Any], Sequence[Any]]


def insert_into(table: Any, dialect: Any) -> Any:
    """Give the INSERT of a database that can update; imported late, as that takes long."""
    name = "mysql" if dialect.name == "mariadb" else dialect.name
    return import_module(f"sqlalchemy.dialects.{name}").insert(table)


class Resolution:
    """
    An INSERT and what it does with rows that are there.

    Args:
        insert: Of rows, as :func:`insert_into` gives it.
        conflict: What is done.
    """

    def __init__(self, insert: Any, conflict: Conflict) -> None:
        self._is_mysql = hasattr(insert, "on_duplicate_key_update")
        self._new = insert.inserted if self._is_mysql else insert.excluded
        given, limits = conflict.assignments(self._new), conflict.limits(self._new)
        self._made = [name for name, value in given.items() if not is_sql(value)]
        types = insert.table.c
        bound = {name: sa.bindparam(f"{SET}{name}", type_=types[name].type) for name in self._made}
        self.is_limited = bool(limits)
        """Whether some rows may be left alone."""
        self.statement = self._resolved(insert, conflict, {**given, **bound}, limits)
        own = Form()
        own.add([*(value for value in given.values() if is_sql(value)), *limits])
        self._constants = own.values
        self.parameters = [*bound.values(), *own.parameters]
        """Of the statement, besides those of the rows."""

    def _resolved(self, insert: Any, conflict: Conflict, values: Any, limits: Any) -> Any:
        if self._is_mysql:
            return insert.on_duplicate_key_update(values)
        return insert.on_conflict_do_update(
            index_elements=conflict.columns,
            index_where=conflict.predicate,
            set_=values,
            where=sa.and_(*limits) if limits else None,
        )

    def values(self, conflict: Conflict) -> list[Any]:
        """Give values of the parameters, of which some are made anew with each call."""
        given = conflict.assignments(self._new)
        return [*(given[name] for name in self._made), *self._constants]
