"""Any mapped class works: plain declarative ones, composite keys, a dataclass, an old Table."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy.ext.asyncio as sa_asyncio
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, func, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    mapped_column,
    registry,
    relationship,
)

from andamios import (
    AsyncSession,
    DuplicateError,
    GenericRepository,
    NotFoundError,
    QueryError,
    StaleVersionError,
    UnscopedWriteError,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine

PLAIN = MetaData()


@pytest.fixture
def db_metadata() -> MetaData:
    """The tables of plain models."""
    return PLAIN


class PlainBase(DeclarativeBase):
    metadata = PLAIN


class PlainUser(PlainBase):
    __tablename__ = "plain_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(50), unique=True)
    size: Mapped[int] = mapped_column("size_of", default=1)
    version: Mapped[int] = mapped_column()
    pets: Mapped[list[PlainPet]] = relationship(back_populates="owner")

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  SQLAlchemy declares it so


class PlainSum(PlainBase):
    __tablename__ = "plain_sum"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(50), unique=True)
    loud: Mapped[str] = column_property(func.upper(email.column))


class PlainPet(PlainBase):
    __tablename__ = "plain_pet"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("plain_user.id"))
    owner: Mapped[PlainUser] = relationship(back_populates="pets")


class PlainSeat(PlainBase):
    __tablename__ = "plain_seat"

    hall: Mapped[str] = mapped_column(String(5), primary_key=True)
    seat: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int | None]


class PlainPoint(MappedAsDataclass, PlainBase):
    __tablename__ = "plain_point"

    email: Mapped[str] = mapped_column(String(50), unique=True)
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    size: Mapped[int] = mapped_column(default=1)
    note: Mapped[str | None] = mapped_column(String(50), default=None, init=False)


class PlainOld:
    """Mapped the old way, with a constructor of SQLAlchemy's."""


plain_old = Table(
    "plain_old",
    PLAIN,
    Column("id", Integer, primary_key=True),
    Column("email", String(50), unique=True),
    Column("size", Integer, default=1),
)
registry(metadata=PLAIN).map_imperatively(PlainOld, plain_old)


@pytest.fixture(params=[PlainUser, PlainPoint, PlainOld])
def rows(engine: AndamiosEngine, request: pytest.FixtureRequest) -> Any:
    """A repository of each kind of class."""
    return GenericRepository.__class_getitem__(request.param)(engine)


def shown(entities: list[Any]) -> list[tuple[str, int]]:
    return sorted((entity.email, entity.size) for entity in entities)


async def test_one_by_one(rows: Any) -> None:
    """Create, read, update and delete."""
    await rows.create_many([{"email": "a", "size": 1}, {"email": "b", "size": 2}])
    ana = await rows.find_one({"email": "a"})
    ana.size = 5
    await rows.update(ana)

    assert 5 == (await rows.get_one(ana.id)).size
    assert [ana.id] == [row.id for row in await rows.get_many([ana.id, 99])]
    assert await rows.delete(ana.id)
    assert await rows.get_by_id(ana.id) is None
    with pytest.raises(NotFoundError):
        await rows.update(ana)


async def test_many(rows: Any) -> None:
    """Many at once, and set-based writes."""
    created = await rows.create_many(
        [{"email": name, "size": 1} for name in "abc"], returning="entities"
    )
    await rows.update_many([{"id": created[0].id, "size": 9}])

    assert 3 == await rows.update_where({"size__ge": 0}, {"size": type(created[0]).size + 1})
    assert [("a", 10), ("b", 2), ("c", 2)] == shown(await rows.list())
    assert 2 == await rows.delete_where({"size": 2})
    with pytest.raises(UnscopedWriteError):
        await rows.delete_where({})
    with pytest.raises(DuplicateError):
        await rows.create_many([{"email": "a"}])


async def test_there_or_not(rows: Any) -> None:
    """Upserts and their kin."""
    for size in (1, 2):
        await rows.upsert({"email": "a", "size": size}, on=["email"])
    await rows.upsert_many([{"email": "b", "size": 3}, {"email": "a", "size": 4}], on=["email"])
    _, is_new = await rows.get_or_create({"email": "b"}, {"size": 7})
    _, is_newer = await rows.update_or_create({"email": "b"}, {"size": 8})
    results = await asyncio.gather(*(rows.get_or_create({"email": "c"}) for _ in range(10)))

    assert [("a", 4), ("b", 8), ("c", 1)] == shown(await rows.list())
    assert (False, False) == (is_new, is_newer)
    assert 1 == sum(is_new for _, is_new in results)


async def test_versions(engine: AndamiosEngine) -> None:
    """A version column works without the mixin, on every path."""
    users = GenericRepository[PlainUser](engine)
    await users.create_many([{"email": "a", "size": 1}])
    await users.upsert({"email": "a", "size": 2}, on=["email"])
    user = await users.upsert({"email": "a", "size": 3, "version": 2}, on=["email"])
    stale = await users.get_one(user.id)
    await users.update_where({"email": "a"}, {"size": 4})
    stale.size = 5
    for refused in (users.update(stale), users.update_many([{"id": user.id, "version": 3}])):
        with pytest.raises(StaleVersionError):
            await refused

    assert (4, 4) == ((found := await users.get_one(user.id)).size, found.version)


