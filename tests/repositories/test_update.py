"""Updates: optimistic locking, objects from elsewhere, and columns that are not loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    BaseModel,
    GenericRepository,
    LazyLoadError,
    NotFoundError,
    NotNullError,
    QueryError,
    SoftDeleteModel,
    StaleVersionError,
    TimestampedModel,
    VersioningMixin,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class UpdatedDoc(VersioningMixin, TimestampedModel):
    title: Mapped[str]
    body: Mapped[str | None] = mapped_column(deferred=True)
    views: Mapped[int] = mapped_column(default=0)
    tags: Mapped[list[UpdatedTag]] = relationship(cascade="all, delete-orphan")


class UpdatedTag(BaseModel):
    name: Mapped[str]
    doc_id: Mapped[int] = mapped_column(ForeignKey("updated_doc.id"))


class UpdatedNote(BaseModel):
    text: Mapped[str]
    likes: Mapped[int] = mapped_column(default=0)


class UpdatedPage(SoftDeleteModel):
    text: Mapped[str]


def docs(bind: Any) -> GenericRepository[UpdatedDoc]:
    return GenericRepository[UpdatedDoc](bind)


def notes(bind: Any) -> GenericRepository[UpdatedNote]:
    return GenericRepository[UpdatedNote](bind)


@pytest.fixture
async def doc(engine: AndamiosEngine) -> UpdatedDoc:
    """A stored document that belongs to no session."""
    created = await docs(engine).create(
        UpdatedDoc(title="one", body="long", tags=[UpdatedTag(name="new")])
    )
    return await docs(engine).get_one(created.id)


async def test_detached(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """An object that belongs to no session is stored, in place, and can be stored again."""
    doc.title = "two"
    first = await docs(engine).update(doc)
    doc.title = "three"
    await docs(engine).update(doc)
    found = await docs(engine).get_one(doc.id)

    assert first is doc
    assert ("three", 3, 3) == (found.title, found.version, doc.version)
    assert doc.created_at < doc.updated_at
    assert doc.updated_at == found.updated_at


async def test_stale(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """Who read an older version loses, learns both versions, and changes nothing."""
    other = await docs(engine).get_one(doc.id)
    other.title = "theirs"
    await docs(engine).update(other)
    doc.title = "mine"
    with pytest.raises(StaleVersionError) as caught:
        await docs(engine).update(doc)
    async with engine.session() as session:
        with pytest.raises(StaleVersionError):
            await docs(session).update(doc)
        assert "theirs" == (await docs(session).get_one(doc.id)).title

    assert (1, 2) == (caught.value.expected, caught.value.actual)
    found = await docs(engine).get_one(doc.id)
    assert ("theirs", 2) == (found.title, found.version)


async def test_stale_beside_a_known_object(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """A detached object is compared with the one that the session has."""
    async with engine.session() as session:
        known = await docs(session).get_one(doc.id)
        known.views = 5
        await docs(session).update(known)
        doc.title = "mine"
        with pytest.raises(StaleVersionError) as caught:
            await docs(session).update(doc)
        assert (1, 2) == (caught.value.expected, caught.value.actual)
        assert ("one", 5) == (known.title, known.views)


async def test_beside_a_known_object(engine: AndamiosEngine) -> None:
    """Changes of a detached object, and nothing else, go to the one that the session has."""
    note = await notes(engine).create(UpdatedNote(text="x"))
    async with engine.session() as session:
        known = await notes(session).get_one(note.id)
        known.likes = 9
        note.text = "y"
        assert known is await notes(session).update(note)
        assert ("y", 9) == (known.text, known.likes)

    found = await notes(engine).get_one(note.id)
    assert ("y", 9) == (found.text, found.likes)


async def test_refused_objects_stay_as_they_were(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """A detached object keeps its changes, its old values and its relations for another try."""
    loaded = await docs(engine).query().load(UpdatedDoc.tags).one()
    await docs(engine).update_where({"id": doc.id}, {"views": 1})
    loaded.title = "two"
    loaded.tags.append(UpdatedTag(name="hot"))
    for bind in (engine, "session"):
        async with engine.session() as session:
            with pytest.raises(StaleVersionError):
                await docs(session if bind == "session" else engine).update(loaded)
            assert loaded not in session
        assert ("two", 1, 0) == (loaded.title, loaded.version, loaded.views)
        assert ["new", "hot"] == [tag.name for tag in loaded.tags]
    loaded.version = 2
    with pytest.raises(StaleVersionError):  # a version set by hand is not the one that was read
        await docs(engine).update(loaded)
    again = await docs(engine).query().load(UpdatedDoc.tags).one()
    again.title = loaded.title
    await docs(engine).update(again)

    assert 3 == again.version


async def test_refused_objects_of_a_session_keep_their_relations(engine: AndamiosEngine) -> None:
    """An object of the session has the values of its row again, and what it had loaded."""
    async with engine.session() as session:
        doc = await docs(session).create(UpdatedDoc(title="one", tags=[UpdatedTag(name="new")]))
        doc.title = None  # type: ignore[assignment]
        with pytest.raises(NotNullError):
            await docs(session).update(doc)
        assert ("one", ["new"]) == (doc.title, [tag.name for tag in doc.tags])


async def test_gone(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """Of a versioned row that is gone there is no version; of another one there is no row."""
    note = await notes(engine).create(UpdatedNote(text="x"))
    await docs(engine).delete(doc.id)
    await notes(engine).delete(note.id)
    doc.title = "two"
    note.text = "y"
    with pytest.raises(StaleVersionError) as caught:
        await docs(engine).update(doc)
    assert (1, None) == (caught.value.expected, caught.value.actual)
    with pytest.raises(NotFoundError):
        await notes(engine).update(note)


async def test_gone_and_unchanged(engine: AndamiosEngine) -> None:
    """Also with nothing to store, a missing row is noticed."""
    note = await notes(engine).create(UpdatedNote(text="x"))
    await notes(engine).update(note)
    await notes(engine).delete(note.id)
    with pytest.raises(NotFoundError):
        await notes(engine).update(note)


async def test_only_changes_are_written(engine: AndamiosEngine) -> None:
    """What was not changed does not overwrite what others changed."""
    note = await notes(engine).create(UpdatedNote(text="x"))
    await notes(engine).update_where({"id": note.id}, {"likes": 7})
    note.text = "y"
    await notes(engine).update(note)
    found = await notes(engine).get_one(note.id)

    assert ("y", 7) == (found.text, found.likes)


async def test_columns_that_are_not_loaded(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """A deferred column neither stops an update nor loses its value, and can be set unseen."""
    with pytest.raises(LazyLoadError):
        _ = doc.body
    stored = docs(engine).query().only("title", "body")
    doc.title = "two"
    await docs(engine).update(doc)
    assert ("two", "long") == tuple(await stored.one())
    doc.body = "short"
    await docs(engine).update(doc)
    assert ("two", "short") == tuple(await stored.one())
    async with engine.session() as session:
        held = await docs(session).get_one(doc.id)
        held.title = "three"
        await docs(session).update(held)
    assert ("three", "short") == tuple(await stored.one())


async def test_relationships_that_are_not_loaded(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """They stay as they are."""
    doc.title = "two"
    await docs(engine).update(doc)
    found = await docs(engine).query().load(UpdatedDoc.tags).one()

    assert ("two", ["new"]) == (found.title, [tag.name for tag in found.tags])


async def test_relationships_that_changed(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """They are stored with the object, also beside one that the session has."""
    loaded = await docs(engine).query().filter_by(id=doc.id).load(UpdatedDoc.tags).one()
    loaded.tags.append(UpdatedTag(name="hot"))
    await docs(engine).update(loaded)
    again = await docs(engine).query().load(UpdatedDoc.tags).one()
    again.tags = [tag for tag in again.tags if tag.name == "hot"]
    again.title = "two"
    async with engine.session() as session:
        await docs(session).query().load(UpdatedDoc.tags).one()
        await docs(session).update(again)
    found = await docs(engine).query().load(UpdatedDoc.tags).one()

    assert ("two", ["hot"]) == (found.title, [tag.name for tag in found.tags])


async def test_new_object_with_a_key(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """A new object with the key of a row sets what it holds and leaves the rest."""
    stored = await docs(engine).update(UpdatedDoc(id=doc.id, title="two"))

    assert ("two", 0, 2) == (stored.title, stored.views, stored.version)
    with pytest.raises(StaleVersionError) as caught:
        await docs(engine).update(UpdatedDoc(id=doc.id, title="three", version=1))
    assert (1, 2) == (caught.value.expected, caught.value.actual)
    await docs(engine).update(UpdatedDoc(id=doc.id, title="three", version=2))
    with pytest.raises(NotFoundError):
        await docs(engine).update(UpdatedDoc(id=-1, title="x"))
    with pytest.raises(QueryError, match="None"):
        await docs(engine).update(UpdatedDoc(title="x"))


async def test_new_object_with_a_key_has_no_say_in_relationships(
    engine: AndamiosEngine, doc: UpdatedDoc
) -> None:
    """What it does not hold stays, though its collection would be empty if one asked."""
    await docs(engine).update(UpdatedDoc(id=doc.id, title="two"))
    await docs(engine).update_many([{"id": doc.id, "title": "three"}])
    async with engine.session() as session:
        await docs(session).query().load(UpdatedDoc.tags).one()
        await docs(session).update(UpdatedDoc(id=doc.id, title="four"))
    found = await docs(engine).query().load(UpdatedDoc.tags).one()

    assert ("four", ["new"]) == (found.title, [tag.name for tag in found.tags])


async def test_a_version_set_by_hand(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """A version that was set is the one that somebody read: another one loses."""
    doc.title = "two"
    await docs(engine).update(doc)
    doc.version = 1
    doc.title = "three"
    with pytest.raises(StaleVersionError) as caught:
        await docs(engine).update(doc)

    assert (1, 2) == (caught.value.expected, caught.value.actual)
    assert 2 == (await docs(engine).get_one(doc.id)).version


async def test_expressions(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """An attribute may be set to SQL, and be read at once."""
    doc.views = UpdatedDoc.views + 5  # type: ignore[assignment]
    doc.title = func.upper(UpdatedDoc.title)  # type: ignore[assignment]
    await docs(engine).update(doc)

    assert (5, "ONE") == (doc.views, doc.title)


async def test_objects_of_another_session(engine: AndamiosEngine, doc: UpdatedDoc) -> None:
    """They are refused by name."""
    async with engine.session(read_only=True) as session:
        held = await docs(session).get_one(doc.id)
        with pytest.raises(QueryError, match="another session"):
            await docs(engine).update(held)


async def test_deleted_pages(engine: AndamiosEngine) -> None:
    """What is softly deleted cannot be updated."""
    pages = GenericRepository[UpdatedPage](engine)
    page = await pages.create(UpdatedPage(text="x"))
    await pages.delete(page.id)
    page.text = "y"
    with pytest.raises(NotFoundError):
        await pages.update(page)
    with pytest.raises(NotFoundError):
        await pages.update(UpdatedPage(id=page.id, text="y"))


async def test_pending_objects(engine: AndamiosEngine) -> None:
    """An object that was added and not flushed is stored by an update, too."""
    async with engine.session() as session:
        note = UpdatedNote(text="x")
        session.add(note)
        await notes(session).update(note)
        assert await notes(session).get_by_id(note.id) is note
