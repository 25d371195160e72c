"""Models that keep their history, in migrations: two tables, and nothing of ours in the script."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from andamios import AuditedRepository, AuditMixin, BaseModel, SoftDeleteModel
from andamios.migrations import MigrationManager

if TYPE_CHECKING:
    from pathlib import Path

    from andamios import AndamiosEngine


class KeptBase(BaseModel, DeclarativeBase):
    """Tables of their own."""


class KeptBook(AuditMixin, KeptBase):
    """It keeps its history."""

    __history__ = True

    isbn: Mapped[str]


class KeptShelf(AuditMixin, SoftDeleteModel, KeptBase):
    """It keeps its history, and its rows are marked."""

    __history__ = True

    name: Mapped[str] = mapped_column(unique=True)


async def test_generated(empty_engine: AndamiosEngine, directory: Path) -> None:
    """A script makes both tables, and afterwards nothing differs."""
    manager = MigrationManager(empty_engine, directory, metadata=KeptBase)
    revision = await manager.generate_migration("First")
    assert [revision] == await manager.apply_migrations()
    assert [] == await manager.check()

    books: Any = AuditedRepository[KeptBook](empty_engine)
    book = await books.create(KeptBook(isbn="1"))
    assert 1 == len(await books.history(book))
    scripts = await asyncio.to_thread(lambda: [*directory.glob("versions/*.py")])
    text = await asyncio.to_thread(scripts[0].read_text)
    assert ("kept_book_history" in text, "andamios_" in text) == (True, False)
    await manager.rollback_migration("base")
