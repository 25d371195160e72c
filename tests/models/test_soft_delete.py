"""Soft deletion: rows are marked, invisible, and there again when asked for."""

import pytest
from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.orm import aliased, joinedload, selectinload

from andamios import AndamiosEngine, AsyncSession
from andamios.models import hard_delete, is_soft_delete
from tests.models.domain import LibBook, LibDraft, LibLabel, LibNote, LibShelf

ALL = {"include_deleted": True}


@pytest.fixture
async def shelf(db_session: AsyncSession) -> LibShelf:
    """A shelf with the notes "kept" and "gone", of which the second is deleted."""
    shelf = LibShelf(name="one")
    shelf.notes = [LibNote(text="kept"), LibNote(text="gone")]
    db_session.add(shelf)
    await db_session.flush()
    await db_session.delete(shelf.notes[1])
    await db_session.flush()
    db_session.expunge_all()
    return await db_session.get_one(LibShelf, shelf.id)


def test_which_models_are_marked() -> None:
    """Only children of SoftDeleteModel are."""
    assert (True, False) == (is_soft_delete(LibNote), is_soft_delete(LibBook))


def test_new_rows_are_not_deleted() -> None:
    """A row begins unmarked."""
    assert not LibNote(text="new").is_deleted


async def test_delete_marks_the_row(db_session: AsyncSession, shelf: LibShelf) -> None:
    """The row stays in its table, with the time of its deletion."""
    found = await db_session.scalars(select(LibNote).order_by(LibNote.text), execution_options=ALL)
    assert [("gone", True), ("kept", False)] == [(n.text, n.is_deleted) for n in found]
    assert not shelf.is_deleted


async def test_delete_sets_updated_at(db_session: AsyncSession, shelf: LibShelf) -> None:
    """Marking a row is a change of it."""
    before = shelf.updated_at
    await db_session.delete(shelf)
    await db_session.flush()
    await db_session.refresh(shelf)
    assert shelf.updated_at > before


READS = {
    "rows": select(LibNote.text),
    "entities": select(LibNote),
    "count": select(func.count()).select_from(LibNote),
    "count of a column": select(func.count(LibNote.id)),
    "alias": select(aliased(LibNote)),
    "join": select(LibNote.text).select_from(LibShelf).join(LibShelf.notes),
    "subquery": select(select(LibNote.text).subquery()),
    "cte": select(select(LibNote.text).cte()),
    "in": select(LibShelf.id).where(LibShelf.id.in_(select(LibNote.shelf_id))),
}

VISIBLE = {"count": [1], "count of a column": [1]}


@pytest.mark.parametrize("name", READS)
async def test_marked_rows_are_invisible(
    db_session: AsyncSession, shelf: LibShelf, name: str
) -> None:
    """One of two notes is seen, however it is asked for."""
    found = (await db_session.execute(READS[name])).scalars().all()
    assert VISIBLE.get(name, 1) == (found if name in VISIBLE else len(found))
    assert shelf.notes is not None if "notes" in shelf.__dict__ else True


@pytest.mark.parametrize("name", sorted(READS.keys() - {"in"}))
async def test_include_deleted_shows_them(
    db_session: AsyncSession, shelf: LibShelf, name: str
) -> None:
    """Both are seen when asked for."""
    found = (await db_session.execute(READS[name], execution_options=ALL)).scalars().all()
    assert 2 == (found[0] if name in VISIBLE else len(found))
    assert shelf in db_session


async def test_conditions_over_relationships(db_session: AsyncSession, shelf: LibShelf) -> None:
    """``any()``, ``has()`` and ``exists()`` do not see marked rows."""
    for condition in (
        LibShelf.notes.any(LibNote.text == "gone"),
        exists().where(LibNote.shelf_id == LibShelf.id, LibNote.text == "gone"),
    ):
        assert [] == list(await db_session.scalars(select(LibShelf).where(condition)))
    await db_session.delete(shelf)
    await db_session.flush()
    orphans = select(LibNote).where(LibNote.shelf.has(LibShelf.name == "one"))
    assert [] == list(await db_session.scalars(orphans))


