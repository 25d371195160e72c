"""
Lifecycle hooks: methods of a model that a write or a load calls.

======================  ==================================================================
``before_create``       before the SQL of the flush; may change the object, or raise, which
``before_update``       refuses the write; may read through the session
``before_delete``
``after_create``        after the SQL, in the transaction; what it adds to the session or
``after_update``        changes is written by the next flush, at the latest by COMMIT
``after_delete``
``after_commit``        once for each object that was written, after the outermost COMMIT;
                        what it raises is logged and counted (:func:`hook_failures`)
``after_load``          when the object comes from the database; synchronous
======================  ==================================================================

All take nothing but ``self``; all but ``after_load`` may be coroutines. A class inherits
them, from a mixin too, and ``super()`` works. A softly deleted object is deleted, a restored
one updated. ``update`` means that a column changes. Defaults of columns are not yet there in
``before_create``. Hooks run inside a flush, so that they write with ``session.add`` or
``session.execute``, where ``async_object_session(self)`` is the session, and with no repository
on it. ``after_commit`` runs when the transaction is over, and opens a session of its own for
what it wants to write.

Statements on sets of rows call no hooks; ``create_many`` does. A program that is cancelled in one
``after_commit`` leaves those of later objects out. In a session that works inside a
transaction of its connection's, COMMIT is the session's own.
"""

from __future__ import annotations

import inspect as python_inspect
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import event, inspect
from sqlalchemy.orm import Mapper, RelationshipDirection
from sqlalchemy.orm.attributes import has_parent
from sqlalchemy.util import await_only

from andamios.core.session import Session
from andamios.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import InstanceState, RelationshipProperty, SessionTransaction

    Relationship = RelationshipProperty[Any]

__all__ = ["change_of", "has_hooks", "hook_failures"]

KINDS = ("create", "update", "delete")
WRITES = (*(f"{when}_{kind}" for when in ("before", "after") for kind in KINDS), "after_commit")

FLUSHED = "andamios_flushed"
WRITTEN = "andamios_written"
COMMITTED = "andamios_committed"

log = logging.getLogger("andamios.hooks")

_hooks: WeakKeyDictionary[type[Any], frozenset[str]] = WeakKeyDictionary()
_leads: WeakKeyDictionary[type[Any], tuple[Relationship, ...]] = WeakKeyDictionary()
_failures: Counter[str] = Counter()


def has_hooks(model: type[Any]) -> bool:
    """Whether a write of this model's objects calls a hook; any class may be asked."""
    return bool(_hooks_of(model))


def hook_failures() -> dict[str, int]:
    """
    Count what ``after_commit`` raised since the process began, by the model's name.

    Example:
        >>> from andamios.models.hooks import hook_failures
        >>> hook_failures().get("Parcel", 0)
        0
    """
    return dict(_failures)


def change_of(entity: object) -> str | None:
    """
    Say what the flush will do with an object that the session holds as changed.

    Returns:
        ``update``, ``delete`` or ``restore``, or None if no column changes.
    """
    state: InstanceState[Any] = inspect(entity, raiseerr=True)
    relationships = state.mapper.relationships
    changed = {
        key
        for key in state.mapper.column_attrs.keys() & state.dict.keys()
        if state.attrs[key].history.has_changes()
    }
    if "deleted_at" in changed and hasattr(entity, "is_deleted"):
        before = state.attrs["deleted_at"].history.deleted
        if bool(before and before[0]) != entity.is_deleted:
            return "delete" if entity.is_deleted else "restore"
    is_moved = any(
        item.direction is RelationshipDirection.MANYTOONE
        and state.attrs[item.key].history.has_changes()
        for item in relationships
    )
    return "update" if changed or is_moved else None


def _hooks_of(model: type[Any]) -> frozenset[str]:
    found = _hooks.get(model)
    if found is None:
        found = frozenset(name for name in WRITES if callable(getattr(model, name, None)))
        _hooks[model] = found
    return found


def _call(entity: Any, name: str) -> None:
    if name in _hooks_of(type(entity)):
        result = getattr(entity, name)()
        if python_inspect.isawaitable(result):
            await_only(result)


def _writes(session: Session) -> Iterator[tuple[object, str]]:
    """Find the objects with hooks that a flush writes, and whether it creates them or what."""
    for entity in _hooked(session.new):
        yield entity, "create"
    for entity in _hooked(session.deleted):
        yield entity, "delete"
    told = _told_by_parents(session)
    for entity in _hooked(session.dirty):
        known = told.pop(id(entity), (entity, None))[1]
        kind = known if known == "delete" else change_of(entity) or known
        if kind is not None:
            yield entity, "update" if kind == "restore" else kind
    yield from told.values()


