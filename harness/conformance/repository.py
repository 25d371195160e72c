"""
What code may rely on in every repository, as tests: for real ones and for in-memory fakes.

It is the word of `IRepository`, and what `GenericRepository` really does. A project that
replaces a repository in its tests runs both through it::

    class TestFakeUsers(RepositoryContract):
        @pytest.fixture
        def repository(self):
            return FakeUsers()

        def new_entity(self, number):
            return User(email=f"{number}@example.org")
"""

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
import sqlalchemy.orm as sa_orm

from andamios import (
    DuplicateError,
    IRepository,
    NotFoundError,
    QueryError,
    StaleVersionError,
    UnknownFieldError,
)

__all__ = ["RepositoryContract"]

PLAIN = (str, int, uuid.UUID, dt.date)
"""Types of values by which every repository can be asked."""


class RepositoryContract:
    """
    The tests; a subclass says which repository, and what is stored in it.

    The repository need not be empty. An object that has to refer to others gets them from
    a fixture of the subclass with ``autouse=True``, which stores them and keeps them in
    ``self``.

    Attributes:
        key_names: The attributes that are the key. If empty, those of the primary key
            where SQLAlchemy maps the class, and else ``id``.
        field: The field by which `list` is asked. If empty, the first one whose values are
            text, whole numbers, UUIDs or dates.

    Example:
        >>> from andamios import GenericRepository
        >>> from harness.fixtures.reference import ReferenceUser
        >>> class TestUsers(RepositoryContract):
        ...     @pytest.fixture
        ...     def repository(self, reference_tables, db_session):
        ...         return GenericRepository[ReferenceUser](db_session)
        ...
        ...     def new_entity(self, number):
        ...         return ReferenceUser(email=f"{number}@example.org", name=f"User {number}")
        >>> TestUsers().values_of(TestUsers().new_entity(1))
        {'email': '1@example.org', 'name': 'User 1'}
    """

    key_names: tuple[str, ...] = ()
    field: str = ""

    # Projects whose plugin for asyncio is in its strict mode need it.
    pytestmark = pytest.mark.asyncio

    @pytest.fixture
    def repository(self) -> IRepository[Any]:
        """The repository; the same tests may run on several, by ``params``."""
        raise NotImplementedError(f"{type(self).__name__} has no fixture repository(self)")

    def new_entity(self, number: int) -> Any:
        """
        Build an object that is not stored.

        Args:
            number: From 1 to 3; each gives other values in every field that can have them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method new_entity(self, number)")

    def key_of(self, entity: Any) -> Any:
        """Read the key of an object: a value, or a tuple if it has several parts."""
        parts = tuple(getattr(entity, name) for name in self._key_names(entity))
        return parts[0] if len(parts) == 1 else parts

    def values_of(self, entity: Any) -> dict[str, Any]:
        """Read what is set in an object's fields, apart from its key."""
        names = [name for name in _field_names(entity) if name not in self._key_names(entity)]
        values = {name: getattr(entity, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def with_values(self, entity: Any, values: Mapping[str, Any]) -> Any:
        """Set fields of an object and give it; or a changed copy, where it is frozen."""
        try:
            for name, value in values.items():
                setattr(entity, name, value)
        except dataclasses.FrozenInstanceError:
            return dataclasses.replace(entity, **values)
        return entity

    @pytest.mark.capability("repository: create gives a key that finds the object")
    async def test_create(self, repository: IRepository[Any]) -> None:
        """What was stored is found by the key that it got."""
        values = self.values_of(self.new_entity(1))
        created = await repository.create(self.new_entity(1))

        assert values == self._values(created, values)
        assert values == self._values(await repository.get_by_id(self.key_of(created)), values)

    @pytest.mark.capability("repository: every object has a key of its own")
    async def test_keys(self, repository: IRepository[Any]) -> None:
        """Two objects have two keys, and each finds its own."""
        keys = [self.key_of(await repository.create(self.new_entity(n))) for n in (1, 2)]
        expected = [self.values_of(self.new_entity(number)) for number in (1, 2)]

        assert keys[0] != keys[1]
        for key, values in zip(keys, expected, strict=True):
            assert values == self._values(await repository.get_by_id(key), values)

    @pytest.mark.capability("repository: a key that is taken is refused")
    async def test_taken_key(self, repository: IRepository[Any]) -> None:
        """A new object with the key of another one is refused, which stays as it was."""
        key = self.key_of(await repository.create(self.new_entity(1)))
        before = await self._keys(repository)
        values = self.values_of(self.new_entity(1))
        with pytest.raises(DuplicateError):
            await repository.create(self._with_key(self.new_entity(2), key))

        assert values == self._values(await repository.get_by_id(key), values)
        assert before == await self._keys(repository)

    @pytest.mark.capability("repository: what is stored is not created again")
    async def test_create_twice(self, repository: IRepository[Any]) -> None:
        """An object that has been stored is no new one."""
        created = await repository.create(self.new_entity(1))
        before = await self._keys(repository)
        with pytest.raises((DuplicateError, QueryError)):
            await repository.create(created)

        assert before == await self._keys(repository)

    @pytest.mark.capability("repository: a key without an object gives None")
    async def test_unknown_key(self, repository: IRepository[Any]) -> None:
        """Reading what is not there is no error."""
        key = self.key_of(await repository.create(self.new_entity(1)))
        await repository.delete(key)

        assert await repository.get_by_id(key) is None

    @pytest.mark.capability("repository: update stores what was changed")
    async def test_update(self, repository: IRepository[Any]) -> None:
        """An object that was read, changed and stored has its new values, and its key."""
        key = self.key_of(await repository.create(self.new_entity(1)))
        values = self._other_values()
        found = await repository.get_by_id(key)
        updated = await repository.update(self.with_values(found, values))

        assert (key, values) == (self.key_of(updated), self._values(updated, values))
        assert values == self._values(await repository.get_by_id(key), values)

    @pytest.mark.capability("repository: update takes a new object with a key")
    async def test_update_by_key(self, repository: IRepository[Any]) -> None:
        """The values of a new object replace those of the one with its key, and no others."""
        keys = [self.key_of(await repository.create(self.new_entity(n))) for n in (1, 2)]
        before = await self._keys(repository)
        values, kept = self._other_values(), self.values_of(self.new_entity(2))
        updated = await repository.update(self._with_key(self.new_entity(3), keys[0]))

        assert (keys[0], values) == (self.key_of(updated), self._values(updated, values))
        assert values == self._values(await repository.get_by_id(keys[0]), values)
        assert kept == self._values(await repository.get_by_id(keys[1]), kept)
        assert before == await self._keys(repository)

    @pytest.mark.capability("repository: update of what is not there is refused")
    async def test_update_of_nothing(self, repository: IRepository[Any]) -> None:
        """An object that was deleted, and a new one with its key, are not stored again."""
        created = await repository.create(self.new_entity(1))
        key = self.key_of(created)
        await repository.delete(key)
        before = await self._keys(repository)
        with pytest.raises(NotFoundError):
            await repository.update(self._with_key(self.new_entity(2), key))
        # Where versions are counted, the one that was read is not there any more.
        with pytest.raises((NotFoundError, StaleVersionError)):
            await repository.update(self.with_values(created, self._other_values()))

        assert await repository.get_by_id(key) is None
        assert before == await self._keys(repository)

    @pytest.mark.capability("repository: update of what was never stored is refused")
    async def test_update_of_a_new_object(self, repository: IRepository[Any]) -> None:
        """An object that was not created has no row to change."""
        before = await self._keys(repository)
        with pytest.raises(QueryError):
            await repository.update(self.new_entity(1))

        assert before == await self._keys(repository)

    @pytest.mark.capability("repository: delete says whether there was something")
    async def test_delete(self, repository: IRepository[Any]) -> None:
        """What is deleted is gone, the second time too, and all else stays."""
        before = await self._keys(repository)
        gone, kept = [self.key_of(await repository.create(self.new_entity(n))) for n in (1, 2)]

        assert await repository.delete(gone) is True
        assert await repository.delete(gone) is False
        assert await repository.get_by_id(gone) is None
        assert await repository.get_by_id(kept) is not None
        assert sorted([*before, repr(kept)]) == await self._keys(repository)

    @pytest.mark.capability("repository: list gives everything")
    async def test_list(self, repository: IRepository[Any]) -> None:
        """Without a filter, and with an empty one, each object comes once."""
        before = await self._keys(repository)
        keys = [self.key_of(await repository.create(self.new_entity(n))) for n in (1, 2, 3)]
        expected = sorted([*before, *map(repr, keys)])

        assert expected == await self._keys(repository)
        assert expected == sorted(repr(self.key_of(found)) for found in await repository.list({}))

    @pytest.mark.capability("repository: list gives a list of its own")
    async def test_list_is_nobodys(self, repository: IRepository[Any]) -> None:
        """Whoever empties the list that he got takes nothing out of the repository."""
        key = self.key_of(await repository.create(self.new_entity(1)))
        found = await repository.list()

        assert isinstance(found, list)
        found.clear()
        assert repr(key) in await self._keys(repository)
        assert await repository.get_by_id(key) is not None

    @pytest.mark.capability("repository: list filters by equality")
    async def test_list_with_filters(self, repository: IRepository[Any]) -> None:
        """Only what fits comes, and of several conditions all have to hold."""
        name = self._field()
        first, second = [await repository.create(self.new_entity(n)) for n in (1, 2)]
        wanted, other, nobodys = (getattr(self.new_entity(n), name) for n in (1, 2, 3))
        key = dict(zip(self._key_names(first), self._parts(self.key_of(first)), strict=True))

        assert [self.key_of(first)] == await self._found(repository, {name: wanted})
        assert [self.key_of(second)] == await self._found(repository, {name: other})
        assert [] == await self._found(repository, {name: nobodys})
        assert [self.key_of(first)] == await self._found(repository, {**key, name: wanted})
        assert [] == await self._found(repository, {**key, name: other})
        assert [] == await self._found(repository, {name: other, **key})

    @pytest.mark.capability("repository: list refuses a field that does not exist")
    async def test_list_with_an_unknown_field(self, repository: IRepository[Any]) -> None:
        """A name that is misspelt is an error, whatever is stored, and finds not just nothing."""
        with pytest.raises(UnknownFieldError):
            await repository.list({"no_such_field": 1})
        await repository.create(self.new_entity(1))
        with pytest.raises(UnknownFieldError):
            await repository.list({"no_such_field": 1})

    def _key_names(self, entity: Any) -> tuple[str, ...]:
        mapper = _mapper(entity)
        if self.key_names or mapper is None:
            return self.key_names or ("id",)
        return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)

    def _with_key(self, entity: Any, key: Any) -> Any:
        names = self._key_names(entity)
        return self.with_values(entity, dict(zip(names, self._parts(key), strict=True)))

    def _parts(self, key: Any) -> tuple[Any, ...]:
        return key if isinstance(key, tuple) else (key,)

    def _values(self, entity: Any, expected: Mapping[str, Any]) -> dict[str, Any]:
        """Read the fields that are compared; a missing object is shown as such."""
        assert entity is not None, "there is no object where one was expected"
        return {name: getattr(entity, name) for name in expected}

    def _other_values(self) -> dict[str, Any]:
        """Give the values that an update sets: other ones than the first object has."""
        self._field()
        return self.values_of(self.new_entity(3))

    def _field(self) -> str:
        one, *others = (self.values_of(self.new_entity(number)) for number in (1, 2, 3))
        for name in [self.field] if self.field else one:
            found = [one.get(name), *(other.get(name) for other in others)]
            if isinstance(found[0], PLAIN) and len({repr(value) for value in found}) == len(found):
                return name
        where = f"the field {self.field!r}" if self.field else "any field of plain values"
        pytest.fail(f"new_entity(1), (2) and (3) do not differ in {where}")

    async def _keys(self, repository: IRepository[Any]) -> list[str]:
        """Give all keys, written out, since they need not have an order."""
        return sorted(repr(self.key_of(entity)) for entity in await repository.list())

    async def _found(self, repository: IRepository[Any], filters: dict[str, Any]) -> list[Any]:
        return [self.key_of(entity) for entity in await repository.list(filters)]


def _mapper(entity: Any) -> sa_orm.Mapper[Any] | None:
    state = sa.inspect(entity, raiseerr=False)
    return state.mapper if isinstance(state, sa_orm.InstanceState) else None


def _field_names(entity: Any) -> list[str]:
    mapper = _mapper(entity)
    if mapper is not None:
        # A field that was not set would be filled in by the database.
        return [name for name in mapper.column_attrs.keys() if name in vars(entity)]  # noqa: SIM118
    if dataclasses.is_dataclass(entity):
        return [field.name for field in dataclasses.fields(entity)]
    return [name for name in vars(entity) if not name.startswith("_")]
