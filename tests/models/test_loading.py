"""Attributes that are not loaded: one error that names the cure, and ``entity.load``."""

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import defer, raiseload, selectinload

from andamios import AndamiosEngine, AsyncSession, LazyLoadError, QueryError, SessionTaskError
from tests.models.domain import LibAuthor, LibBook, LibTag, LibVault


@pytest.fixture
async def author(db_session: AsyncSession) -> LibAuthor:
    """An author with two books, read from the database by a query."""
    db_session.add(
        LibAuthor(
            name="Julio",
            biography="Born in Ixelles",
            books=[
                LibBook(title="Rayuela", tags=[LibTag(name="novel")]),
                LibBook(title="Bestiario"),
            ],
        )
    )
    await db_session.flush()
    db_session.expunge_all()
    return (await db_session.scalars(select(LibAuthor))).one()


@pytest.mark.parametrize("attribute", ["books", "biography"])
async def test_attached(author: LibAuthor, attribute: str) -> None:
    """A relationship and a deferred column of an attached object cannot load by themselves."""
    with pytest.raises(LazyLoadError) as caught:
        getattr(author, attribute)
    assert ("LibAuthor", attribute) == (caught.value.model, caught.value.attribute)
    gc.collect()  # an un-awaited coroutine would warn here, and warnings are errors


async def test_message_names_the_cure(author: LibAuthor) -> None:
    """The message says how to load it with the query, and afterwards."""
    with pytest.raises(LazyLoadError) as caught:
        _ = author.books
    assert ".load(LibAuthor.books)" in str(caught.value)
    assert "await entity.load(LibAuthor.books)" in str(caught.value)


@pytest.mark.parametrize("attribute", ["books", "biography"])
async def test_detached(db_session: AsyncSession, author: LibAuthor, attribute: str) -> None:
    """A detached object says the same."""
    db_session.expunge(author)
    with pytest.raises(LazyLoadError) as caught:
        getattr(author, attribute)
    assert ("LibAuthor", attribute) == (caught.value.model, caught.value.attribute)


async def test_detached_after_the_session_ended(engine: AndamiosEngine) -> None:
    """An object that outlived its session keeps its columns and explains its relationships."""
    async with engine.session() as session:
        author = LibAuthor(name="Julio")
        session.add(author)
    async with engine.session() as session:
        found = await session.get_one(LibAuthor, author.id)
    assert "Julio" == found.name
    with pytest.raises(LazyLoadError):
        _ = found.books


@pytest.mark.parametrize("attribute", ["author", "content"])
async def test_attribute_that_must_not_load(db_session: AsyncSession, attribute: str) -> None:
    """``lazy="raise"`` and ``deferred_raiseload`` say the same as everything else."""
    author = LibAuthor(name="Julio")
    db_session.add(author)
    await db_session.flush()
    db_session.add(LibVault(author_id=author.id, content="gold"))
    await db_session.flush()
    db_session.expunge_all()
    vault = (await db_session.scalars(select(LibVault))).one()
    with pytest.raises(LazyLoadError) as caught:
        getattr(vault, attribute)
    assert ("LibVault", attribute) == (caught.value.model, caught.value.attribute)


async def test_query_that_forbids_loading(db_session: AsyncSession, author: LibAuthor) -> None:
    """``raiseload()`` and ``defer(raiseload=True)`` in a query say the same, too."""
    db_session.expunge(author)
    options = raiseload(LibAuthor.books), defer(LibAuthor.name, raiseload=True)
    found = (await db_session.scalars(select(LibAuthor).options(*options))).one()
    for attribute in ("books", "name"):
        with pytest.raises(LazyLoadError) as caught:
            getattr(found, attribute)
        assert attribute == caught.value.attribute


async def test_expired(db_session: AsyncSession, author: LibAuthor) -> None:
    """An expired column is read again with an await only."""
    db_session.expire(author)
    with pytest.raises(LazyLoadError) as caught:
        _ = author.name
    assert ("LibAuthor", "name") == (caught.value.model, caught.value.attribute)
    await author.load(LibAuthor.name)
    assert "Julio" == author.name


async def test_rolled_back(engine: AndamiosEngine) -> None:
    """After a rollback, which expires what it wrote to, the same error and cure."""
    async with engine.session() as session:
        author = LibAuthor(name="Julio")
        session.add(author)
        await session.commit()
        author.name = "Other"
        await session.rollback()
        with pytest.raises(LazyLoadError):
            _ = author.name
        await author.load(LibAuthor.name)
        assert "Julio" == author.name


async def test_hasattr_is_no_surprise(author: LibAuthor) -> None:
    """The error is no AttributeError: ``hasattr`` does not swallow it."""
    with pytest.raises(LazyLoadError):
        hasattr(author, "books")


async def test_load_relationships_and_columns(author: LibAuthor) -> None:
    """``load`` brings what is named, several at once."""
    await author.load(LibAuthor.books, LibAuthor.biography)
    titles = sorted(book.title for book in author.books)
    assert (["Bestiario", "Rayuela"], "Born in Ixelles") == (titles, author.biography)


async def test_load_is_no_query_when_loaded(db_session: AsyncSession, author: LibAuthor) -> None:
    """What is loaded stays as it is."""
    await author.load(LibAuthor.books)
    books = author.books
    db_session.expunge(author)
    await author.load(LibAuthor.books)
    assert books is author.books


async def test_load_of_many_to_many(db_session: AsyncSession, author: LibAuthor) -> None:
    """A relationship of what was loaded can be loaded in turn."""
    await author.load(LibAuthor.books)
    book = next(book for book in author.books if book.title == "Rayuela")
    await book.load(LibBook.tags)
    assert ["novel"] == [tag.name for tag in book.tags]
    assert book in db_session