@pytest.mark.parametrize("strategy", [selectinload, joinedload], ids=lambda s: s.__name__)
async def test_eager_loads(db_session: AsyncSession, shelf: LibShelf, strategy: object) -> None:
    """A collection that comes with the query leaves marked rows out, or shows them."""
    statement = select(LibShelf).options(strategy(LibShelf.notes))  # type: ignore[operator]
    db_session.expunge(shelf)
    found = (await db_session.scalars(statement)).unique().one()
    assert ["kept"] == [note.text for note in found.notes]
    db_session.expunge_all()
    found = (await db_session.scalars(statement, execution_options=ALL)).unique().one()
    assert 2 == len(found.notes)


async def test_lazy_load(shelf: LibShelf) -> None:
    """A collection that is loaded later leaves marked rows out."""
    await shelf.load(LibShelf.notes)
    assert ["kept"] == [note.text for note in shelf.notes]


async def test_lazy_load_of_the_parent(db_session: AsyncSession, shelf: LibShelf) -> None:
    """A marked parent is not there for its children."""
    note = (await db_session.scalars(select(LibNote))).one()
    await db_session.execute(delete(LibShelf).where(LibShelf.id == shelf.id))
    db_session.expunge(shelf)
    await note.load(LibNote.shelf)
    assert note.shelf is None


async def test_get_by_key(db_session: AsyncSession, shelf: LibShelf) -> None:
    """A marked row is not found by its key, unless asked for."""
    await shelf.load(LibShelf.notes)
    ids = select(LibNote.id).where(LibNote.text == "gone")
    key = await db_session.scalar(ids, execution_options=ALL)
    assert await db_session.get(LibNote, key) is None
    found = await db_session.get(LibNote, key, execution_options=ALL)
    assert "gone" == (found.text if found else None)


async def test_bulk_delete_marks(db_session: AsyncSession, shelf: LibShelf) -> None:
    """A set-based DELETE marks what it matches, and says how many."""
    result = await db_session.execute(delete(LibNote).where(LibNote.text.in_(["kept", "gone"])))
    found = await db_session.scalars(select(LibNote), execution_options=ALL)
    assert (1, 2) == (result.rowcount, len(found.all()))
    assert [] == list(await db_session.scalars(select(LibNote)))
    assert shelf in db_session


async def test_bulk_delete_marks_what_the_session_holds(
    db_session: AsyncSession, shelf: LibShelf
) -> None:
    """Objects that a set-based DELETE matched know of it."""
    note = (await db_session.scalars(select(LibNote))).one()
    await db_session.execute(delete(LibNote).where(LibNote.text == "kept"))
    assert (True, False) == (note.is_deleted, shelf.is_deleted)


async def test_bulk_delete_with_include_deleted_still_marks(
    db_session: AsyncSession, shelf: LibShelf
) -> None:
    """Only hard_delete removes: seeing marked rows is no permission to remove them."""
    await db_session.execute(delete(LibNote), execution_options=ALL)
    found = await db_session.scalars(select(LibNote), execution_options=ALL)
    assert 2 == len(found.all())
    assert shelf in db_session


async def test_bulk_update_does_not_touch_marked_rows(
    db_session: AsyncSession, shelf: LibShelf
) -> None:
    """A set-based UPDATE sees what a SELECT sees."""
    result = await db_session.execute(update(LibNote).values(text="changed"))
    assert (1, False) == (result.rowcount, shelf.is_deleted)


async def test_bulk_update_restores(db_session: AsyncSession, shelf: LibShelf) -> None:
    """A marked row comes back when its mark is taken away."""
    statement = update(LibNote).values(deleted_at=None).where(LibNote.text == "gone")
    await db_session.execute(statement, execution_options=ALL)
    await shelf.load(LibShelf.notes)
    assert 2 == len(shelf.notes)


async def test_bulk_delete_that_returns_entities(engine: AndamiosEngine) -> None:
    """Whole entities and expressions too, each in its place."""
    if engine.backend in {"mysql", "mariadb"}:
        pytest.skip("No UPDATE with RETURNING, which marking is")
    async with engine.session() as session:
        session.add(LibNote(text="a"))
        await session.flush()
        statement = delete(LibNote).returning(func.upper(LibNote.text), LibNote, LibNote.text)
        ((upper, note, plain),) = (await session.execute(statement)).all()
        assert ("A", "a") == (upper, plain)
        assert isinstance(note, LibNote)
        assert note.is_deleted


