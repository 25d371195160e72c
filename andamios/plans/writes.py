"""
One row written by one statement: INSERT, UPDATE or DELETE of an object that belongs to no session.

What SQLAlchemy's unit of work does besides (several tables, cascades, events, hooks, history,
marks instead of deletion, defaults that the database computes) is left to it: then there is no
plan. Defaults, versions and timestamps that are made on this side are made here.
"""

from __future__ import annotations

import inspect as python_inspect
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import RelationshipDirection

from andamios.models.history import history_table
from andamios.models.hooks import has_hooks
from andamios.models.soft_delete import is_soft_delete
from andamios.plans.builders import NOTHING, Shape
from andamios.plans.forms import Form, Given, UnplannableError
from andamios.plans.objects import write_obstacle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.orm import Mapper

    from andamios.plans.cache import Plans

__all__ = [
    "VALUE",
    "delete",
    "insert",
    "is_made",
    "is_sql",
    "made_by",
    "maker_of",
    "update",
]

VALUE, KEY = "value_", "key_"
"""What names of parameters begin with, which must not be those of columns."""


async def insert(plans: Plans, entity: Any) -> None:
    """
    Store a new object, and set in it what the database filled in.

    Raises:
        UnplannableError: SQLAlchemy has to do it.
    """
    mapper: Any = sa.inspect(type(entity))
    _require(plans, mapper)
    state = sa.inspect(entity, raiseerr=True)
    if state.key is not None or not state.transient:
        raise UnplannableError("it is known to a session already")
    values = _values(mapper, state.dict)
    facts = _facts(mapper)
    filled = [each.column for each in facts.values() if each.is_made and each.key not in values]
    form = Form(mapper.class_, "insert", *values)
    form.parameters = [Given(value, VALUE + key) for key, value in values.items()]
    returns = bool(filled) and plans.executor.dialect.insert_returning
    plan = plans.plan(form, lambda: _insert(mapper, values, filled if returns else ()))
    if returns:
        rows = await plans.results(plan, form.values, writes=mapper.local_table)
        made = dict(zip((column.key for column in filled), rows[0], strict=True))
    else:
        if any(not column.primary_key for column in filled):
            raise UnplannableError("the database computes a default, which it does not return")
        answer = await plans.send(plan, form.values, writes=mapper.local_table)
        made = {column.key: answer[2] for column in filled}
    _settle(mapper, entity, values | made)


async def update(plans: Plans, entity: Any) -> bool:
    """
    Store the changes of an object that was loaded.

    Returns:
        Whether its row was there, with its version.

    Raises:
        UnplannableError: SQLAlchemy has to do it.
    """
    mapper: Any = sa.inspect(type(entity))
    _require(plans, mapper)
    if is_soft_delete(mapper.class_):
        raise UnplannableError("its row may be marked as deleted")
    state: Any = sa.inspect(entity)
    if not state.detached:
        raise UnplannableError("it is new, or belongs to a session")
    if state.expired_attributes & set(mapper.column_attrs.keys()):
        raise UnplannableError("it has attributes that are to be read again")
    values = _changes(mapper, state)
    form = Form(mapper.class_, "update", *sorted(values))
    where = dict(zip((column.key for column in mapper.primary_key), state.key[1], strict=True))
    version = mapper.version_id_col
    if version is not None:
        where[version.key] = state.committed_state.get(
            _name(mapper, version), state.dict[_name(mapper, version)]
        )
    form.parameters = [Given(values[key], VALUE + key) for key in sorted(values)]
    form.parameters += [Given(value, KEY + key) for key, value in where.items()]
    plan = plans.plan(form, lambda: _update(mapper, values, where))
    if (await plans.send(plan, form.values, writes=mapper.local_table))[1] != 1:
        return False
    _settle(mapper, entity, values)
    return True


