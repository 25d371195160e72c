"""
Portraits: all that a caller can see of a result, as plain values that compare and print.

Two ways to the same rows are equal if their portraits are: values with their exact types, the
order, which objects are one and the same, what SQLAlchemy knows of each, and what is raised.
What differs from call to call (the time, a random key) is shown as what it is, not as its value.
"""

import copy
import datetime as dt
import decimal
import itertools
import pickle
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Row, RowMapping

from andamios import AndamiosEngine
from andamios.errors import AndamiosError

__all__ = ["Portrait", "answer_of", "deep_portrait", "difference", "portrait", "rough_portrait"]

Portrait: TypeAlias = Any
"""Nested tuples of texts."""

STATE = "_sa_instance_state"

JUST_NOW, RANDOM = "just now", "random"

RECENT = dt.timedelta(minutes=5)

ATOMS = {str, int, float, bool, bytes, type(None), decimal.Decimal}

FACTS = ("code", "constraint", "columns", "table", "model", "attribute", "expected", "actual")
"""What errors tell besides their message."""


def portrait(value: Any) -> Portrait:
    """Show a result."""
    return _Painter().show(value)


async def answer_of(
    ask: Callable[[AndamiosEngine], Awaitable[Any]], engine: AndamiosEngine
) -> tuple[Any, Portrait]:
    """Ask, and give the result with its portrait, or None with that of the error."""
    try:
        found = await ask(engine)
    except Exception as error:  # noqa: BLE001  that is what is compared
        return None, ("raised", _error(error))
    return found, ("gave", portrait(found))


def deep_portrait(found: Any) -> Portrait:
    """Show what becomes of a result that is pickled, copied, and looked at where it is empty."""
    painted: list[Portrait] = [("pickled", portrait(pickle.loads(pickle.dumps(found))))]
    for entity in _entities(found):
        twin = copy.copy(entity)
        values = {key: value for key, value in sorted(vars(twin).items()) if key != STATE}
        painted.append(("copied", portrait(values), portrait(sa.inspect(twin).key)))
        if hasattr(entity, "to_dict"):
            said = portrait(entity.to_dict())
            painted.append(("said", said, None if _has_moving(said) else repr(entity)))
        painted += [("unloaded", name, _read(entity, name)) for name in _unloaded(entity)]
    return tuple(painted)


def difference(wanted: Portrait, given: Portrait) -> str:
    """Tell the first difference of two portraits."""
    if isinstance(wanted, tuple) and isinstance(given, tuple) and wanted[:1] == given[:1]:
        for left, right in itertools.zip_longest(wanted, given):
            if left != right:
                return difference(left, right)
    return f"  long:  {wanted!r:.400}\n  short: {given!r:.400}"


async def rough_portrait(engine: AndamiosEngine, found: Any) -> Portrait:
    """Show what a session makes of a result: added, changed, refreshed, merged, let go."""
    painted: list[Portrait] = []
    try:
        await _treated(engine, list(_entities(found))[:2], painted)
    except Exception as error:  # noqa: BLE001  that is what is compared
        painted.append(_error(error))
    return tuple(painted)


async def _treated(engine: AndamiosEngine, entities: list[Any], painted: list[Portrait]) -> None:
    clones = pickle.loads(pickle.dumps(entities))
    async with engine.session() as session:
        session.add_all(entities)
        painted.append(("added", portrait(entities), portrait([*session.dirty, *session.new])))
        for entity in entities:
            key = _first_plain(entity)
            setattr(entity, key, getattr(entity, key))
            painted.append(("set to the same", session.is_modified(entity), portrait(entity)))
            await session.refresh(entity)
            painted.append(("refreshed", portrait(entity)))
        merged = [await session.merge(clone) for clone in clones]
        painted.append(("merged", portrait([*entities, *merged])))
        session.expunge_all()
        painted.append(("let go", portrait(entities)))
        await session.rollback()
    async with engine.session() as session:
        merged = [await session.merge(clone) for clone in clones]
        painted.append(("merged anew", portrait(merged)))
        session.expire_all()
        painted.append(("expired", portrait(merged)))
        await session.rollback()


