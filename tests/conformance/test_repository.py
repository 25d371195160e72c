"""The repository contract, on the library's own repository and on a fake without a database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from andamios import AndamiosEngine, AsyncSession, GenericRepository, IRepository
from harness.conformance.models import (
    ConformanceAuthor,
    ConformanceDraft,
    ConformanceParcel,
    ConformancePlace,
    ConformanceSeat,
    db_metadata,  # noqa: F401  says which tables there are
)
from harness.conformance.repository import RepositoryContract
from tests.conformance.fakes import FakeContract


class BoundContract(RepositoryContract):
    """The library's repository of one model, bound in each of the three ways."""

    model: type[Any]

    @pytest.fixture(params=["engine", "session", "nothing"])
    async def repository(
        self, request: pytest.FixtureRequest, engine: AndamiosEngine
    ) -> AsyncIterator[IRepository[Any]]:
        """The repository, in a session that is rolled back in the end, or without one."""
        if request.param == "engine":
            yield GenericRepository[self.model](engine)  # type: ignore[name-defined]
            return
        async with AsyncSession(engine) as session:
            with session.as_current():
                bind = session if request.param == "session" else None
                yield GenericRepository[self.model](bind)  # type: ignore[name-defined]
            await session.rollback()


class TestPlainModel(BoundContract):
    """A model whose keys the database counts."""

    model = ConformanceAuthor

    def new_entity(self, number: int) -> ConformanceAuthor:
        return ConformanceAuthor(name=f"author {number}", age=number, city="Lima")


class TestSoftDeleteModel(BoundContract):
    """A model whose rows stay, and are marked."""

    model = ConformanceDraft

    def new_entity(self, number: int) -> ConformanceDraft:
        return ConformanceDraft(title=f"draft {number}")


class TestVersionedModel(BoundContract):
    """A model whose rows count their changes."""

    model = ConformanceSeat

    def new_entity(self, number: int) -> ConformanceSeat:
        return ConformanceSeat(holder=f"holder {number}", taken=number)


class TestModelWithClientKeys(BoundContract):
    """A model whose keys are made before a row is stored."""

    model = ConformanceParcel

    def new_entity(self, number: int) -> ConformanceParcel:
        return ConformanceParcel(content=f"parcel {number}")


class TestModelWithAKeyOfTwoParts(BoundContract):
    """A model whose keys are tuples, and are given by whoever creates."""

    model = ConformancePlace

    def new_entity(self, number: int) -> ConformancePlace:
        return ConformancePlace(hall="A", number=number, guest=f"guest {number}")


class TestFake(FakeContract):
    """A fake of thirty lines keeps the contract."""
