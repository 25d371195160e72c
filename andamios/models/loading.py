"""
Attributes that say what to do when they are not loaded.

A session refuses lazy loads by itself (:mod:`andamios.core.lazy`). Without a session
SQLAlchemy raises ``DetachedInstanceError``, and with ``lazy="raise"`` an
``InvalidRequestError``; neither names the cure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exc as sa_exc
from sqlalchemy.ext.asyncio import async_object_session
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm import exc as orm_exc
from sqlalchemy.orm.attributes import set_committed_value

from andamios.core.visibility import is_hidden
from andamios.errors import LazyLoadError, QueryError
from andamios.models.peers import load_for_peers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import QueryableAttribute

__all__ = ["explain_lazy_loads", "load_attributes"]


class ExplainingAttribute(InstrumentedAttribute[Any]):
    """SQLAlchemy's attribute, whose lazy load fails with a :class:`LazyLoadError`."""

    __slots__ = ()
    inherit_cache = True

    def __get__(self, instance: object | None, owner: Any) -> Any:
        """Read a loaded value as fast as SQLAlchemy does; explain one that cannot be loaded."""
        if instance is None:
            return self
        values = instance.__dict__
        if self.key in values and self.impl.supports_population:
            return values[self.key]
        try:
            value = super().__get__(instance, owner)
        except LazyLoadError:
            raise LazyLoadError(type(instance).__name__, self.key) from None
        except orm_exc.DetachedInstanceError:
            raise LazyLoadError(type(instance).__name__, self.key, is_detached=True) from None
        except sa_exc.InvalidRequestError as error:
            if "not available due to" in str(error):  # an option or the mapping forbids the load
                raise LazyLoadError(type(instance).__name__, self.key) from error
            raise
        if is_hidden(value):  # the session's own memory gave it, and not the database
            value = None
            set_committed_value(instance, self.key, value)
        return value


def explain_lazy_loads(_model: type[Any], _key: str, attribute: QueryableAttribute[Any]) -> None:
    """Listen to SQLAlchemy's ``attribute_instrument`` and give each attribute this class."""
    if type(attribute) is InstrumentedAttribute:
        attribute.__class__ = ExplainingAttribute


async def load_attributes(
    entity: object, attributes: Iterable[QueryableAttribute[Any]], *, peers: bool
) -> None:
    """
    Load what is not loaded yet.

    Args:
        entity: An object of a session.
        attributes: Relationships or deferred columns of its class.
        peers: Whether to load them for what came by the same statement, too.

    Raises:
        LazyLoadError: It belongs to no open session.
        QueryError: An attribute of another class.
    """
    for attribute in attributes:
        owner = getattr(attribute, "class_", None)
        if owner is None or not isinstance(entity, owner):
            raise QueryError(
                f"load() of a {type(entity).__name__} takes its own attributes, such as "
                f"{type(entity).__name__}.name, not {attribute}"
            )
    names = [attribute.key for attribute in attributes]

    def read(_session: object = None) -> None:
        for name in names:
            getattr(entity, name)

    session = async_object_session(entity)
    if session is None:
        read()
        return
    if peers:
        for attribute in attributes:
            await load_for_peers(session, entity, attribute)
    await session.run_sync(read)
