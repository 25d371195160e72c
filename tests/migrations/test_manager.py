import datetime as dt
import decimal
import enum
import uuid
from pathlib import Path
from typing import Annotated, Literal

import pytest
import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from andamios import (
    AndamiosEngine,
    AuditMixin,
    BaseModel,
    MigrationError,
    SoftDeleteModel,
    UUIDModel,
    VersioningMixin,
)
from andamios.migrations import MigrationManager


class MigrationsBase(BaseModel, DeclarativeBase):
    """Keeps these tables out of everybody else's."""


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


class MigratedParent(VersioningMixin, AuditMixin, SoftDeleteModel, MigrationsBase):
    name: Mapped[Annotated[str, Field(max_length=40)]] = mapped_column(unique=True, index=True)
    text: Mapped[Annotated[str, Field(max_length=100_000)]]
    count: Mapped[int | None]
    ratio: Mapped[float]
    price: Mapped[decimal.Decimal]
    weight: Mapped[Annotated[decimal.Decimal, Field(max_digits=30, decimal_places=8)]]
    seen_at: Mapped[dt.datetime]
    day: Mapped[dt.date]
    clock: Mapped[dt.time]
    lasts: Mapped[dt.timedelta]
    blob: Mapped[bytes]
    facts: Mapped[dict[str, int]]
    tags: Mapped[list[str]]
    colour: Mapped[Colour]
    size: Mapped[Literal["small", "large"]]
    token: Mapped[uuid.UUID]
    is_on: Mapped[bool] = mapped_column(server_default=sa.true())
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("migrated_parent.id"))


class MigratedThing(UUIDModel, MigrationsBase):
    owner_id: Mapped[int] = mapped_column(
        sa.ForeignKey("migrated_parent.id", ondelete="CASCADE"), index=True
    )


async def test_every_type_survives_the_way_through_a_script(
    empty_engine: AndamiosEngine, directory: Path
) -> None:
    """What is generated and applied is what the models say; back again nothing is left."""
    manager = MigrationManager(empty_engine, directory, metadata=MigrationsBase)
    assert await manager.check()
    revision = await manager.generate_migration("All types")
    assert [revision] == await manager.apply_migrations()
    assert [] == await manager.check()
    assert [] == await manager.apply_migrations()
    with pytest.raises(MigrationError, match="Nothing to do"):
        await manager.generate_migration("Nothing")
    assert [revision] == await manager.rollback_migration("base")
    async with empty_engine.connections.acquire() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    assert ["alembic_version"] == names
