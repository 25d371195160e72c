"""
Many new rows at once, and what comes back of them.

Values are bound by the columns' types, and what SQLAlchemy sets in a new row is set here. How the
rows get to the database is told by a subclass for each kind of driver.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import sqlalchemy as sa
from sqlalchemy.orm.attributes import instance_state

from andamios.models.history import history_table
from andamios.models.hooks import has_hooks
from andamios.plans.forms import UnplannableError
from andamios.plans.objects import construct_obstacle, write_obstacle
from andamios.plans.sessions import SessionPlans, plans_in
from andamios.plans.states import names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Mapper

    from andamios.plans.records import Kept

    Fields = Sequence[str] | frozenset[str]

__all__ = ["AT_ONCE", "Inserting", "ManyRows"]

AT_ONCE = 1000
"""Rows that are bound before others may run."""


class ManyRows:
    """
    Writes many rows of a model, within one call and its transaction.

    Args:
        plans: Of the session.
        mapper: Of the model.
    """

    drivers: ClassVar[Sequence[str]]
    """With which it works."""

    def __init__(self, plans: SessionPlans, mapper: Mapper[Any]) -> None:
        self._plans = plans
        self._mapper = mapper

    @property
    def dialect(self) -> Any:
        """Whose SQL it writes."""
        return self._plans.executor.dialect

    @classmethod
    def begin(cls, session: AsyncSession, model: type[Any]) -> Self | None:
        """Give what writes in a session; None if SQLAlchemy has to."""
        mapper: Any = sa.inspect(model)
        plans = plans_in(session, writes=True)
        if isinstance(plans, str) or plans.executor.dialect.driver not in cls.drivers:
            return None
        is_plain = write_obstacle(mapper) is None and history_table(mapper) is None
        return cls(plans, mapper) if is_plain and not has_hooks(model) else None


class Inserting(ManyRows, ABC):
    """Puts new rows into a table."""

    async def insert(
        self, rows: Sequence[Any], kept: Kept = "nothing", fields: frozenset[str] | None = None
    ) -> list[Any]:
        """
        Insert rows.

        Args:
            rows: Dicts by attribute, at least one.
            kept: What comes back.
            fields: What any of them has; default: all have what the first one has.

        Returns:
            What is kept of each row.

        Raises:
            UnplannableError: SQLAlchemy has to do it; nothing was written.
        """
        if (
            kept in {"keys", "entities"}
            and (reason := construct_obstacle(self._mapper)) is not None
        ):
            raise UnplannableError(reason)
        given: Fields = tuple(rows[0]) if fields is None else fields
        plan = self._plans.kept(
            (type(self), self._mapper.class_, kept, given), lambda: self._plan(given, kept)
        )
        return await self._send(plan, plan.records.values(rows))

    @abstractmethod
    def _plan(self, fields: Fields, kept: Kept) -> Any:
        """
        Tell how rows with the same fields go in; it has their ``records``.

        Raises:
            UnplannableError: SQLAlchemy has to do it.
        """

    @abstractmethod
    async def _send(self, plan: Any, values: Sequence[Any]) -> list[Any]:
        """
        Send rows, and give what is kept of them.

        Raises:
            UnplannableError: SQLAlchemy has to do it; nothing was written.
        """

    async def store(self, entities: list[Any]) -> None:
        """
        Store new objects, which then belong to the session as if it had flushed them.

        Args:
            entities: Objects of no session, which were never stored.

        Raises:
            UnplannableError: SQLAlchemy has to do it; nothing was written.
        """
        rows = [entity.__dict__ for entity in entities]
        states = set(map(instance_state, entities))
        if len(states) < len(entities) or any(state.session_id is not None for state in states):
            raise UnplannableError("an object is there twice, or waits in a session")
        if any(type(entity) is not self._mapper.class_ for entity in entities):
            raise UnplannableError("an object has a class of its own")
        held = frozenset().union(*rows)
        for name in held.intersection(self._mapper.relationships.keys()):
            is_list = self._mapper.relationships[name].uselist  # an empty one changes nothing
            if not is_list or any(row.get(name) for row in rows):
                raise UnplannableError(f"{name} was set")
        fields = held & names_of(self._mapper)[0]
        for row, made in zip(rows, await self.insert(rows, "changes", fields), strict=True):
            row.update(made)
        self._plans.add(entities, states)
