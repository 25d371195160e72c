"""
Leaving an object as it was when storing it is refused.

Storing an object that belongs to no session attaches it to one. When the write is refused,
the rollback makes the object forget its values and the changes that were to be stored; a
caller who wants to look at them, or try again, could not even read it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import object_session
from sqlalchemy.orm.attributes import set_committed_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["kept_on_failure"]


@dataclass(frozen=True, slots=True)
class Memory:
    """An object, the values that it was read with, and those that were set since."""

    entity: object
    read: dict[str, Any]
    changed: dict[str, Any]

    def recall(self) -> None:
        """Take the object out of the session that it got into, and give it its values."""
        session = object_session(self.entity)
        if session is not None:
            session.expunge(self.entity)
        for key, value in self.read.items():
            set_committed_value(self.entity, key, value)
        for key, value in self.changed.items():
            setattr(self.entity, key, value)


@contextmanager
def kept_on_failure(entities: Iterable[object]) -> Iterator[None]:
    """
    Give objects that belong to no session back as they were if the block raises.

    Args:
        entities: What the block stores; what belongs to a session is left to it.
    """
    memories = [memory for entity in entities for memory in _remember(entity)]
    try:
        yield
    except BaseException:
        for memory in memories:
            memory.recall()
        raise


def _remember(entity: object) -> Iterator[Memory]:
    state: Any = sa.inspect(entity, raiseerr=False)
    if getattr(state, "detached", False):
        yield _memory(state)
        # Related objects come along into the session.
        for _, _, related, _ in state.mapper.cascade_iterator("save-update", state):
            if related.detached:
                yield _memory(related)


def _memory(state: Any) -> Memory:
    read: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    for key in state.mapper.attrs.keys() & state.dict.keys():
        history, value = state.attrs[key].history, state.dict[key]
        is_changed = history.has_changes()
        if key in state.mapper.relationships and isinstance(value, list):
            read[key] = [*(history.unchanged or ()), *(history.deleted or ())]
            value = list(value)
        elif not is_changed:
            read[key] = value
        elif history.deleted:
            read[key] = history.deleted[0]
        if is_changed:
            changed[key] = value
    return Memory(state.obj(), read, changed)
