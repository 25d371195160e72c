"""
What goes along with a softly deleted row, and comes back with it.

The children are those of relationships with ``cascade="all"`` or ``"delete"`` whose model is
a :class:`SoftDeleteModel` too; they get the same ``deleted_at`` as their parent, which is how
they are known again when it is restored. A child whose model is none stays, as long as its
parent's row does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from sqlalchemy import inspect, select, tuple_, update
from sqlalchemy.orm import aliased, with_parent
from sqlalchemy.orm.attributes import has_parent, set_committed_value
from sqlalchemy.orm.collections import collection_adapter

from andamios.core.visibility import INCLUDE_DELETED, is_hidden
from andamios.models.base import SoftDeleteModel

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from sqlalchemy.orm import Mapper, RelationshipProperty, Session

    Relationships = tuple[RelationshipProperty[Any], ...]

__all__ = [
    "children_of",
    "forget_hidden",
    "held_by",
    "mark_children",
    "marked_model",
    "orphans",
    "pass_on",
    "reaches_soft",
    "remember",
    "restored",
    "soft_cascades",
]

FORGOTTEN = "andamios_forgotten"

ALL = {INCLUDE_DELETED: True}

AT_ONCE = 500
"""Parents in one statement."""

_known: WeakKeyDictionary[Mapper[Any], Relationships] = WeakKeyDictionary()


def soft_cascades(mapper: Mapper[Any]) -> Relationships:
    """Give the relationships along which deletion marks children."""
    return tuple(item for item in _to_soft(mapper) if item.cascade.delete and not item.viewonly)


def _to_soft(mapper: Mapper[Any]) -> Relationships:
    found = _known.get(mapper)
    if found is None:
        every = mapper.relationships
        found = tuple(item for item in every if issubclass(item.mapper.class_, SoftDeleteModel))
        _known[mapper] = found
    return found


def reaches_soft(mapper: Mapper[Any], seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a deletion of such a row reaches one whose model is softly deleted."""
    if mapper in seen:
        return False
    seen |= {mapper}
    return issubclass(mapper.class_, SoftDeleteModel) or any(
        reaches_soft(item.mapper, seen) for item in mapper.relationships if item.cascade.delete
    )


def mark_children(
    session: Session, mapper: Mapper[Any], when: dt.datetime, *, only_passive: bool = False
) -> None:
    """
    Mark the children of all rows that were deleted at a moment, by one UPDATE a relationship.

    Args:
        session: Where they were deleted.
        mapper: That of the parents.
        when: Their ``deleted_at``.
        only_passive: Whether the unit of work has marked the others.
    """
    for each in mapper.self_and_descendants:
        for relationship in soft_cascades(each):
            is_inherited = relationship.parent is not each
            if is_inherited or (only_passive and not relationship.passive_deletes):
                continue
            if _mark_one(session, relationship, when):
                mark_children(session, relationship.mapper, when)


def _mark_one(session: Session, relationship: RelationshipProperty[Any], when: Any) -> bool:
    model: Any = relationship.mapper.class_
    parent: Any = aliased(relationship.parent.class_)
    child: Any = aliased(model)
    marked = marked_model(relationship.mapper)
    keys = [
        relationship.mapper.get_property_by_column(c).key for c in relationship.mapper.primary_key
    ]
    # MySQL writes to no table that it reads in the same statement; DISTINCT makes it
    # finish reading first.
    reached = (
        select(*(getattr(child, key) for key in keys))
        .select_from(parent)
        .join(getattr(parent, relationship.key).of_type(child))
        .where(parent.deleted_at == when, child.deleted_at.is_(None))
        .distinct()
        .subquery()
    )
    own = [getattr(marked, key) for key in keys]
    left = own[0] if len(own) == 1 else tuple_(*own)
    held = held_by(session, model)
    result: Any = session.execute(
        update(marked).where(left.in_(select(*reached.c))).values(deleted_at=when),
        execution_options={**ALL, "synchronize_session": "fetch" if held else False},
    )
    _read_again(session, held)
    return bool(result.rowcount)


def marked_model(mapper: Mapper[Any]) -> Any:
    """Give the class whose own table has the mark: a parent's, if the tables are joined."""
    table = mapper.columns["deleted_at"].table
    return next(each.class_ for each in mapper.iterate_to_root() if each.local_table is table)


def held_by(session: Session, model: type[Any]) -> list[Any]:
    """Give the objects of a softly deleted model that an UPDATE may have to reach."""
    held = [item for item in list(session.identity_map.values()) if isinstance(item, model)]
    for each in held:
        state = inspect(each)
        # SQLAlchemy leaves out what was never set, also when it is set by a statement.
        if "deleted_at" not in state.dict and "deleted_at" not in state.expired_attributes:
            set_committed_value(each, "deleted_at", None)
    return held


