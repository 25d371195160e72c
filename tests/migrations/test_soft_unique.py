"""Migrations of what is unique among live rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from andamios import AndamiosEngine, BaseModel, DuplicateError, GenericRepository, SoftDeleteModel
from andamios.migrations import MigrationManager

if TYPE_CHECKING:
    from pathlib import Path


class SoftUniqueBase(BaseModel, DeclarativeBase):
    """Keeps these tables out of everybody else's."""


class SoftUniqueUser(SoftDeleteModel, SoftUniqueBase):
    __table_args__ = (sa.UniqueConstraint("country", "number"),)

    email: Mapped[str] = mapped_column(unique=True)
    country: Mapped[str | None]
    number: Mapped[int | None]


class SoftUniqueLetter(SoftUniqueBase):
    user_id: Mapped[int] = mapped_column(sa.ForeignKey(SoftUniqueUser.id), unique=True)


def before(metadata: sa.MetaData) -> sa.MetaData:
    """Make the same tables as they were with plain constraints."""
    copy = sa.MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        made = table.to_metadata(copy)
        for index in list(made.indexes):
            if index.unique:
                made.indexes.discard(index)
                made.append_constraint(
                    sa.UniqueConstraint(*(column.name for column in index.columns), name=index.name)
                )
        made.info.clear()
    return copy


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "plain before"])
async def test_live_indexes(empty_engine: AndamiosEngine, directory: Path, *, is_new: bool) -> None:
    """A script makes them in a new table, or in one that has plain constraints."""
    manager = MigrationManager(empty_engine, directory, metadata=SoftUniqueBase)
    if not is_new:
        await empty_engine.create_all(before(SoftUniqueBase.metadata))
    assert await manager.check()
    revision = await manager.generate_migration("Soft")
    assert [revision] == await manager.apply_migrations()
    assert [] == await manager.check()

    users: Any = GenericRepository[SoftUniqueUser](empty_engine)
    first = await users.create(SoftUniqueUser(email="a"))
    with pytest.raises(DuplicateError) as caught:
        await users.create(SoftUniqueUser(email="a"))
    assert ("email",) == caught.value.columns
    await users.delete(first.id)
    await users.create(SoftUniqueUser(email="a"))
    await users.hard_delete(first.id)
    await manager.rollback_migration("base")


async def test_what_is_created_differs_in_nothing(
    empty_engine: AndamiosEngine, directory: Path
) -> None:
    """Tables that were made without a script are as the models say."""
    await empty_engine.create_all(SoftUniqueBase.metadata)
    manager = MigrationManager(empty_engine, directory, metadata=SoftUniqueBase)
    assert [] == await manager.check()
