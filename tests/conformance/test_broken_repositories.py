"""The repository contract fails whatever breaks it: one broken fake for each way to be wrong."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from andamios import DuplicateError
from harness.conformance.repository import RepositoryContract
from tests.conformance.fakes import FakeContract, FakeGuests, Guest

Fake = type[FakeGuests]


async def broken(fake: Fake) -> set[str]:
    """Give the names of the tests that a fake fails."""
    found = set()
    for name, test in inspect.getmembers(FakeContract, inspect.iscoroutinefunction):
        if not name.startswith("test_"):
            continue
        try:
            await test(FakeContract(), fake())
        except (Exception, pytest.fail.Exception):  # noqa: BLE001  a test may fail in any way
            found.add(name.removeprefix("test_"))
    return found


class RaisesForUnknownKeys(FakeGuests):
    async def get_by_id(self, id: Any) -> Any:  # noqa: A002
        return self.rows[id]


class FindsAnything(FakeGuests):
    async def get_by_id(self, id: Any) -> Any:  # noqa: A002
        return next(iter(self.rows.values()), None)


class FindsNothing(FakeGuests):
    async def get_by_id(self, id: Any) -> Any:  # noqa: A002
        return None


class ForgetsValues(FakeGuests):
    async def get_by_id(self, id: Any) -> Any:  # noqa: A002
        found = await super().get_by_id(id)
        return found and dataclasses.replace(found, name="")


class CreatesNothing(FakeGuests):
    async def create(self, entity: Guest) -> Guest:
        entity.id = 1
        return entity


class GivesNoKey(FakeGuests):
    async def create(self, entity: Guest) -> Guest:
        return dataclasses.replace(await super().create(entity), id=None)


class GivesOneKeyToAll(FakeGuests):
    async def create(self, entity: Guest) -> Guest:
        self.last = 0
        self.rows.clear()
        return await super().create(entity)


class GivesNothingBack(FakeGuests):
    async def create(self, entity: Guest) -> Any:
        await super().create(entity)


class ReplacesATakenKey(FakeGuests):
    async def create(self, entity: Guest) -> Guest:
        self.rows.pop(entity.id or 0, None)
        return await super().create(entity)


class RefusesAfterReplacing(FakeGuests):
    async def create(self, entity: Guest) -> Guest:
        if entity.id in self.rows:
            self.rows[entity.id] = entity
            raise DuplicateError("This key is taken.")
        return await super().create(entity)


class CreatesTwice(FakeGuests):
    async def create(self, entity: Guest) -> Guest:
        if entity == self.rows.get(entity.id or 0):
            entity = dataclasses.replace(entity, id=None)
        return await super().create(entity)


class UpdatesNothing(FakeGuests):
    async def update(self, entity: Guest) -> Guest:
        return entity if entity.id in self.rows else await super().update(entity)


class UpdatesOneField(FakeGuests):
    async def update(self, entity: Guest) -> Guest:
        known = self.rows.get(entity.id or 0, entity)
        return await super().update(dataclasses.replace(entity, email=known.email))


class UpdatesAll(FakeGuests):
    async def update(self, entity: Guest) -> Guest:
        updated = await super().update(entity)
        self.rows = {key: dataclasses.replace(entity, id=key) for key in self.rows}
        return updated


class UpdatesACopy(FakeGuests):
    async def update(self, entity: Guest) -> Guest:
        await super().update(entity)
        return await self.create(dataclasses.replace(entity, id=None))


class UpdatesWhatIsNotThere(FakeGuests):
    async def update(self, entity: Guest) -> Guest:
        if entity.id is None:
            return await super().update(entity)
        self.rows[entity.id] = entity
        return entity


class UpdatesWhatIsNew(FakeGuests):
    async def update(self, entity: Guest) -> Guest:
        return await (self.create(entity) if entity.id is None else super().update(entity))


class UpdatesAndGivesNothing(FakeGuests):
    async def update(self, entity: Guest) -> Any:
        await super().update(entity)


class UpdatesWithAnotherError(FakeGuests):
    async def update(self, entity: Guest) -> Guest:
        if entity.id not in self.rows:
            raise KeyError(entity.id)
        return await super().update(entity)


class DeletesNothing(FakeGuests):
    async def delete(self, id: Any) -> bool:  # noqa: A002
        return id in self.rows


class DeletesAll(FakeGuests):
    async def delete(self, id: Any) -> bool:  # noqa: A002
        deleted = await super().delete(id)
        self.rows.clear()
        return deleted


class DeletesAndSaysNothing(FakeGuests):
    async def delete(self, id: Any) -> Any:  # noqa: A002
        await super().delete(id)


class DeletesAndSaysYes(FakeGuests):
    async def delete(self, id: Any) -> bool:  # noqa: A002
        await super().delete(id)
        return True


class DeletesWithAnError(FakeGuests):
    async def delete(self, id: Any) -> bool:  # noqa: A002
        del self.rows[id]
        return True


class ListsTheDeleted(FakeGuests):
    gone: list[Guest]

    async def delete(self, id: Any) -> bool:  # noqa: A002
        self.gone = [self.rows[id]] if id in self.rows else self.gone
        return await super().delete(id)

    async def list(self, filters: Any = None) -> list[Guest]:
        return await super().list(filters) + getattr(self, "gone", [])


class ListsAll(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        await super().list(filters)
        return await super().list()


class ListsNothingForAnEmptyFilter(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        return [] if filters == {} else await super().list(filters)


class ListsByTheFirstCondition(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        await super().list(filters)
        return await super().list(dict([*(filters or {}).items()][:1]))


class ListsByAnyCondition(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        parts = [{name: value} for name, value in (filters or {}).items()] or [None]
        found = [guest for part in parts for guest in await FakeGuests.list(self, part)]
        return [guest for place, guest in enumerate(found) if guest not in found[:place]]


class ListsTwice(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        return await super().list(filters) * 2


class ListsOne(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        return (await super().list(filters))[:1]


class ListsATuple(FakeGuests):
    async def list(self, filters: Any = None) -> Any:
        return tuple(await super().list(filters))


class ListsItsOwnList(FakeGuests):
    class Own(list[Guest]):
        rows: dict[int, Guest]

        def clear(self) -> None:
            self.rows.clear()

    async def list(self, filters: Any = None) -> list[Guest]:
        found = self.Own(await super().list(filters))
        found.rows = self.rows
        return found


class ListsWithUnknownFields(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        known = {field.name for field in dataclasses.fields(Guest)}
        return await super().list({k: v for k, v in (filters or {}).items() if k in known})


class ListsNothingByUnknownFields(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        return [] if "no_such_field" in (filters or {}) else await super().list(filters)


class LooksForFieldsInRows(FakeGuests):
    async def list(self, filters: Any = None) -> list[Guest]:
        return await super().list(filters) if self.rows else []


WAYS: dict[Callable[[], FakeGuests], str] = {
    RaisesForUnknownKeys: "unknown_key",
    FindsAnything: "keys",
    FindsNothing: "create",
    ForgetsValues: "create",
    CreatesNothing: "create",
    GivesNoKey: "create",
    GivesOneKeyToAll: "keys",
    GivesNothingBack: "create",
    ReplacesATakenKey: "taken_key",
    RefusesAfterReplacing: "taken_key",
    CreatesTwice: "create_twice",
    UpdatesNothing: "update",
    UpdatesOneField: "update",
    UpdatesAll: "update_by_key",
    UpdatesACopy: "update_by_key",
    UpdatesWhatIsNotThere: "update_of_nothing",
    UpdatesWhatIsNew: "update_of_a_new_object",
    UpdatesAndGivesNothing: "update",
    UpdatesWithAnotherError: "update_of_nothing",
    DeletesNothing: "delete",
    DeletesAll: "delete",
    DeletesAndSaysNothing: "delete",
    DeletesAndSaysYes: "delete",
    DeletesWithAnError: "delete",
    ListsTheDeleted: "delete",
    ListsAll: "list_with_filters",
    ListsNothingForAnEmptyFilter: "list",
    ListsByTheFirstCondition: "list_with_filters",
    ListsByAnyCondition: "list_with_filters",
    ListsTwice: "list",
    ListsOne: "list",
    ListsATuple: "list_is_nobodys",
    ListsItsOwnList: "list_is_nobodys",
    ListsWithUnknownFields: "list_with_an_unknown_field",
    ListsNothingByUnknownFields: "list_with_an_unknown_field",
    LooksForFieldsInRows: "list_with_an_unknown_field",
}


@pytest.mark.parametrize(
    ("fake", "test"), WAYS.items(), ids=lambda item: getattr(item, "__name__", item)
)
async def test_a_broken_fake_fails(fake: Fake, test: str) -> None:
    """Each way to be wrong is noticed by the test that is about it."""
    assert test in await broken(fake)


async def test_the_whole_fake_passes() -> None:
    """The fake that the broken ones come from breaks nothing."""
    assert set() == await broken(FakeGuests)


async def test_every_test_can_fail() -> None:
    """There is a broken fake for every test of the contract."""
    names = {name.removeprefix("test_") for name in vars(RepositoryContract) if "test_" in name}

    assert names == set(WAYS.values())