async def test_expressions_take_no_values(engine: AndamiosEngine) -> None:
    """What is computed from columns is read, and never written, on any path."""
    sums = GenericRepository[PlainSum](engine)
    row = await sums.create(PlainSum(email="a"))
    values = {"id": row.id, "email": "a", "loud": "x"}

    assert "A" == row.loud
    assert [row.id] == [found.id for found in await sums.list({"loud": "A"})]
    for refused in (
        sums.create_many([values]),
        sums.update_many([values]),
        sums.update_where({"email": "a"}, {"loud": "x"}),
        sums.upsert(values, on="email"),
        sums.get_or_create({"loud": "x", "id": 5}),
    ):
        with pytest.raises(QueryError, match="loud"):
            await refused


async def test_what_a_constructor_does_not_take(engine: AndamiosEngine) -> None:
    """A dataclass is made from a dict with fields that are not in its constructor."""
    points = GenericRepository[PlainPoint](engine)
    got, _ = await points.get_or_create({"email": "a"}, {"note": "x"})
    (created,) = await points.create_many([{"email": "b", "note": "y"}], returning="entities")

    assert ("x", "y", 1) == (got.note, created.note, got.size)


@pytest.mark.parametrize("kind", [AsyncSession, sa_asyncio.AsyncSession], ids=["ours", "plain"])
async def test_versions_of_sets(engine: AndamiosEngine, kind: type[Any]) -> None:
    """A set-based update counts them, also through a session that knows nothing of us."""
    user = await GenericRepository[PlainUser](engine).create(PlainUser(email="a"))
    async with kind(engine.async_engine) as session:
        await GenericRepository[PlainUser](session).update_where({"email": "a"}, {"size": 2})
        await session.commit()
    user.size = 3
    with pytest.raises(StaleVersionError) as caught:
        await GenericRepository[PlainUser](engine).update(user)
    assert (1, 2) == (caught.value.expected, caught.value.actual)


async def test_versions_of_statements(engine: AndamiosEngine) -> None:
    """A statement that was written by hand counts them, too."""
    user = await GenericRepository[PlainUser](engine).create(PlainUser(email="a"))
    async with engine.session() as session:
        await session.execute(update(PlainUser).where(PlainUser.email == "a").values(size=2))
    user.size = 3
    with pytest.raises(StaleVersionError) as caught:
        await GenericRepository[PlainUser](engine).update(user)
    assert (1, 2) == (caught.value.expected, caught.value.actual)


async def test_keys_of_two_parts(engine: AndamiosEngine) -> None:
    """A key of two columns, whatever the call."""
    seats = GenericRepository[PlainSeat](engine)
    for size in (1, 2):
        await seats.upsert({"seat": 1, "hall": "A", "size": size}, on=["hall", "seat"])
    seat, is_new = await seats.get_or_create({"hall": "A", "seat": 1, "size": 2})
    await seats.update_many([{"hall": "A", "seat": 1, "size": 3}])
    await seats.upsert_many([{"hall": "A", "seat": n} for n in (1, 2)], on=["seat", "hall"])

    assert not is_new
    assert ("A", 1) == (seat.hall, seat.seat)
    assert [3, None] == [found.size for found in await seats.get_many([("A", 1), ("A", 2)])]
    assert await seats.delete(("A", 2))


async def test_loading_along(engine: AndamiosEngine) -> None:
    """Relationships come with the objects where they are asked for."""
    users = GenericRepository[PlainUser](engine)
    ana = await users.create(PlainUser(email="a", pets=[PlainPet(), PlainPet()]))
    pets = GenericRepository[PlainPet](engine)
    found = [
        await users.get_by_id(ana.id, load=PlainUser.pets),
        await users.get_one(ana.id, load=[PlainUser.pets]),
        *await users.get_many([ana.id], load=PlainUser.pets),
        await users.find_one({"email": "a"}, load=PlainUser.pets),
        *await users.list(load=PlainUser.pets),
        *(await users.page(load=PlainUser.pets)).items,
        *(await users.page_after(load=(PlainUser.pets, PlainPet.owner))).items,
    ]

    assert [2] * 7 == [len(user.pets) for user in found if user is not None]
    assert "a" == (await pets.list(load=PlainPet.owner))[0].owner.email
    assert None is await users.get_by_id(99, load=PlainUser.pets)


async def test_loading_along_into_a_session(engine: AndamiosEngine) -> None:
    """An object that the session has gets what is asked for, and keeps its changes."""
    ana = await GenericRepository[PlainUser](engine).create(PlainUser(email="a", pets=[PlainPet()]))
    async with engine.session() as session:
        users = GenericRepository[PlainUser](session)
        held = await users.get_one(ana.id)
        held.size = 7
        again = await users.get_by_id(ana.id, load=PlainUser.pets)

        assert again is held
        assert (1, 7) == (len(held.pets), held.size)


async def test_ordered_pages(engine: AndamiosEngine) -> None:
    """A page takes its order, and a lock takes an order and a limit."""
    users = GenericRepository[PlainUser](engine)
    await users.create_many({"email": name, "size": ord(name) * 2 % 3} for name in "abc")
    page = await users.page(1, 2, order_by="size")
    first = await users.page_after(None, 2, order_by=["size", PlainUser.email])
    second = await users.page_after(first.next, 2, order_by=["size", PlainUser.email])
    async with engine.session() as session:
        locked = await GenericRepository[PlainUser](session).lock(order_by="email", limit=2)

    assert ["c", "b"] == [user.email for user in page.items]
    assert ["c", "b", "a"] == [user.email for user in [*first.items, *second.items]]
    assert ["a", "b"] == [user.email for user in locked]
