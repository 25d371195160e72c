"""
Objects with their relationships: those that were joined, and those that are asked for by keys.

What is found is written into the objects as if SQLAlchemy had loaded it: nothing has changed, no
event is raised, and the other side of a relationship is left alone. An object that is met in
several places is one object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.collections import CollectionAdapter, InstrumentedList

from andamios.plans.branches import Branch, joined, parts_of, shape_of
from andamios.plans.builders import Shape
from andamios.plans.forms import Form, Given
from andamios.plans.lists import Listed
from andamios.plans.states import STATE, names_of, state_maker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from andamios.plans.branches import Part, Tree

    Build = Callable[[], tuple[sa.Select[Any], Shape]]
    Ask = Callable[[Form, Build], Awaitable[list[Any]]]

__all__ = ["Graph"]

KEYS = "keys_"

KEYS_AT_ONCE = 500
"""Keys in one statement, where each is a parameter of its own; as SQLAlchemy has it."""

LISTS: dict[type[Any], str] = {
    sa.Integer: "INTEGER",
    sa.BigInteger: "BIGINT",
    sa.SmallInteger: "SMALLINT",
    sa.Uuid: "UUID",
    sa.String: "VARCHAR",
    sa.Text: "TEXT",
}
"""Types of keys that PostgreSQL takes as one list."""


class Graph:
    """
    Loads what belongs to objects, and links them.

    Args:
        tree: What is loaded.
        dialect: The name of the backend.
        ask: Answers a statement, which is built when its form is new.
        known: Makes the maps of objects that are known; weak ones let go of what nobody has.
    """

    def __init__(
        self, tree: Tree, dialect: str, ask: Ask, *, known: Callable[[], Any] = dict
    ) -> None:
        self._tree = tree
        self._has_lists = dialect == "postgresql"
        self._ask = ask
        self._known: dict[Any, Any] = {mapper: known() for mapper in tree.repeated}

    async def fill(self, answer: Sequence[list[Any]]) -> list[Any]:
        """
        Load everything for the objects of an answer.

        Args:
            answer: The objects of each part of the first statement.

        Returns:
            Those of the first part.
        """
        tree = self._tree
        parts = parts_of(tree.mapper, tree.branches)
        path = InstanceState.load_path[tree.mapper]
        return await self._fill(parts, answer, path)

    async def _fill(
        self, parts: Sequence[Part], answer: Sequence[list[Any]], path: Any
    ) -> list[Any]:
        paths: list[Any] = [path]
        lists: list[list[Any]] = []
        for part, objects in zip(parts, answer, strict=True):
            lists.append(self._same(part.mapper, objects))
            if part.branch is not None:
                paths.append(paths[part.owner][part.branch.relationship][part.mapper])
                _link(part.branch, lists[part.owner], lists[-1])
        for part, objects, at in zip(parts, lists, paths, strict=True):
            if part.behind:
                owners = _once(objects) if part.mapper in self._known else objects
                self._remember(part.mapper, owners, at)
                for branch in part.behind:
                    if not branch.is_joined:
                        await self._load(branch, owners, at[branch.relationship][branch.mapper])
        return lists[0]

    def _remember(self, mapper: Any, owners: Iterable[Any], path: Any) -> None:
        """Note in objects how SQLAlchemy will load them again, should they be refreshed."""
        make, options = state_maker(mapper), self._tree.options
        for owner in owners:
            state = owner.__dict__.get(STATE) or make(owner)
            if not state.load_options:
                state.load_options, state.load_path = options, path

    async def _load(self, branch: Branch, owners: Iterable[Any], path: Any) -> None:
        name, (local, remote) = branch.name, branch.relationship.local_remote_pairs[0]
        key = branch.relationship.parent.get_property_by_column(local).key
        owners = [owner for owner in owners if name not in owner.__dict__]
        keys = [
            one for one in dict.fromkeys(each.__dict__[key] for each in owners) if one is not None
        ]
        has_list = self._has_lists and type(remote.type) in LISTS
        children: dict[Any, list[Any]] = {}
        size = len(keys) or 1 if has_list else KEYS_AT_ONCE
        for start in range(0, len(keys), size):
            form = Form("children", branch, has_list)
            form.parameters.append(Given(keys[start : start + size], KEYS))
            answer = await self._ask(form, lambda: _planned(branch, has_list=has_list))
            parts = parts_of(branch.mapper, branch.behind)
            found = await self._fill(parts, answer[-len(parts) :], path)
            for each, child in zip(_keys(branch, answer, found), found, strict=True):
                if each in children:
                    children[each].append(child)
                else:
                    children[each] = [child]
        _write(branch, key, owners, children)

    def _same(self, mapper: Any, objects: list[Any]) -> list[Any]:
        """Give the object that is known already for each that is."""
        known = self._known.get(mapper)
        if known is None:
            return objects
        names = names_of(mapper)[1]
        return [
            each
            if each is None
            else known.setdefault(tuple(each.__dict__[name] for name in names), each)
            for each in objects
        ]


def _planned(branch: Branch, *, has_list: bool) -> tuple[sa.Select[Any], Shape]:
    """Build the statement for the objects of a branch, by a list of keys."""
    relationship, parts = branch.relationship, parts_of(branch.mapper, branch.behind)
    remote: Any = relationship.local_remote_pairs[0][1]
    model = branch.mapper.class_
    columns = [getattr(model, attribute.key) for attribute in branch.mapper.column_attrs]
    if relationship.secondary is None:
        statement, first = sa.select(*columns), []
    else:
        statement = sa.select(remote, *columns).select_from(relationship.secondary)
        statement = statement.join(model, relationship.secondaryjoin)
        first = [Shape("scalars", (remote.key,), (remote.type,))]
    if has_list:
        keys = sa.bindparam(KEYS, type_=Listed(LISTS[type(remote.type)]))
        statement = statement.where(remote == sa.any_(keys))
    else:
        statement = statement.where(remote.in_(sa.bindparam(KEYS, expanding=True)))
    if relationship.order_by:
        statement = statement.order_by(*relationship.order_by)
    return joined(statement, parts), shape_of(parts, *first)


def _keys(branch: Branch, answer: Sequence[list[Any]], children: Iterable[Any]) -> Iterable[Any]:
    """Give the key of the owner of each child."""
    relationship = branch.relationship
    if relationship.secondary is not None:
        return answer[0]
    name = relationship.mapper.get_property_by_column(relationship.local_remote_pairs[0][1]).key
    return [child.__dict__[name] for child in children]


def _once(objects: Iterable[Any]) -> list[Any]:
    return list({id(each): each for each in objects if each is not None}.values())


def _link(branch: Branch, owners: Iterable[Any], found: Iterable[Any]) -> None:
    for owner, each in zip(owners, found, strict=True):
        if owner is not None:
            owner.__dict__.setdefault(branch.name, each)


def _write(branch: Branch, key: str, owners: Iterable[Any], children: dict[Any, list[Any]]) -> None:
    """Write what was loaded into its owners, as loaded."""
    name, attribute = branch.name, branch.relationship.class_attribute.impl
    if not branch.relationship.uselist:
        for owner in owners:
            owner.__dict__[name] = children.get(owner.__dict__[key], (None,))[0]
    elif (
        attribute.collection_factory is InstrumentedList and not attribute.dispatch.init_collection
    ):
        # What set_committed_value does, without a call for each child.
        for owner in owners:
            values = owner.__dict__
            collection: Any = InstrumentedList(children.get(values[key], ()))
            CollectionAdapter(attribute, values[STATE], collection)
            values[name] = collection
    else:
        for owner in owners:
            set_committed_value(owner, name, children.get(owner.__dict__[key], ()))