class _Painter:
    """Numbers objects as they appear, so that one that comes twice shows."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._keys: dict[uuid.UUID, int] = {}
        self._kept: list[object] = []

    def show(self, value: Any) -> Portrait:
        kind = type(value).__qualname__
        if type(value) in ATOMS or isinstance(value, BaseException):
            return _error(value) if isinstance(value, BaseException) else (kind, repr(value))
        if isinstance(value, Row):
            return self._row(value)
        if isinstance(value, Mapping | RowMapping):
            return kind, tuple((repr(key), self.show(each)) for key, each in value.items())
        if isinstance(value, set | frozenset):
            value = sorted(value, key=repr)  # no order of its own
        if isinstance(value, list | tuple):
            return kind, tuple(self.show(each) for each in value)
        if not isinstance(value, type) and sa.inspect(type(value), raiseerr=False) is not None:
            return self._entity(value)
        return kind, self._scalar(value)

    def _scalar(self, value: Any) -> str:
        if isinstance(value, dt.datetime) and value.tzinfo is not None:
            is_recent = abs(dt.datetime.now(dt.UTC) - value) < RECENT
            return f"{JUST_NOW}, in {value.tzinfo!r}" if is_recent else repr(value)
        if isinstance(value, uuid.UUID) and value.version == 7:
            return f"{RANDOM} {self._keys.setdefault(value, len(self._keys))}"
        return repr(value)

    def _row(self, row: Row[Any]) -> Portrait:
        fields = tuple(row._fields)
        by_name = tuple(self.show(_read(row, name)) for name in fields)
        return type(row).__qualname__, fields, tuple(self.show(each) for each in row), by_name

    def _entity(self, entity: Any) -> Portrait:
        name = type(entity).__qualname__
        if id(entity) in self._numbers:
            return name, "again", self._numbers[id(entity)]
        number = self._numbers[id(entity)] = len(self._numbers)
        self._kept.append(entity)
        # Before anybody asks for its state, which it may not have yet.
        values = {key: each for key, each in vars(entity).items() if key != STATE}
        shown = tuple((key, self.show(values[key])) for key in sorted(values))
        return name, number, shown, self._state(sa.inspect(entity))

    def _state(self, state: Any) -> Portrait:
        is_what = ("transient", "pending", "persistent", "deleted", "detached")
        model, key, token = state.key or (None, None, None)
        return (
            next(word for word in is_what if getattr(state, word)),
            ("key", getattr(model, "__name__", None), self.show(key), token),
            ("modified", state.modified),
            ("committed", self.show(dict(sorted(state.committed_state.items())))),
            ("unloaded", *sorted(state.unloaded)),
            ("expired", state.expired),
            ("session", state.session_id is not None),
            ("object", state.obj() is not None, state.was_deleted, state.has_identity),
            ("histories", *(self._history(each) for each in state.attrs)),
        )

    def _history(self, attribute: Any) -> Portrait:
        return attribute.key, *(len(part or ()) for part in attribute.history)


def _error(error: BaseException) -> Portrait:
    facts = tuple((name, repr(getattr(error, name, None))) for name in FACTS)
    statement = error.statement if isinstance(error, AndamiosError) else None
    # How a statement is spelt is its way's business, RETURNING or not.
    message = str(error).replace(statement or "\n", "a statement")
    return type(error).__qualname__, message, facts, statement is not None


def _has_moving(painted: Portrait) -> bool:
    if isinstance(painted, tuple):
        return any(map(_has_moving, painted))
    return painted.startswith((JUST_NOW, RANDOM)) if isinstance(painted, str) else False


def _entities(found: Any) -> list[Any]:
    items = found if isinstance(found, list | tuple) else [found]
    return [
        item
        for item in items
        if not isinstance(item, type) and sa.inspect(type(item), raiseerr=False) is not None
    ]


def _unloaded(entity: Any) -> list[str]:
    return sorted(sa.inspect(entity).unloaded)


def _read(entity: Any, name: str) -> Portrait:
    try:
        return portrait(getattr(entity, name))
    except Exception as error:  # noqa: BLE001  that is what is compared
        return _error(error)


def _first_plain(entity: Any) -> str:
    mapper = sa.inspect(type(entity))
    names = [each.key for each in mapper.column_attrs if not each.columns[0].primary_key]
    return str(names[0] if names else next(iter(mapper.column_attrs)).key)
