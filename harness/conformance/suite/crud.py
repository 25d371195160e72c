"""Create, read, update and delete, wherever a repository works."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from andamios import (
    AndamiosEngine,
    AsyncSession,
    DataError,
    DuplicateError,
    GenericRepository,
    IRepository,
    NotFoundError,
    ReadOnlyError,
    ReadOnlyRepository,
    UnscopedWriteError,
)
from harness.conformance.models import ConformanceAuthor, ConformanceParcel, ConformancePlace

__all__ = ["TestBulk", "TestCrud", "TestKeys"]


class TestCrud:
    """The same on a session, on an engine, and on the session of this task."""

    @pytest_asyncio.fixture(params=["session", "engine", "current"])
    async def authors(
        self, engine: AndamiosEngine, request: pytest.FixtureRequest
    ) -> AsyncIterator[GenericRepository[ConformanceAuthor]]:
        """A repository, bound in each of the three ways."""
        if request.param == "engine":
            yield GenericRepository[ConformanceAuthor](engine)
            return
        async with engine.session() as session:
            with session.as_current():
                bind = session if request.param == "session" else None
                yield GenericRepository[ConformanceAuthor](bind)

    @pytest.mark.capability("crud: create and read by key")
    async def test_create(self, authors: GenericRepository[ConformanceAuthor]) -> None:
        """A new object gets a key, and is found by it."""
        created = await authors.create(ConformanceAuthor(name="Ana", age=40))
        found = await authors.get_by_id(created.id)

        assert found is not None
        assert ("Ana", 40, None) == (found.name, found.age, found.city)

    @pytest.mark.capability("crud: create and read by key")
    async def test_missing(self, authors: GenericRepository[ConformanceAuthor]) -> None:
        """A key without a row gives None, or an error where a row was asked for."""
        assert None is await authors.get_by_id(12345)
        with pytest.raises(NotFoundError):
            await authors.get_one(12345)

    @pytest.mark.capability("crud: update")
    async def test_update(self, authors: GenericRepository[ConformanceAuthor]) -> None:
        """A changed object is stored; other rows stay as they are."""
        ana = await authors.create(ConformanceAuthor(name="Ana"))
        await authors.create(ConformanceAuthor(name="Beto"))
        ana.city = "Lima"
        await authors.update(ana)

        assert ["Ana"] == [author.name for author in await authors.list({"city": "Lima"})]

    @pytest.mark.capability("crud: update")
    async def test_update_by_key(self, authors: GenericRepository[ConformanceAuthor]) -> None:
        """A new object with the key of a row stores what it holds and leaves the rest."""
        ana = await authors.create(ConformanceAuthor(name="Ana", age=40))
        await authors.update(ConformanceAuthor(id=ana.id, city="Lima"))
        found = await authors.get_one(ana.id)

        assert ("Ana", 40, "Lima") == (found.name, found.age, found.city)

    @pytest.mark.capability("crud: update")
    async def test_update_of_nothing(self, authors: GenericRepository[ConformanceAuthor]) -> None:
        """An update of a row that is not there is an error, not a new row."""
        with pytest.raises(NotFoundError):
            await authors.update(ConformanceAuthor(id=12345, name="Nobody"))
        assert 0 == await authors.count()

    @pytest.mark.capability("crud: delete")
    async def test_delete(self, authors: GenericRepository[ConformanceAuthor]) -> None:
        """Deleting says whether there was anything to delete."""
        ana = await authors.create(ConformanceAuthor(name="Ana"))

        assert await authors.delete(ana.id)
        assert not await authors.delete(ana.id)
        assert not await authors.exists({"name": "Ana"})

    @pytest.mark.capability("crud: list, count, find")
    async def test_find(self, authors: GenericRepository[ConformanceAuthor]) -> None:
        """Listing, counting, finding and asking whether agree."""
        await authors.create_many([{"name": "Ana", "age": 1}, {"name": "Beto", "age": 2}])
        found = await authors.find_one({"age": 2})

        assert found is not None
        assert "Beto" == found.name
        assert 2 == await authors.count() == len(await authors.list())
        assert not await authors.exists({"age": 3})
        assert isinstance(authors, IRepository)


class TestKeys:
    """Keys of other kinds than a number."""

    @pytest.mark.capability("crud: keys made by the client")
    async def test_uuid(self, db_session: AsyncSession) -> None:
        """A UUID key is there before the row is, and later keys are larger."""
        parcels = GenericRepository[ConformanceParcel](db_session)
        first = await parcels.create(ConformanceParcel(content="books"))
        second = await parcels.create(ConformanceParcel(content="bricks"))
        db_session.expunge_all()

        assert "books" == (await parcels.get_one(first.id)).content
        assert first.id.version == second.id.version == 7

    @pytest.mark.capability("crud: keys of two parts")
    async def test_two_parts(self, db_session: AsyncSession) -> None:
        """A key of two parts is a tuple in their order."""
        places = GenericRepository[ConformancePlace](db_session)
        keys = await places.create_many(
            [{"hall": "B", "number": 1}, {"hall": "A", "number": 2}], returning="keys"
        )
        found = await places.get_many([("B", 1), ("A", 1), ("A", 2)])

        assert [("B", 1), ("A", 2)] == keys
        assert [("B", 1), ("A", 2)] == [(place.hall, place.number) for place in found]

    @pytest.mark.capability("crud: keys are checked")
    async def test_wrong_key(self, db_session: AsyncSession) -> None:
        """A key of the wrong type is refused before anything is sent."""
        with pytest.raises(DataError):
            await GenericRepository[ConformanceAuthor](db_session).get_by_id("1; DROP TABLE x")

    @pytest.mark.capability("crud: a repository that only reads")
    async def test_read_only(self, engine: AndamiosEngine) -> None:
        """A read-only repository has nothing to write with."""
        authors = ReadOnlyRepository[ConformanceAuthor](engine)

        assert [] == await authors.list()
        with pytest.raises(ReadOnlyError):
            authors.create  # noqa: B018


class TestBulk:
    """Many rows at once."""

    @pytest.mark.capability("bulk: create many")
    async def test_create_many(self, db_session: AsyncSession) -> None:
        """Rows in several batches give their keys, in their order."""
        authors = GenericRepository[ConformanceAuthor](db_session)
        rows = [{"name": f"author {number}", "age": number} for number in range(25)]
        keys = await authors.create_many(rows, batch=10, returning="keys")
        found = await authors.get_many(keys)

        assert list(range(25)) == [author.age for author in found]

    @pytest.mark.capability("bulk: create many")
    async def test_all_or_none(self, engine: AndamiosEngine) -> None:
        """One bad row in the last batch and nothing is stored."""
        places = GenericRepository[ConformancePlace](engine)
        rows = [{"hall": "A", "number": number} for number in (1, 2, 3, 1)]
        with pytest.raises(DuplicateError):
            await places.create_many(rows, batch=2)

        assert 0 == await places.count()

    @pytest.mark.capability("bulk: update many")
    async def test_update_many(self, db_session: AsyncSession) -> None:
        """Different values go to different rows."""
        authors = GenericRepository[ConformanceAuthor](db_session)
        keys = await authors.create_many([{"name": "Ana"}, {"name": "Beto"}], returning="keys")
        ages = (40, 30)
        rows = [{"id": key, "age": age} for key, age in zip(keys, ages, strict=True)]

        assert 2 == await authors.update_many(rows)
        assert [40, 30] == [author.age for author in await authors.get_many(keys)]

    @pytest.mark.capability("bulk: update and delete where")
    async def test_update_where(self, db_session: AsyncSession) -> None:
        """A set-based write counts the rows that fit, changed or not."""
        authors = GenericRepository[ConformanceAuthor](db_session)
        await authors.create_many({"name": "x", "age": age} for age in (1, 2, 3))

        assert 2 == await authors.update_where({"age__ge": 2}, {"age": 3})
        assert 2 == await authors.update_where({"age": 3}, {"age": ConformanceAuthor.age + 1})
        assert 2 == await authors.delete_where({"age": 4})
        assert 1 == await authors.count()

    @pytest.mark.capability("bulk: update and delete where")
    async def test_across_relationships(self, db_session: AsyncSession) -> None:
        """A set-based write may ask for rows of its own table and of others."""
        authors = GenericRepository[ConformanceAuthor](db_session)
        await authors.create_many([{"name": "Ana"}, {"name": "Beto"}])

        assert 0 == await authors.delete_where({"books.title": "Rivers"})
        assert 2 == await authors.update_where({"profile__is_null": True}, {"age": 1})

    @pytest.mark.capability("bulk: writes without a condition are refused")
    async def test_unscoped(self, db_session: AsyncSession) -> None:
        """Nobody empties a table by an empty filter."""
        authors = GenericRepository[ConformanceAuthor](db_session)
        await authors.create(ConformanceAuthor(name="Ana"))
        nothings: list[Any] = [None, {}, {"name__not_in": []}]
        for nothing in nothings:
            with pytest.raises(UnscopedWriteError):
                await authors.delete_where(nothing)

        assert 1 == await authors.delete_where(None, unscoped=True)
