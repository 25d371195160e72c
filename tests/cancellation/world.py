"""What a scenario works on, and what of it is compared before and after."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa

from andamios import AndamiosEngine, AsyncSession, AuditedRepository, GenericRepository
from andamios.caching import CacheManager
from andamios.models.history import history_table
from tests.cancellation.models import SweepDraft, SweepPort, SweepShip

__all__ = ["CALLAO", "GONE", "KEPT", "LIMA", "PAITA", "Content", "World", "content", "put_back"]

# Far from what a sequence gives, since theirs begin at 1.
LIMA, CALLAO, PAITA = 1_000_001, 1_000_002, 1_000_003
KEPT, GONE = 1_000_001, 1_000_002

Content: TypeAlias = dict[str, list[tuple[Any, ...]]]
Work: TypeAlias = Callable[["World"], Awaitable[Any]]


@dataclass
class World:
    """
    What a scenario is given.

    Args:
        engine: The engine under test.
        directory: A folder of its own.
        session: A session on the engine, for scenarios that are given one.
        cache: What watches the engine, for scenarios about it.
        kept: What a scenario prepares for its runs.
    """

    engine: AndamiosEngine
    directory: Path
    session: AsyncSession | None = None
    cache: CacheManager | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def bind(self) -> Any:
        """Where repositories and queries work."""
        return self.engine if self.session is None else self.session

    @property
    def given(self) -> AsyncSession:
        """The session that was passed in."""
        assert self.session is not None
        return self.session

    @property
    def caching(self) -> CacheManager:
        """The cache that watches the engine."""
        assert self.cache is not None
        return self.cache

    @property
    def ports(self) -> GenericRepository[SweepPort]:
        """A repository of plain rows."""
        return GenericRepository[SweepPort](self.bind)

    @property
    def drafts(self) -> AuditedRepository[SweepDraft]:
        """A repository of rows with everything."""
        return AuditedRepository[SweepDraft](self.bind)


HISTORY: Any = history_table(sa.inspect(SweepDraft))

# Not the keys and moments, which differ from run to run.
LOOKS = {
    "ports": sa.select(SweepPort.code, SweepPort.size),
    "ships": sa.select(SweepShip.name),
    "drafts": sa.select(
        SweepDraft.title, SweepDraft.version, SweepDraft.deleted_at.is_not(None).label("gone")
    ).execution_options(include_deleted=True),
    "history": sa.select(HISTORY.c.title, HISTORY.c.history_operation),
}


async def content(engine: AndamiosEngine) -> Content:
    """Give what is committed."""
    async with engine.session(read_only=True, is_current=False) as session:
        return {
            name: sorted(tuple(row) for row in await session.execute(look))
            for name, look in LOOKS.items()
        }


async def put_back(engine: AndamiosEngine) -> None:
    """Make the tables what they are before each run."""
    async with engine.session(is_current=False) as session:
        tables: tuple[Any, ...] = (HISTORY, SweepShip, SweepDraft, SweepPort)
        for table in tables:
            await session.execute(sa.delete(getattr(table, "__table__", table)))
        codes = {LIMA: "lima", CALLAO: "callao", PAITA: "paita"}
        session.add_all(
            SweepPort(id=key, code=code, size=key - LIMA) for key, code in codes.items()
        )
        session.add_all([SweepDraft(id=KEPT, title="first"), SweepDraft(id=GONE, title="gone")])
        await session.flush()
        session.add_all(SweepShip(name=f"ship {n}", port_id=LIMA) for n in range(3))
        drafts = {draft.id: draft for draft in await session.scalars(sa.select(SweepDraft))}
        drafts[KEPT].title = "second"
        await session.delete(drafts[GONE])
