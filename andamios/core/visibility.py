"""
What a session holds and yet does not show, such as rows that are marked as deleted.

A session remembers objects, and gives them out by key without asking the database. The
layer that knows which of them are hidden says so here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from andamios.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.orm import InstanceState, Session

__all__ = ["INCLUDE_DELETED", "hide", "includes_deleted", "is_hidden", "refuse_hidden"]

INCLUDE_DELETED = "include_deleted"
"""The execution option that shows everything."""

_rules: dict[type[Any], Callable[[Any], bool]] = {}


def hide(kind: type[Any], rule: Callable[[Any], bool]) -> None:
    """Hide the objects of a class for which a rule holds."""
    _rules[kind] = rule


def is_hidden(entity: object) -> bool:
    """Whether a session that holds this object does not show it."""
    return any(isinstance(entity, kind) and rule(entity) for kind, rule in _rules.items())


def includes_deleted(options: Mapping[str, Any] | None) -> bool:
    """Whether execution options ask for everything."""
    return bool(options and options.get(INCLUDE_DELETED))


def refuse_hidden(session: Session, entity: object) -> None:
    """
    Refuse to merge an object into one that is hidden.

    Raises:
        NotFoundError: Its key is that of a hidden row.
    """
    state: InstanceState[Any] | None = inspect(entity, raiseerr=False)
    if state is None or not isinstance(entity, tuple(_rules)):
        return
    key = state.key or state.mapper.identity_key_from_instance(entity)
    if None in key[1]:
        return
    if session.autoflush:
        session.flush()
    known = session.get(state.mapper.class_, key[1], execution_options={INCLUDE_DELETED: True})
    if known is not None and known is not entity and is_hidden(known):
        name, shown = state.mapper.class_.__name__, ", ".join(map(str, key[1]))
        raise NotFoundError(f"There is no {name} with the key {shown}: it was deleted.")
