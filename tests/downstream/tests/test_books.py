"""Most tests: whatever they store is rolled back."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from andamios import AndamiosEngine, AsyncSession, DuplicateError
from sqlalchemy import select

from shelf.models import Book, Genre, Loan
from shelf.repositories import Books

MaxQueries = Callable[[int], AbstractContextManager[Any]]


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_title_is_there_once(books: Books, turn: int) -> None:
    """A title that is taken is refused; the next turn finds none of the first one."""
    assert 0 == await books.count()
    await books.create(Book(title="Ficciones"))
    with pytest.raises(DuplicateError):
        await books.create(Book(title="Ficciones"))
    assert 1 == await books.count(), turn


async def test_session_and_repository_see_each_other(
    db_session: AsyncSession, engine: AndamiosEngine, books: Books
) -> None:
    """What one session commits, another one and the repository find."""
    db_session.add(Book(title="Atlas", genre=Genre.ATLAS))
    await db_session.commit()
    async with engine.session() as other:
        atlas = await other.scalar(select(Book))
        other.add(Loan(book=atlas, reader="Ana"))

    assert ["Atlas"] == [book.title for book in await books.lent_to("Ana")]


async def test_a_failure_leaves_nothing(engine: AndamiosEngine, books: Books) -> None:
    """A session that fails rolls back its own part alone."""
    await books.create(Book(title="Stays"))

    async def fail() -> None:
        async with engine.session() as session:
            session.add(Book(title="Goes"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert ["Stays"] == [book.title for book in await books.list()]


async def test_lent_books_take_one_statement(
    books: Books, query_log: Any, max_queries: MaxQueries
) -> None:
    """However many there are."""
    await books.create_many([{"title": f"Volume {number}"} for number in range(20)])
    query_log.clear()
    with max_queries(1):
        await books.lent_to("Ana")

    assert "JOIN loan" in query_log.statements[0].text


@pytest.mark.isolation("committing")
async def test_only_one_of_two_gets_the_title(engine: AndamiosEngine, books: Books) -> None:
    """Two sessions at once, on two connections, in two real transactions."""

    async def add() -> None:
        async with engine.session() as session:
            session.add(Book(title="Rayuela"))

    results = await asyncio.gather(add(), add(), return_exceptions=True)

    assert [None, DuplicateError] == sorted(
        (result and type(result) for result in results), key=lambda kind: kind is not None
    )
    assert 1 == await books.count()


@pytest.mark.capability("books: by genre in the order of the enum")
async def test_order_of_genres(books: Books) -> None:
    """A novel comes before an atlas, since the enum says so."""
    await books.create(Book(title="B", genre=Genre.ATLAS))
    await books.create(Book(title="A", genre=Genre.NOVEL))
    found = await books.query().order_by(Book.genre).execute()

    assert ["A", "B"] == [book.title for book in found]