def _hooked(entities: Any) -> list[object]:
    hooked = {model for model in set(map(type, entities)) if _hooks_of(model)}
    return [entity for entity in entities if type(entity) in hooked] if hooked else []


def _leading(model: type[Any]) -> tuple[Relationship, ...]:
    """Find the relationships that may write their children, which have hooks."""
    found = _leads.get(model)
    if found is None:
        found = _leads[model] = tuple(
            item
            for item in inspect(model, raiseerr=True).relationships
            if (item.cascade.delete_orphan or item.direction is RelationshipDirection.ONETOMANY)
            and not item.viewonly
            and any(has_hooks(each.class_) for each in item.mapper.self_and_descendants)
        )
    return found


def _told_by_parents(session: Session) -> dict[int, tuple[object, str]]:
    """
    Find stored children that a flush writes because a parent took or dropped them.

    Without a relationship back to the parent they do not look changed themselves.
    """
    found: dict[int, tuple[object, str]] = {}
    for parents in (session.new, session.dirty):
        leading = {model for model in set(map(type, parents)) if _leading(model)}
        for parent in (each for each in parents if type(each) in leading) if leading else ():
            for child, kind in _led(parent):
                if child in session and child not in session.new and child not in session.deleted:
                    found[id(child)] = (child, kind)
    return found


def _led(parent: object) -> Iterator[tuple[object, str]]:
    state: InstanceState[Any] = inspect(parent, raiseerr=True)
    for item in _leading(type(parent)):
        history = state.attrs[item.key].history
        for child in _hooked([*(history.added or ()), *(history.deleted or ())]):
            is_dropped = not has_parent(type(parent), child, item.key)
            if is_dropped and item.cascade.delete_orphan:
                yield child, "delete"
            elif item.direction is RelationshipDirection.ONETOMANY:
                yield child, "update"


@event.listens_for(Session, "before_flush", insert=True)
def _before(session: Session, _context: Any, _instances: Any) -> None:
    done: dict[tuple[int, str], object] = {}
    # A hook may change or add others, whose turn it is then.
    while todo := [(e, kind) for e, kind in _writes(session) if (id(e), kind) not in done]:
        for entity, kind in todo:
            done[id(entity), kind] = entity
            _call(entity, f"before_{kind}")


@event.listens_for(Session, "after_flush")
def _remember(session: Session, _context: Any) -> None:
    # Here it can still be seen what was done, and only later are all values there.
    session.info[FLUSHED] = list(_writes(session))


@event.listens_for(Session, "after_flush_postexec")
def _after(session: Session, _context: Any) -> None:
    done = session.info.pop(FLUSHED, ())
    for entity, _ in done:
        if "after_commit" in _hooks_of(type(entity)):
            owner = session.get_nested_transaction() or session.get_transaction()
            written = session.info.setdefault(WRITTEN, {}).setdefault(owner, {})
            written[id(entity)] = entity
    for entity, kind in done:
        _call(entity, f"after_{kind}")


@event.listens_for(Session, "after_commit")
def _note_commit(session: Session) -> None:
    # The end of a savepoint is a commit, too.
    if session.info.get(WRITTEN):
        session.info[COMMITTED] = session.get_nested_transaction() or session.get_transaction()


@event.listens_for(Session, "after_transaction_end")
def _end(session: Session, transaction: SessionTransaction) -> None:
    written = session.info.get(WRITTEN)
    if not written or transaction not in written:
        return
    entities = written.pop(transaction)
    if session.info.pop(COMMITTED, None) is not transaction:
        return
    if transaction.nested:
        written.setdefault(transaction.parent, {}).update(entities)
        return
    for entity in entities.values():
        _run_after_commit(entity)


def _run_after_commit(entity: object) -> None:
    try:
        _call(entity, "after_commit")
    except Exception:
        name = type(entity).__name__
        _failures[name] += 1
        log.exception("after_commit of %s failed; what was committed stays", name)


@event.listens_for(Mapper, "after_mapper_constructed")
def _listen_to_loads(_mapper: Mapper[Any], model: type[Any]) -> None:
    hook = getattr(model, "after_load", None)
    if not callable(hook):
        return
    if python_inspect.iscoroutinefunction(hook):
        raise ConfigurationError(
            f"{model.__name__}.after_load is a coroutine, and nothing can be waited for while a "
            "row is loaded. Make it a plain method."
        )
    event.listen(model, "load", _loaded, restore_load_context=True)


def _loaded(entity: Any, context: Any) -> None:
    if isinstance(context.session, Session):
        entity.after_load()
