"""The five methods of every repository, and reading by key."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import sqlalchemy.ext.asyncio as sa_asyncio
from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    BaseModel,
    BaseRepository,
    ConfigurationError,
    DataError,
    DeadlockError,
    DuplicateError,
    ForeignKeyError,
    GenericRepository,
    IRepository,
    MultipleFoundError,
    NotFoundError,
    NotNullError,
    QueryError,
    SessionTaskError,
    UnknownFieldError,
    UUIDModel,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine, AsyncSession


T = TypeVar("T")


class CrudOwner(BaseModel):
    name: Mapped[str] = mapped_column(unique=True)
    age: Mapped[int | None]
    code: Mapped[int] = mapped_column(server_default="7")
    pets: Mapped[list[CrudPet]] = relationship(back_populates="owner")


class CrudPet(BaseModel):
    kind: Mapped[str]
    owner_id: Mapped[int] = mapped_column(ForeignKey("crud_owner.id"))
    owner: Mapped[CrudOwner] = relationship(back_populates="pets")


class CrudTicket(UUIDModel):
    title: Mapped[str]


class CrudSeat(BaseModel):
    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    letter: Mapped[str] = mapped_column(primary_key=True)
    is_taken: Mapped[bool] = mapped_column(default=False)


class CrudOwners(GenericRepository[CrudOwner]):
    """Owners, with methods of their own."""

    @property
    def bind(self) -> Any:
        return self._bind

    async def named(self, start: str) -> list[CrudOwner]:
        return await self.list({"name__startswith": start})


@pytest.fixture(params=["engine", "session", "task"])
async def owners(request: pytest.FixtureRequest, engine: AndamiosEngine) -> Any:
    """The repository, bound in each of the three ways."""
    if request.param == "engine":
        yield CrudOwners(engine)
        return
    async with engine.session() as session:
        if request.param == "session":
            yield CrudOwners(session)
        else:
            with session.as_current():
                yield CrudOwners()


async def test_create_and_read(owners: CrudOwners) -> None:
    """A new object comes back with its key and what the database filled in."""
    ana = CrudOwner(name="Ana", age=30)
    created = await owners.create(ana)

    assert created is ana
    assert 7 == ana.code
    found = await owners.get_by_id(ana.id)
    assert found is not None
    assert ("Ana", 30, 7) == (found.name, found.age, found.code)
    assert await owners.get_by_id(ana.id + 1) is None
    assert ana.id == (await owners.get_one(ana.id)).id
    with pytest.raises(NotFoundError, match="CrudOwner"):
        await owners.get_one(ana.id + 1)


async def test_update(owners: CrudOwners) -> None:
    """Changes are stored, and the object is the same."""
    ana = await owners.create(CrudOwner(name="Ana"))
    ana.age = 31
    updated = await owners.update(ana)

    assert updated is ana
    assert 31 == (await owners.get_one(ana.id)).age


async def test_delete(owners: CrudOwners) -> None:
    """Deleting says whether there was something."""
    ana = await owners.create(CrudOwner(name="Ana"))

    assert await owners.delete(ana.id)
    assert not await owners.delete(ana.id)
    assert await owners.get_by_id(ana.id) is None


async def test_list_and_its_kin(owners: CrudOwners) -> None:
    """Filters are the same in every method."""
    await owners.create_many({"name": f"n{number}", "age": number} for number in range(5))

    assert 5 == len(await owners.list())
    assert ["n3", "n4"] == sorted(o.name for o in await owners.list({"age__gte": 3}))
    assert ["n1"] == [o.name for o in await owners.list([CrudOwner.age > 0, CrudOwner.age < 2])]
    assert 5 == await owners.count()
    assert 1 == await owners.count({"name": "n1"})
    assert await owners.exists({"age": 4})
    assert not await owners.exists({"age": 5})
    assert "n2" == (await owners.find_one({"age": 2}) or CrudOwner()).name
    assert await owners.find_one({"age": 9}) is None
    with pytest.raises(MultipleFoundError):
        await owners.find_one({"age__lt": 9})
    assert 1 == len(await owners.named("n3"))
    assert 5 == (await owners.page(1, 2)).total
    assert 1 == len((await owners.page(1, 2, filters={"age": 4})).items)
    after = await owners.page_after(None, 3)
    assert 2 == len((await owners.page_after(after.next, 3)).items)
    assert 2 == len([owner async for owner in owners.stream({"age__gte": 3}, batch=1)])
    assert 10 == await owners.query().aggregate(ages=func.sum(CrudOwner.age)).scalar()


async def test_get_many(owners: CrudOwners) -> None:
    """Objects come in the order of their keys; unknown and repeated keys are left out."""
    keys = await owners.create_many(
        [{"name": f"n{number}"} for number in range(4)], returning="keys"
    )
    wanted = [keys[3], keys[1], -1, keys[1], keys[0]]

    assert ["n3", "n1", "n0"] == [owner.name for owner in await owners.get_many(wanted)]
    assert [] == await owners.get_many([])
    assert 4 == len(await owners.get_many(key for key in keys))


async def test_keys_of_several_columns(engine: AndamiosEngine) -> None:
    """Such a key is a tuple."""
    seats = GenericRepository[CrudSeat](engine)
    keys = await seats.create_many(
        [{"row": 1, "letter": "A"}, {"row": 1, "letter": "B"}, {"row": 2, "letter": "A"}],
        returning="keys",
    )

    assert [(1, "A"), (1, "B"), (2, "A")] == keys
    assert "B" == (await seats.get_one((1, "B"))).letter
    found = await seats.get_many([(2, "A"), (9, "Z"), (1, "A")])
    assert [(2, "A"), (1, "A")] == [(seat.row, seat.letter) for seat in found]
    assert 2 == await seats.update_many(
        [{"row": 1, "letter": "A", "is_taken": True}, {"row": 2, "letter": "A", "is_taken": True}]
    )
    assert 2 == await seats.count({"is_taken": True})
    last = seats.query().filter_by(is_taken=True).order_by("-row").limit(1)
    assert 1 == await last.update({"is_taken": False})
    assert not (await seats.get_one((2, "A"))).is_taken
    assert await seats.delete((1, "A"))
    with pytest.raises(DataError, match="row, letter"):
        await seats.get_by_id(1)


async def test_keys_that_are_uuids(engine: AndamiosEngine) -> None:
    """The key is made by the client."""
    tickets = GenericRepository[CrudTicket](engine)
    ticket = await tickets.create(CrudTicket(title="first"))

    assert "first" == (await tickets.get_one(ticket.id)).title
    with pytest.raises(DataError):
        await tickets.get_by_id(str(ticket.id))
    assert await tickets.get_by_id(uuid.uuid4()) is None


@pytest.mark.parametrize("key", ["1", None, True, 1.0, (1, 2), 2**63, object()])
async def test_wrong_keys(engine: AndamiosEngine, key: Any) -> None:
    """A key of the wrong type is refused by every method, before any SQL."""
    owners = CrudOwners(engine)
    for method in (owners.get_by_id, owners.get_one, owners.delete, owners.hard_delete):
        with pytest.raises(DataError):
            await method(key)
    with pytest.raises(DataError):
        await owners.get_many([1, key])


async def test_refused_rows(owners: CrudOwners) -> None:
    """The same mistake is the same error, and the session goes on afterwards."""
    ana = await owners.create(CrudOwner(name="Ana"))
    pets = GenericRepository[CrudPet](owners.bind)
    with pytest.raises(DuplicateError) as caught:
        await owners.create(CrudOwner(name="Ana"))
    assert ("name",) == caught.value.columns
    with pytest.raises(DuplicateError):
        await owners.create(CrudOwner(id=ana.id, name="Other"))
    with pytest.raises(NotNullError):
        await owners.create(CrudOwner(name=None))
    with pytest.raises(ForeignKeyError):
        await pets.create(CrudPet(kind="cat", owner_id=-1))
    cat = await pets.create(CrudPet(kind="cat", owner_id=ana.id))
    with pytest.raises(ForeignKeyError):
        await owners.delete_where({"id": ana.id})
    with pytest.raises(ForeignKeyError) as refused:
        await owners.delete(ana.id)
    assert ("fk_crud_pet_owner_id", "crud_pet") == (refused.value.constraint, refused.value.table)
    blas = await owners.create(CrudOwner(name="Blas"))
    blas.name = "Ana"
    with pytest.raises(DuplicateError):
        await owners.update(blas)

    assert ["Ana", "Blas"] == sorted(owner.name for owner in await owners.list())
    assert "cat" == cat.kind


async def test_an_object_survives_a_refusal(engine: AndamiosEngine) -> None:
    """After a refused update the session's object can be read, with the row's values."""
    async with engine.session() as session:
        owners = CrudOwners(session)
        ana, blas = [await owners.create(CrudOwner(name=name)) for name in ("Ana", "Blas")]
        blas.name = "Ana"
        with pytest.raises(DuplicateError):
            await owners.update(blas)
        assert ("Ana", "Blas") == (ana.name, blas.name)
        carla = CrudOwner(name="Ana")
        with pytest.raises(DuplicateError):
            await owners.create(carla)
        carla.name = "Carla"
        await owners.create(carla)

    assert 3 == await CrudOwners(engine).count()


async def test_what_create_refuses(owners: CrudOwners) -> None:
    """Objects that have a row, and objects of other models."""
    ana = await owners.create(CrudOwner(name="Ana"))
    with pytest.raises(QueryError, match="update"):
        await owners.create(ana)
    for method in (owners.create, owners.update):
        with pytest.raises(DataError, match="CrudPet"):
            await method(CrudPet(kind="cat"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="dict"):
        await owners.create({"name": "Ana"})  # type: ignore[arg-type]


async def test_filters_are_checked(owners: CrudOwners) -> None:
    """Unknown fields and wrong values are refused by every method that takes filters."""
    with pytest.raises(UnknownFieldError, match="'name'"):
        await owners.list({"nam": 1})
    with pytest.raises(DataError):
        await owners.count({"age": "1"})
    with pytest.raises(UnknownFieldError):
        await owners.update_where({"id": 1}, {"nme": "x"})


async def test_bound_to_an_engine(engine: AndamiosEngine) -> None:
    """Each call commits, and its objects belong to no session."""
    owners = CrudOwners(engine)
    ana = await owners.create(CrudOwner(name="Ana", pets=[CrudPet(kind="cat")]))

    assert sa_asyncio.async_object_session(ana) is None
    assert ["cat"] == [pet.kind for pet in ana.pets]
    async with engine.session(read_only=True) as session:
        assert await session.get(CrudOwner, ana.id) is not None
    assert 0 == engine.connections.stats().in_use


async def test_bound_to_a_session(engine: AndamiosEngine) -> None:
    """Everything is part of the session's transaction."""
    async with engine.session() as session:
        owners = CrudOwners(session)
        ana = await owners.create(CrudOwner(name="Ana"))
        assert ana is await owners.get_by_id(ana.id)
        await session.rollback()

    assert 0 == await CrudOwners(engine).count()


