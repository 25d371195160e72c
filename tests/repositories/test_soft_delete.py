"""Soft deletion through repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    BaseModel,
    ConfigurationError,
    ForeignKeyError,
    GenericRepository,
    SoftDeleteModel,
    VersioningMixin,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class SoftFolder(VersioningMixin, SoftDeleteModel):
    name: Mapped[str]
    files: Mapped[list[SoftFile]] = relationship(back_populates="folder")
    notes: Mapped[list[SoftNote]] = relationship()


class SoftNote(SoftDeleteModel):
    text: Mapped[str]
    folder_id: Mapped[int] = mapped_column(ForeignKey("soft_folder.id"))


class SoftFile(BaseModel):
    name: Mapped[str]
    folder_id: Mapped[int] = mapped_column(ForeignKey("soft_folder.id"))
    folder: Mapped[SoftFolder] = relationship(back_populates="files")


@pytest.fixture(params=["engine", "session"])
async def folders(request: pytest.FixtureRequest, engine: AndamiosEngine) -> Any:
    """The repository, bound to an engine or a session."""
    if request.param == "engine":
        yield GenericRepository[SoftFolder](engine)
        return
    async with engine.session() as session:
        yield GenericRepository[SoftFolder](session)


async def test_deleted_is_invisible(folders: GenericRepository[SoftFolder]) -> None:
    """What is deleted is found by no method, and is still there for who asks."""
    kept, gone = [await folders.create(SoftFolder(name=name)) for name in ("kept", "gone")]

    assert await folders.delete(gone.id)
    assert not await folders.delete(gone.id)
    assert await folders.get_by_id(gone.id) is None
    assert [kept.id] == [f.id for f in await folders.get_many([gone.id, kept.id])]
    assert ["kept"] == [folder.name for folder in await folders.list()]
    assert ["kept"] == [folder.name async for folder in folders.stream()]
    assert 1 == await folders.count()
    assert not await folders.exists({"name": "gone"})
    assert await folders.find_one({"name": "gone"}) is None
    assert 1 == (await folders.page(1, 5)).total
    assert 1 == len((await folders.page_after(None, 5)).items)
    assert 0 == await folders.update_where({"name": "gone"}, {"name": "x"})
    assert 0 == await folders.delete_where({"name": "gone"})
    assert 2 == await folders.query().include_deleted().count()


async def test_restore(folders: GenericRepository[SoftFolder]) -> None:
    """What was deleted comes back, once, and counts as a change."""
    folder = await folders.create(SoftFolder(name="a"))

    assert not await folders.restore(folder.id)
    await folders.delete(folder.id)
    assert await folders.restore(folder.id)
    assert not await folders.restore(folder.id)
    assert not await folders.restore(-1)
    found = await folders.get_one(folder.id)
    assert (False, 3) == (found.is_deleted, found.version)


async def test_hard_delete(folders: GenericRepository[SoftFolder]) -> None:
    """A row can be removed for good, whether it was marked or not."""
    marked, plain = [await folders.create(SoftFolder(name=name)) for name in ("marked", "plain")]
    await folders.delete(marked.id)

    assert await folders.hard_delete(marked.id)
    assert await folders.hard_delete(plain.id)
    assert not await folders.hard_delete(plain.id)
    assert 0 == await folders.query().include_deleted().count()


async def test_across_relationships(engine: AndamiosEngine) -> None:
    """Filters and joins along relationships do not see what is deleted."""
    folders, files = GenericRepository[SoftFolder](engine), GenericRepository[SoftFile](engine)
    folder = await folders.create(SoftFolder(name="a", files=[SoftFile(name="f")]))
    await folders.delete(folder.id)

    assert 0 == await files.count({"folder.name": "a"})
    assert 0 == await files.query().join(SoftFile.folder).count()
    assert 1 == await files.query().join(SoftFile.folder).include_deleted().count()
    with pytest.raises(ForeignKeyError):
        await folders.hard_delete(folder.id)


async def test_joins_to_many(engine: AndamiosEngine) -> None:
    """A join to many sees neither deleted parents nor deleted children, and counts the rest."""
    async with engine.session() as session:
        for number in range(4):
            notes = [SoftNote(text=f"{number} {count}") for count in range(number)]
            session.add(SoftFolder(name=f"f{number}", notes=notes))
    folders = GenericRepository[SoftFolder](engine)
    await GenericRepository[SoftNote](engine).delete_where({"text": "1 0"})
    await folders.delete_where({"name": "f3"})
    query = folders.query().join(SoftFolder.notes)

    assert ["f2"] == [folder.name for folder in await query.execute()]
    assert (1, 1) == (await query.count(), (await query.page(1, 5)).total)
    assert 3 == await query.include_deleted().count()
    loaded = await folders.query().load(SoftFolder.notes).filter_by(name="f1").one()
    assert [] == loaded.notes
    assert 1 == await folders.count({"notes.text__startswith": "2"})
    assert 0 == await folders.count({"notes.text": "1 0"})


async def test_other_models(engine: AndamiosEngine) -> None:
    """Where deletion is for good, hard_delete is deletion, and nothing can be restored."""
    files = GenericRepository[SoftFile](engine)
    folder = await GenericRepository[SoftFolder](engine).create(SoftFolder(name="a"))
    file = await files.create(SoftFile(name="f", folder_id=folder.id))
    with pytest.raises(ConfigurationError, match="SoftDeleteModel"):
        await files.restore(file.id)

    assert await files.hard_delete(file.id)
    assert not await files.hard_delete(file.id)