async def delete(plans: Plans, model: type[Any], key: tuple[Any, ...]) -> bool:
    """
    Delete the row with a key.

    Returns:
        Whether there was one.

    Raises:
        UnplannableError: SQLAlchemy has to do it.
    """
    mapper: Any = sa.inspect(model)
    _require(plans, mapper)
    if is_soft_delete(model):
        raise UnplannableError("rows are marked instead of deleted")
    leading = _leading(mapper)
    where = dict(zip((column.key for column in mapper.primary_key), key, strict=True))
    form = Form(mapper.class_, "delete one")
    form.parameters = [Given(value, KEY + name) for name, value in where.items()]
    plan = plans.plan(form, lambda: _delete(mapper, where, leading))
    # What a deletion breaks is a rule of the tables that refer to this one.
    count = (await plans.send(plan, form.values, writes=True))[1]
    if leading and not count:
        raise UnplannableError("there is none, or others belong to it and may have to go along")
    return count > 0


@dataclass(frozen=True, slots=True)
class Fact:
    """What is asked of a column for each row."""

    key: str
    name: str
    column: Any
    default: Any
    is_made: bool
    takes_none: bool


_known: weakref.WeakKeyDictionary[Any, tuple[int, dict[str, Fact]]] = weakref.WeakKeyDictionary()


def _facts(mapper: Any) -> dict[str, Fact]:
    """Give what is known of a model's columns, by their keys."""
    known = _known.get(mapper)
    if known is None or known[0] != len(mapper.attrs):  # an attribute was added to the class
        mapped = {*mapper.columns}
        columns = [column for column in mapper.local_table.c if column in mapped]
        facts = {column.key: _fact(mapper, column) for column in columns}
        known = _known[mapper] = len(mapper.attrs), facts
    return known[1]


def _fact(mapper: Any, column: Any) -> Fact:
    return Fact(
        column.key,
        _name(mapper, column),
        column,
        column.default,
        is_made(mapper, column),
        column.type.should_evaluate_none,
    )


def _require(plans: Plans, mapper: Mapper[Any]) -> None:
    reason = write_obstacle(mapper) or plans.executor.obstacle(writes=True)
    if has_hooks(mapper.class_):
        reason = f"{mapper.class_.__name__} has hooks"
    if history_table(mapper) is not None:
        reason = f"{mapper.class_.__name__} keeps its history"
    if reason is not None:
        raise UnplannableError(reason)