async def test_bound_to_nothing() -> None:
    """Without a session of the task, the error says how to open one."""
    with pytest.raises(SessionTaskError, match="Open one"):
        await CrudOwners().list()


async def test_foreign_sessions(engine: AndamiosEngine) -> None:
    """SQLAlchemy's own session works too, expiring objects included."""
    plain_engine = sa_asyncio.create_async_engine(engine.async_engine.url)
    async with sa_asyncio.AsyncSession(plain_engine) as session:
        owners = CrudOwners(session)
        ana = await owners.create(CrudOwner(name="Ana"))
        with pytest.raises(DuplicateError):
            await owners.create(CrudOwner(name="Ana"))
        await session.commit()
        await session.refresh(ana)
        ana.age = 5
        await owners.update(ana)
        assert 1 == await owners.update_where({"age": 5}, {"age": CrudOwner.age + 1})
        assert 6 == ana.age
        assert await owners.delete(ana.id)
        await session.commit()
    await plain_engine.dispose()


def test_models_come_from_type_arguments() -> None:
    """With or without a subclass; the same argument is the same class."""
    assert CrudOwner is CrudOwners.model
    assert CrudOwner is GenericRepository[CrudOwner].model
    assert GenericRepository[CrudOwner] is GenericRepository[CrudOwner]
    assert issubclass(CrudOwners, GenericRepository)
    assert issubclass(GenericRepository[CrudOwner], IRepository)
    assert "GenericRepository[CrudOwner]" == GenericRepository[CrudOwner].__name__


