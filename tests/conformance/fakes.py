"""A repository in memory, as a project would write one for its tests, and its contract."""

import dataclasses
from typing import Any

import pytest

from andamios import DuplicateError, IRepository, NotFoundError, UnknownFieldError
from harness.conformance.repository import RepositoryContract

__all__ = ["FakeContract", "FakeGuests", "Guest"]


@dataclasses.dataclass
class Guest:
    """What the fake stores."""

    email: str
    name: str = "nobody"
    id: int | None = None


class FakeGuests(IRepository[Guest]):
    """Guests in memory: what a test puts in the place of a repository."""

    def __init__(self) -> None:
        self.rows: dict[int, Guest] = {}
        self.last = 0

    async def get_by_id(self, id: Any) -> Guest | None:  # noqa: A002
        found = self.rows.get(id)
        return dataclasses.replace(found) if found else None

    async def create(self, entity: Guest) -> Guest:
        if entity.id in self.rows:
            raise DuplicateError("This key is taken.")
        self.last += 1
        entity.id = entity.id or self.last
        self.rows[entity.id] = dataclasses.replace(entity)
        return entity

    async def update(self, entity: Guest) -> Guest:
        if entity.id not in self.rows:
            raise NotFoundError("There is no such guest.")
        self.rows[entity.id] = dataclasses.replace(entity)
        return entity

    async def delete(self, id: Any) -> bool:  # noqa: A002
        return self.rows.pop(id, None) is not None

    async def list(self, filters: Any = None) -> list[Guest]:
        wanted = dict(filters or {})
        for name in wanted.keys() - {field.name for field in dataclasses.fields(Guest)}:
            raise UnknownFieldError(f"A guest has no field {name!r}.")
        fitting = [
            guest
            for guest in self.rows.values()
            if all(value == getattr(guest, name) for name, value in wanted.items())
        ]
        return [dataclasses.replace(guest) for guest in fitting]


class FakeContract(RepositoryContract):
    """The fake, run through the contract."""

    @pytest.fixture
    def repository(self) -> FakeGuests:
        return FakeGuests()

    def new_entity(self, number: int) -> Guest:
        return Guest(email=f"{number}@example.org")
