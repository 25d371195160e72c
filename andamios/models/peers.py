"""
Loading for all objects of a result what one of them needs.

Reading a relationship object by object sends a statement for each. Whoever asks for the
first usually asks for all, so that one statement can bring it to every object that the same
statement brought. The idea is Django's ``FETCH_PEERS`` (Django 6.1, "Fetch modes").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import (
    QueryableAttribute,
    RelationshipProperty,
    load_only,
    selectinload,
    undefer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncSession

__all__ = ["load_for_peers"]

ASKED = "andamios_peers"

KEYS = 500
"""Objects in one statement."""


async def load_for_peers(
    session: AsyncSession, entity: object, attribute: QueryableAttribute[Any]
) -> None:
    """
    Load an attribute of an object, and of those that came by the same statement.

    Args:
        session: The object's session.
        entity: The object; one that was just stored has no peers.
        attribute: A relationship or a deferred column.
    """
    peers = list(_peers(session, entity, attribute))
    key = sa.inspect(type(entity)).primary_key
    columns = [sa.inspect(type(entity)).get_property_by_column(each) for each in key]
    attributes = [each.class_attribute for each in columns]
    is_relationship = isinstance(attribute.property, RelationshipProperty)
    option = selectinload(attribute) if is_relationship else undefer(attribute)
    for start in range(0, len(peers), KEYS):
        keys = [sa.inspect(peer).identity for peer in peers[start : start + KEYS]]
        statement = sa.select(type(entity)).where(_has_key(attributes, keys))
        (await session.scalars(statement.options(load_only(*attributes), option))).all()


def _peers(
    session: AsyncSession, entity: object, attribute: QueryableAttribute[Any]
) -> Iterator[object]:
    own = sa.inspect(entity, raiseerr=True)
    statement = own.runid
    if statement is None:
        return
    # Whoever asks for each object in a loop shall not have the session searched each time.
    asked = (statement, type(entity), attribute.key)
    known: set[Any] = session.info.setdefault(ASKED, set())
    if asked in known and attribute.key not in own.unloaded:
        return
    known.add(asked)
    for peer in session.identity_map.values():
        state = sa.inspect(peer)
        if (
            type(peer) is type(entity)
            and state.runid == statement
            and attribute.key in state.unloaded
        ):
            yield peer


def _has_key(attributes: list[Any], keys: list[Any]) -> Any:
    if len(attributes) == 1:
        return attributes[0].in_([key[0] for key in keys])
    return sa.tuple_(*attributes).in_(keys)