def test_generic_subclasses_stay_generic() -> None:
    """A subclass with a type variable takes its model later."""

    class Counted(GenericRepository[T]):
        pass

    assert CrudPet is Counted[CrudPet].model
    with pytest.raises(ConfigurationError, match=r"Counted\[User\]"):
        Counted()


@pytest.mark.parametrize("kind", [BaseRepository, GenericRepository])
def test_no_model(kind: type[Any]) -> None:
    """Without a model, the error says how to name it."""
    with pytest.raises(ConfigurationError, match="Name it"):
        kind()
    with pytest.raises(ConfigurationError, match="int"):
        kind[int]()


async def test_a_fake_needs_five_methods() -> None:
    """IRepository can be implemented without a database."""

    class Fake(IRepository[CrudOwner]):
        async def get_by_id(self, id: Any) -> CrudOwner | None:  # noqa: A002
            return None

        async def create(self, entity: CrudOwner) -> CrudOwner:
            return entity

        async def update(self, entity: CrudOwner) -> CrudOwner:
            return entity

        async def delete(self, id: Any) -> bool:  # noqa: A002
            return False

        async def list(self, filters: Any = None) -> list[CrudOwner]:
            return []

    assert [] == await Fake().list()
    with pytest.raises(TypeError, match="abstract"):
        IRepository()  # type: ignore[abstract]