def _values(mapper: Any, held: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a new row gets, by the columns' keys."""
    _require_columns_only(mapper, held)
    values: dict[str, Any] = {}
    for each in _facts(mapper).values():
        value = held.get(each.name)
        is_null = each.takes_none and each.name in held  # such as JSON's null
        if value is None and not is_null and each.default is not None:
            value = made_by(each.default)
        if is_sql(value):
            raise UnplannableError("a value is an expression of SQL")
        if value is not None or is_null or not (each.is_made or each.takes_none):
            if each.column.primary_key and value is None:
                raise UnplannableError("a part of its key is missing")
            values[each.key] = value
    if mapper.version_id_col is not None and mapper.version_id_generator is not False:
        values[mapper.version_id_col.key] = mapper.version_id_generator(None)
    return values


def _changes(mapper: Any, state: Any) -> dict[str, Any]:
    """Give what a row is set to, by the columns' keys."""
    _require_columns_only(mapper, state.committed_state)
    values: dict[str, Any] = {}
    for name, before in state.committed_state.items():
        (column,) = mapper.column_attrs[name].columns
        value = state.dict.get(name)
        if column.primary_key or name not in state.dict or is_sql(value):
            raise UnplannableError("its key changes, or a value is an expression of SQL")
        if not column.type.compare_values(before, value):
            values[column.key] = value
    if mapper.version_id_col is not None and mapper.version_id_col.key in values:
        raise UnplannableError("its version was set by hand")
    if not values:
        raise UnplannableError("nothing was changed")
    for column in mapper.local_table.c:
        if column.server_onupdate is not None:
            raise UnplannableError("the database computes a column")
        is_due = column.onupdate is not None and column is not mapper.version_id_col
        if is_due and column.key not in values:
            values[column.key] = made_by(column.onupdate)
    if mapper.version_id_col is not None:
        before = state.dict[_name(mapper, mapper.version_id_col)]
        values[mapper.version_id_col.key] = mapper.version_id_generator(before)
    return values


def _require_columns_only(mapper: Any, held: Mapping[str, Any]) -> None:
    for name in held.keys() & mapper.relationships.keys():
        raise UnplannableError(f"{mapper.class_.__name__}.{name} was set")


def made_by(default: Any) -> Any:
    """Make a default."""
    return default.arg if default.is_scalar else maker_of(default)()


def maker_of(default: Any) -> Callable[[], Any]:
    """Give what makes a default; one that looks at the row or is SQL is left to SQLAlchemy."""
    if default.is_scalar:
        return partial(getattr, default, "arg")
    if default.is_callable and _takes_nothing(default.arg):
        return default.arg.__wrapped__  # type: ignore[no-any-return]
    raise UnplannableError("a default looks at the row, or is an expression of SQL")


def _takes_nothing(function: Any) -> bool:
    """Whether a column's default is a function without parameters."""
    # SQLAlchemy wraps a function without parameters in one that takes the context.
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is None:
        return False
    try:
        return not python_inspect.signature(wrapped).parameters
    except ValueError:  # of a builtin
        return True


def is_made(mapper: Any, column: Any) -> bool:
    """Whether the database makes a value of its own where none is given."""
    return column.server_default is not None or (column is mapper.local_table.autoincrement_column)


def is_sql(value: Any) -> bool:
    """Whether a value is an expression of SQL."""
    return isinstance(value, sa.ClauseElement) or hasattr(value, "__clause_element__")


def _name(mapper: Any, column: Any) -> str:
    return str(mapper.get_property_by_column(column).key)


def _bound(table: Any, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key: sa.bindparam(prefix + key, type_=table.c[key].type) for key in values}


def _insert(mapper: Any, values: Mapping[str, Any], filled: Any) -> tuple[Any, Shape]:
    table = mapper.local_table
    statement = sa.insert(table).values(_bound(table, values, VALUE))
    if filled:
        statement = statement.returning(*filled)
    names = tuple(column.key for column in filled)
    return statement, Shape("tuples", names, tuple(column.type for column in filled))


def _update(mapper: Any, values: Mapping[str, Any], where: Mapping[str, Any]) -> tuple[Any, Shape]:
    table = mapper.local_table
    statement = sa.update(table).values(_bound(table, values, VALUE))
    return _at_key(mapper, statement, where)


def _delete(mapper: Any, where: Mapping[str, Any], leading: Sequence[Any]) -> tuple[Any, Shape]:
    statement, shape = _at_key(mapper, sa.delete(mapper.class_), where)
    nobody = [~getattr(mapper.class_, relationship.key).any() for relationship in leading]
    return statement.where(*nobody), shape


def _at_key(mapper: Any, statement: Any, where: Mapping[str, Any]) -> tuple[Any, Shape]:
    table = mapper.local_table
    for key, parameter in _bound(table, where, KEY).items():
        statement = statement.where(table.c[key] == parameter)
    return statement, NOTHING


def _leading(mapper: Any) -> list[Any]:
    """
    Give the relationships to rows that a deletion reaches.

    A row that none of them leads from can be deleted by one statement that looks whether they do.
    """
    found = []
    for relationship in mapper.relationships:
        is_single = relationship.direction is RelationshipDirection.MANYTOONE
        if relationship.viewonly or (is_single and not relationship.cascade.delete):
            continue
        if is_single or not relationship.uselist or relationship.mapper is mapper:
            raise UnplannableError(f"{relationship} may have to go along")
        found.append(relationship)
    return found


def _settle(mapper: Any, entity: Any, values: Mapping[str, Any]) -> None:
    """Leave an object as a session that stored it would leave it."""
    state: Any = sa.inspect(entity)
    facts, given = _facts(mapper), state.dict
    for key, value in values.items():
        name = facts[key].name
        # As SQLAlchemy does, which leaves out what nobody gave and nothing made.
        if value is not None or name in given or facts[key].default is not None:
            given[name] = value
    state.key = mapper.identity_key_from_primary_key(
        [given[facts[column.key].name] for column in mapper.primary_key]
    )
    state._commit_all(given)  # noqa: SLF001