def _read_again(session: Session, entities: Iterable[Any]) -> None:
    """Read what an UPDATE changed in objects of the session, which cannot wait for it later."""
    for entity in entities:
        state = inspect(entity)
        expired = state.expired_attributes & set(state.mapper.column_attrs.keys())
        if expired and state.persistent:
            session.refresh(entity, expired)


def orphans(session: Session) -> Iterator[Any]:
    """
    Find children that ``delete-orphan`` is about to remove, and let them keep their parent.

    SQLAlchemy looks for orphans once a flush is planned, when nothing can be marked any
    more. Each keeps its foreign key, so that it comes back where it was.
    """
    for owner in session.dirty:
        state = inspect(owner)
        for relationship in soft_cascades(state.mapper):
            if not relationship.cascade.delete_orphan or relationship.key not in state.dict:
                continue
            for child in state.attrs[relationship.key].history.deleted:
                is_stored = child is not None and child in session and inspect(child).persistent
                if is_stored and not has_parent(type(owner), child, relationship.key):
                    _keep_parent(owner, child, relationship.key)
                    yield child


def _keep_parent(owner: Any, child: Any, key: str) -> None:
    attribute = getattr(type(owner), key).impl
    attribute.sethasparent(inspect(child), inspect(owner), value=True)
    state = inspect(child)
    for relationship in state.mapper.relationships:
        if relationship.uselist or not isinstance(owner, relationship.mapper.class_):
            continue
        history = state.attrs[relationship.key].history
        if history.has_changes() and not any(history.added or ()):
            set_committed_value(child, relationship.key, owner)


def forget_hidden(session: Session) -> None:
    """Take what was marked out of the relationships that objects of the session have loaded."""
    for owner in list(session.identity_map.values()):
        state = inspect(owner)
        for relationship in _to_soft(state.mapper):
            key = relationship.key
            if not state.dict.get(key) or is_hidden(owner):
                continue
            value = state.dict[key]
            if relationship.uselist:
                adapter = collection_adapter(value)
                gone = [item for item in adapter if is_hidden(item)]
                for child in gone:
                    adapter.remove_without_event(child)
            else:
                gone = [value] if is_hidden(value) else []
                if gone and not state.attrs[key].history.has_changes():
                    set_committed_value(owner, key, None)
            if gone:
                note = (_transaction(session), ref(owner), key)
                session.info.setdefault(FORGOTTEN, []).append(note)


def remember(session: Session) -> None:
    """Have relationships read again that lost what was marked, which is being rolled back."""
    transaction, kept = _transaction(session), []
    for note in session.info.pop(FORGOTTEN, []):
        if note[0] is not transaction:
            kept.append(note)
        elif (owner := note[1]()) is not None and owner in session:
            session.expire(owner, [note[2]])
    session.info[FORGOTTEN] = kept


def pass_on(session: Session, transaction: Any) -> None:
    """Let the transaction around a savepoint answer for what was marked in it."""
    around = transaction.parent
    notes = session.info.pop(FORGOTTEN, [])
    if around is not None:
        session.info[FORGOTTEN] = [
            (around if note[0] is transaction else note[0], *note[1:]) for note in notes
        ]


def _transaction(session: Session) -> Any:
    return session.get_nested_transaction() or session.get_transaction()


def children_of(session: Session, entity: Any, relationship: Any) -> list[Any]:
    """Read the children of a row along a relationship, deleted ones too."""
    attribute = getattr(type(entity), relationship.key)
    statement = select(relationship.mapper.class_).where(with_parent(entity, attribute))
    return list(session.scalars(statement, execution_options=ALL).unique())


def restored(session: Session, entity: Any) -> list[Any]:
    """Bring back a row and whatever was deleted along with it; the session has to be flushed."""
    when, found, level = entity.deleted_at, {id(entity): entity}, [entity]
    with session.no_autoflush:
        while level:
            reached = {id(each): each for each in _deleted_along(session, level, when)}
            level = [each for key, each in reached.items() if key not in found]
            found |= reached
    for each in found.values():
        each.deleted_at = None
    return list(found.values())


def _deleted_along(session: Session, parents: list[Any], when: dt.datetime) -> Iterator[Any]:
    """Read the children of many rows that were deleted with them, relationship by relationship."""
    for mapper in {inspect(parent).mapper for parent in parents}:
        held = [inspect(each).identity for each in parents if inspect(each).mapper is mapper]
        for relationship in soft_cascades(mapper):
            parent: Any = aliased(mapper.class_)
            child: Any = relationship.mapper.class_
            columns = map(mapper.get_property_by_column, mapper.primary_key)
            keys = [getattr(parent, column.key) for column in columns]
            statement = select(child).select_from(parent).join(getattr(parent, relationship.key))
            statement = statement.where(child.deleted_at == when)
            for start in range(0, len(held), AT_ONCE):
                part = held[start : start + AT_ONCE]
                among = keys[0].in_([key[0] for key in part])
                among = among if len(keys) == 1 else tuple_(*keys).in_(part)
                yield from session.scalars(statement.where(among), execution_options=ALL).unique()