async def test_relationships_are_loaded_by_queries(engine: AndamiosEngine) -> None:
    """query() begins where the repository works."""
    owners = CrudOwners(engine)
    await owners.create(CrudOwner(name="Ana", pets=[CrudPet(kind="cat")]))
    ana = await owners.query().load(CrudOwner.pets).one()

    assert ["cat"] == [pet.kind for pet in ana.pets]


async def test_lock(engine: AndamiosEngine) -> None:
    """Rows are locked inside a session; bound to an engine there is nothing to hold them."""
    async with engine.session() as session:
        owners = CrudOwners(session)
        await owners.create(CrudOwner(name="Ana"))
        assert ["Ana"] == [owner.name for owner in await owners.lock({"name": "Ana"})]
        assert 1 == len(await owners.lock(skip_locked=True))
    with pytest.raises(ConfigurationError, match="lock"):
        await CrudOwners(engine).lock()


async def _skip_locked_is_no_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name != "sqlite"


async def test_skip_locked(engine: AndamiosEngine) -> None:
    """What one session has locked, another one leaves out."""
    await CrudOwners(engine).create_many([{"name": "a"}, {"name": "b"}])
    async with engine.session() as first:
        if not await _skip_locked_is_no_sqlite(first):
            return
        await CrudOwners(first).lock({"name": "a"})
        async with engine.session() as second:
            left = await CrudOwners(second).lock(skip_locked=True)
            assert ["b"] == [owner.name for owner in left]
        with pytest.raises(DeadlockError):
            async with engine.session() as second:
                await CrudOwners(second).lock(nowait=True)


async def test_list_in_an_order(owners: CrudOwners) -> None:
    """A list has an order and an end, where they are asked for."""
    for name in ("Blas", "Ana", "Cira"):
        await owners.create(CrudOwner(name=name))
    assert ["Cira", "Blas"] == [each.name for each in await owners.list(order_by="-name", limit=2)]
    assert ["Blas"] == [
        each.name for each in await owners.list({"name__gt": "Ana"}, order_by="name", limit=1)
    ]
