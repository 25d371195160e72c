"""Storing a row that may be there already."""

import asyncio
from typing import Any

import pytest

from andamios import (
    AndamiosEngine,
    AsyncSession,
    ConfigurationError,
    DataError,
    DuplicateError,
    GenericRepository,
    StaleVersionError,
)
from harness.conformance.models import ConformanceDraft
from harness.conformance.upserts_models import ConformanceMember, ConformanceWord

__all__ = ["TestGetOrCreate", "TestUpserts"]

CALLERS = 50


class TestUpserts:
    """Insert, or update the row with the same unique key."""

    @pytest.fixture(params=["one unique key", "several unique keys"])
    def place(self, engine: AndamiosEngine, request: pytest.FixtureRequest) -> tuple[Any, str, str]:
        """A repository, the field that tells rows apart, and one to set."""
        if request.param == "one unique key":
            return GenericRepository[ConformanceWord](engine), "word", "uses"
        return GenericRepository[ConformanceMember](engine), "email", "number"

    @pytest.mark.capability("upserts: upsert")
    async def test_upsert(self, place: tuple[Any, str, str]) -> None:
        """The second call sets what it is given, counts the version, and leaves other rows."""
        rows, key, value = place
        await rows.upsert({key: "b", value: 1}, on=[key])
        first = await rows.upsert({key: "a", value: 1}, on=[key])
        second = await rows.upsert({key: "a", value: 2}, on=[key])
        other = await rows.find_one({key: "b"})

        assert first.id == second.id
        assert (2, 2) == (getattr(second, value), second.version)
        assert (1, 1) == (getattr(other, value), other.version)

    @pytest.mark.capability("upserts: a version among the values is compared")
    async def test_stale(self, place: tuple[Any, str, str]) -> None:
        """A version that is not the row's is refused, and so is one of a row that is gone."""
        rows, key, value = place
        await rows.upsert({key: "a"}, on=[key])
        await rows.upsert({key: "a"}, on=[key])
        for name, actual in (("a", 2), ("gone", None)):
            with pytest.raises(StaleVersionError) as caught:
                await rows.upsert({key: name, value: 9, "version": 1}, on=[key])
            assert (1, actual) == (caught.value.expected, caught.value.actual)

    @pytest.mark.capability("upserts: upsert many")
    async def test_many(self, place: tuple[Any, str, str]) -> None:
        """New and known rows in several batches; of the same key the last value wins."""
        rows, key, value = place
        await rows.upsert({key: "n1", value: 100}, on=[key])
        values = [{key: f"n{number % 7}", value: number} for number in range(10)]
        count = await rows.upsert_many(values, on=[key], batch=8)
        found = await rows.query().order_by(key).execute()

        assert 10 == count
        assert [7, 8, 9, 3, 4, 5, 6] == [getattr(row, value) for row in found]

    @pytest.mark.isolation("committing")
    @pytest.mark.capability("upserts: many callers at once")
    async def test_many_callers(self, place: tuple[Any, str, str]) -> None:
        """One row, no error, and every update is counted."""
        rows, key, _ = place
        calls = (rows.upsert({key: "x"}, on=[key]) for _ in range(CALLERS))
        versions = sorted(row.version for row in await asyncio.gather(*calls))

        assert list(range(1, CALLERS + 1)) == versions

    @pytest.mark.capability("upserts: only the row of the named key")
    async def test_another_key(self, db_session: AsyncSession) -> None:
        """A collision on another key is an error that names it, and the transaction goes on."""
        members = GenericRepository[ConformanceMember](db_session)
        await members.upsert({"email": "a", "name": "Ana", "city": "Lima"}, on=["email"])
        for email in "ab":
            await members.upsert({"email": email}, on=["email"])
            with pytest.raises(DuplicateError) as caught:
                values = {"email": "b", "name": "Ana", "city": "Cusco"}
                await members.upsert(values, on=["email"])
            assert ("name",) == caught.value.columns
        found = await members.query().order_by("email").execute()

        assert [("a", "Lima"), ("b", None)] == [(row.email, row.city) for row in found]

    @pytest.mark.capability("upserts: keys are checked")
    async def test_keys(self, db_session: AsyncSession) -> None:
        """What is no unique key, and a None in one, are refused before anything is sent."""
        members = GenericRepository[ConformanceMember](db_session)
        with pytest.raises(ConfigurationError, match=r"\(club, number\)"):
            await members.upsert({"email": "a", "city": "Lima"}, on=["city"])
        with pytest.raises(DataError):
            await members.upsert({"club": "x", "number": None}, on=["club", "number"])

    @pytest.mark.capability("upserts: deleted rows are not revived")
    async def test_deleted(self, db_session: AsyncSession) -> None:
        """A softly deleted row that takes the key is in the way."""
        drafts = GenericRepository[ConformanceDraft](db_session)
        draft = await drafts.create(ConformanceDraft(title="old"))
        await drafts.delete(draft.id)
        with pytest.raises(DuplicateError):
            await drafts.upsert({"id": draft.id, "title": "new"}, on=["id"])

        assert 0 == await drafts.count()


class TestGetOrCreate:
    """Find a row or make it, while others do the same."""

    @pytest.mark.capability("upserts: get or create")
    async def test_get_or_create(self, db_session: AsyncSession) -> None:
        """The first call makes the row, the second finds it as it is."""
        members = GenericRepository[ConformanceMember](db_session)
        first, is_new = await members.get_or_create({"email": "a"}, {"city": "Lima"})
        second, is_new_again = await members.get_or_create({"email": "a"}, {"city": "Cusco"})

        assert (True, False) == (is_new, is_new_again)
        assert first is second
        assert "Lima" == second.city

    @pytest.mark.capability("upserts: update or create")
    async def test_update_or_create(self, db_session: AsyncSession) -> None:
        """The first call makes the row, the second sets its values."""
        members = GenericRepository[ConformanceMember](db_session)
        _, is_new = await members.update_or_create({"email": "a"}, {"city": "Lima"})
        found, is_new_again = await members.update_or_create({"email": "a"}, {"city": "Cusco"})

        assert (True, False) == (is_new, is_new_again)
        assert ("Cusco", 2) == (found.city, found.version)

    @pytest.mark.capability("upserts: keys are checked")
    async def test_keys(self, db_session: AsyncSession) -> None:
        """Filters without a unique key could not be safe."""
        members = GenericRepository[ConformanceMember](db_session)
        with pytest.raises(ConfigurationError):
            await members.get_or_create({"city": "Lima"})

    @pytest.mark.isolation("committing")
    @pytest.mark.capability("upserts: many callers at once")
    async def test_many_callers(self, engine: AndamiosEngine) -> None:
        """One row, no error, and one of them made it."""
        members = GenericRepository[ConformanceMember](engine)
        for method in (members.get_or_create, members.update_or_create):
            calls = (method({"email": method.__name__}, {"city": "Lima"}) for _ in range(CALLERS))
            results = await asyncio.gather(*calls)
            assert 1 == sum(is_new for _, is_new in results)
            assert 1 == len({member.id for member, _ in results})

    @pytest.mark.isolation("committing")
    @pytest.mark.capability("upserts: many callers at once")
    async def test_many_sessions(self, engine: AndamiosEngine) -> None:
        """The same, when each caller has a session of its own."""

        async def call() -> bool:
            async with engine.session() as session:
                members = GenericRepository[ConformanceMember](session)
                _, is_new = await members.get_or_create({"email": "x"})
                return is_new

        assert 1 == sum(await asyncio.gather(*(call() for _ in range(CALLERS))))