async def test_load_of_a_detached_object(db_session: AsyncSession, author: LibAuthor) -> None:
    """Without a session there is nothing to load from, and no ``load`` is advised."""
    db_session.expunge(author)
    with pytest.raises(LazyLoadError) as caught:
        await author.load(LibAuthor.books)
    assert "belongs to no open session" in str(caught.value)
    assert "await entity.load" not in str(caught.value)


@pytest.fixture
async def authors(db_session: AsyncSession) -> list[LibAuthor]:
    """Three authors with one, two and no books, of one result."""
    books = [["Rayuela"], ["Pedro Páramo", "El llano en llamas"], []]
    db_session.add_all(
        LibAuthor(name=f"Author {i}", biography=str(i), books=[LibBook(title=t) for t in titles])
        for i, titles in enumerate(books)
    )
    await db_session.flush()
    db_session.expunge_all()
    return list(await db_session.scalars(select(LibAuthor).order_by(LibAuthor.name)))


async def test_peers(
    authors: list[LibAuthor], max_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    """One await on one object loads a relationship for all of the same result."""
    with max_queries(2):  # the keys, and the books
        await authors[1].load(LibAuthor.books, peers=True)
    assert [1, 2, 0] == [len(author.books) for author in authors]


async def test_peers_in_a_loop(db_session: AsyncSession) -> None:
    """Asking again for each object costs about as much as without peers, however many there are."""
    db_session.add_all(LibAuthor(name=str(number), biography="") for number in range(1000))
    await db_session.flush()
    db_session.expunge_all()
    authors = list(await db_session.scalars(select(LibAuthor)))

    async def seconds(*, peers: bool) -> float:
        start = time.perf_counter()
        for author in authors[:300]:
            await author.load(LibAuthor.books, peers=peers)
        return time.perf_counter() - start

    await authors[0].load(LibAuthor.books, peers=True)
    assert await seconds(peers=True) < 8 * await seconds(peers=False)


async def test_peers_of_a_column(
    authors: list[LibAuthor], max_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    """Deferred columns too."""
    with max_queries(1):
        await authors[0].load(LibAuthor.biography, peers=True)
    assert ["0", "1", "2"] == [author.biography for author in authors]


async def test_peers_of_one_result_only(db_session: AsyncSession, authors: list[LibAuthor]) -> None:
    """What another statement brought is left alone, and so is what was changed."""
    db_session.expunge(authors[0])
    other = (await db_session.scalars(select(LibAuthor).where(LibAuthor.biography == "0"))).one()
    authors[2].name = "Changed"
    await authors[1].load(LibAuthor.books, peers=True)
    assert "books" in inspect(other).unloaded
    assert "books" not in inspect(authors[2]).unloaded
    assert "Changed" == authors[2].name


async def test_peers_keep_what_is_loaded(
    db_session: AsyncSession, authors: list[LibAuthor]
) -> None:
    """An object whose collection was changed keeps its change."""
    await authors[0].load(LibAuthor.books)
    authors[0].books.append(LibBook(title="Bestiario"))
    with db_session.no_autoflush:
        await authors[1].load(LibAuthor.books, peers=True)
    assert ["Rayuela", "Bestiario"] == [book.title for book in authors[0].books]


async def test_a_new_object_has_no_peers(db_session: AsyncSession) -> None:
    """One that was just stored came by no statement; it is loaded alone."""
    db_session.add_all([author := LibAuthor(name="Ana"), LibAuthor(name="Julio")])
    await db_session.flush()
    await author.load(LibAuthor.books, LibAuthor.biography, peers=True)
    assert [] == author.books


async def test_load_on_two_objects_at_once(engine: AndamiosEngine) -> None:
    """Two tasks that load in the same session at the same moment are told so."""
    async with engine.session() as session:
        session.add_all([LibAuthor(name="Ana"), LibAuthor(name="Julio")])
    async with engine.session() as session:
        ana, julio = await session.scalars(select(LibAuthor))
        results = await asyncio.gather(
            ana.load(LibAuthor.books), julio.load(LibAuthor.books), return_exceptions=True
        )
        assert [None, SessionTaskError] == [r if r is None else type(r) for r in results]


async def test_eager_load(db_session: AsyncSession, author: LibAuthor) -> None:
    """What the query loads is simply there."""
    db_session.expunge(author)
    statement = select(LibAuthor).options(selectinload(LibAuthor.books).selectinload(LibBook.tags))
    found = (await db_session.scalars(statement)).one()
    assert {"Rayuela": 1, "Bestiario": 0} == {book.title: len(book.tags) for book in found.books}


async def test_lazy_load_where_it_can_wait(db_session: AsyncSession, author: LibAuthor) -> None:
    """Inside ``run_sync`` a lazy load can wait, and works as SQLAlchemy's does."""
    assert 2 == await db_session.run_sync(lambda _: len(author.books))


def test_transient_object_has_empty_relationships() -> None:
    """A new object has nothing to load: its attributes are empty, as in SQLAlchemy."""
    author = LibAuthor(name="Julio")
    assert ([], None) == (author.books, author.biography)


async def test_load_of_another_classes_attribute(author: LibAuthor) -> None:
    """What the object does not have is refused, and not passed over."""
    wrong: Any = "books"
    for attribute in (LibBook.tags, wrong):
        with pytest.raises(QueryError, match="its own attributes"):
            await author.load(attribute)