async def test_bulk_delete_with_returning(engine: AndamiosEngine) -> None:
    """A DELETE that returns rows gives those that it marked, where the backend can."""
    if engine.backend in {"mysql", "mariadb"}:
        pytest.skip("No UPDATE with RETURNING, which marking is")
    async with engine.session() as session:
        session.add_all([LibNote(text="a"), LibNote(text="b")])
        await session.flush()
        statement = delete(LibNote).where(LibNote.text == "a").returning(LibNote.text)
        assert ["a"] == list(await session.scalars(statement))


async def test_bulk_delete_of_a_versioned_model(db_session: AsyncSession) -> None:
    """Marking counts the version."""
    draft = LibDraft(name="one")
    db_session.add(draft)
    await db_session.flush()
    await db_session.execute(delete(LibDraft))
    await db_session.refresh(draft)
    assert (2, True) == (draft.version, draft.is_deleted)


async def test_cascade_marks_children(db_session: AsyncSession, shelf: LibShelf) -> None:
    """Deleting a parent marks what its cascade reaches, and only that."""
    await shelf.load(LibShelf.notes, LibShelf.labels)
    await db_session.delete(shelf)
    await db_session.flush()
    found = await db_session.scalars(select(LibNote), execution_options=ALL)
    assert [True, True] == [note.is_deleted for note in found]


async def test_children_that_are_not_marked_stay(db_session: AsyncSession) -> None:
    """A child without a mark stays as long as its parent's row does."""
    shelf = LibShelf(name="two", labels=[LibLabel(text="red")])
    db_session.add(shelf)
    await db_session.flush()
    await db_session.delete(shelf)
    await db_session.flush()
    found = await db_session.scalars(select(LibLabel))
    assert [("red", shelf.id)] == [(label.text, label.shelf_id) for label in found]


async def test_orphan_is_marked(db_session: AsyncSession, shelf: LibShelf) -> None:
    """A child taken out of a collection with delete-orphan is marked, not removed."""
    await shelf.load(LibShelf.notes)
    shelf.notes.clear()
    await db_session.flush()
    found = await db_session.scalars(select(LibNote), execution_options=ALL)
    assert [True, True] == [note.is_deleted for note in found]


async def test_hard_delete_removes(db_session: AsyncSession, shelf: LibShelf) -> None:
    """A row is gone for good, and its unmarked siblings are not."""
    note = (await db_session.scalars(select(LibNote))).one()
    await hard_delete(db_session, note)
    await db_session.flush()
    found = await db_session.scalars(select(LibNote.text), execution_options=ALL)
    assert ["gone"] == list(found)
    assert shelf in db_session


async def test_hard_delete_of_a_row_that_could_be_marked_nowhere(
    db_session: AsyncSession,
) -> None:
    """A model without marks is simply deleted."""
    book = LibBook(title="Rayuela")
    db_session.add(book)
    await db_session.flush()
    await hard_delete(db_session, book)
    await db_session.flush()
    assert [] == list(await db_session.scalars(select(LibBook)))


async def test_hard_delete_that_was_rolled_back_is_forgotten(engine: AndamiosEngine) -> None:
    """A later delete of the same object only marks it."""
    async with engine.session() as session:
        note = LibNote(text="kept")
        session.add(note)
        await session.commit()
        await hard_delete(session, note)
        await session.rollback()
        await session.refresh(note)
        await session.delete(note)
    async with engine.session() as session:
        found = await session.scalars(select(LibNote.text), execution_options=ALL)
        assert ["kept"] == list(found)


async def test_core_statements_are_outside_of_the_promise(
    db_session: AsyncSession, shelf: LibShelf
) -> None:
    """A statement on the table itself, of text, or of the connection sees every row."""
    table = LibNote.__table__
    assert 2 == await db_session.scalar(select(func.count()).select_from(table))
    assert 2 == await db_session.scalar(text("SELECT count(*) FROM lib_note"))
    connection = await db_session.connection()
    assert 2 == len((await connection.execute(select(LibNote.id))).all())
    assert shelf in db_session
