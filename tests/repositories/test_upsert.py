"""Inserting a row or updating the one with the same unique key."""

from __future__ import annotations

import asyncio
import datetime as dt
import weakref
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import sqlalchemy as sa
from annotated_types import Ge
from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from andamios import (
    AuditedRepository,
    AuditMixin,
    BaseModel,
    ConfigurationError,
    DataError,
    DuplicateError,
    FieldValidationError,
    GenericRepository,
    QueryError,
    SoftDeleteModel,
    StaleVersionError,
    TimestampedModel,
    UnknownFieldError,
    UUIDModel,
    VersioningMixin,
    acting_as,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from andamios import AndamiosEngine


class UpsertUser(AuditMixin, VersioningMixin, TimestampedModel):
    """Several unique keys: MySQL has no statement for one of them."""

    __table_args__ = (UniqueConstraint("realm", "number"),)

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None] = mapped_column(unique=True)
    realm: Mapped[str | None]
    number: Mapped[int | None]
    age: Mapped[Annotated[int, Ge(0)] | None] = mapped_column(default=18)
    note: Mapped[str | None] = mapped_column("remark", deferred=True)
    posts: Mapped[list[UpsertPost]] = relationship(back_populates="user")


class UpsertPost(BaseModel):
    user_id: Mapped[int] = mapped_column(ForeignKey("upsert_user.id"))
    user: Mapped[UpsertUser] = relationship(back_populates="posts")


class UpsertTag(VersioningMixin, TimestampedModel):
    """A single unique key besides the primary one."""

    word: Mapped[str]
    uses: Mapped[int] = mapped_column(default=0)

    __table_args__ = (Index("ix_upsert_tag_word", "word", unique=True),)


class UpsertPlace(BaseModel):
    hall: Mapped[str] = mapped_column(primary_key=True)
    seat: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    guest: Mapped[str | None]


class UpsertParcel(UUIDModel):
    content: Mapped[str]


class UpsertPage(SoftDeleteModel):
    path: Mapped[str] = mapped_column(unique=True)
    text: Mapped[str | None]


class UpsertRoom(AuditMixin, BaseModel):
    __history__ = True

    name: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int | None]


class UpsertShape(BaseModel):
    """Two classes in one table."""

    kind: Mapped[str]
    code: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int | None]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "shape"}  # noqa: RUF012  SQLAlchemy declares it so


class UpsertCircle(UpsertShape):
    __mapper_args__ = {"polymorphic_identity": "circle"}  # noqa: RUF012  SQLAlchemy declares it so


def users(bind: Any) -> GenericRepository[UpsertUser]:
    return GenericRepository[UpsertUser](bind)


def tags(bind: Any) -> GenericRepository[UpsertTag]:
    return GenericRepository[UpsertTag](bind)


@pytest.fixture(params=["session", "engine", "current"])
async def repository(request: pytest.FixtureRequest, engine: AndamiosEngine) -> Any:
    """A repository in each of its three places."""
    if request.param == "engine":
        yield users(engine)
        return
    async with engine.session() as session:
        yield users(session if request.param == "session" else None)


@pytest.mark.parametrize("kind", [UpsertUser, UpsertTag])
async def test_versions_and_moments(engine: AndamiosEngine, kind: type[Any]) -> None:
    """An update counts the version and sets updated_at; what was created stays."""
    field = "email" if kind is UpsertUser else "word"
    repository: Any = GenericRepository.__class_getitem__(kind)(engine)
    first = await repository.upsert({field: "a"}, on=[field])
    second = await repository.upsert({field: "a"}, on=[field])
    await asyncio.sleep(0.002)
    third = await repository.upsert({field: "a"}, on=field)

    assert [1, 2, 3] == [first.version, second.version, third.version]
    assert first.created_at == second.created_at == third.created_at
    assert first.updated_at < second.updated_at < third.updated_at


async def test_inserts_and_updates(repository: GenericRepository[UpsertUser]) -> None:
    """Only what is given is set, in the row that matches; the object is as it is stored."""
    other = await repository.upsert({"email": "b", "name": "Beto"}, on=["email"])
    with acting_as("maria"):
        made = await repository.upsert({"email": "a", "name": "Ana"}, on=[UpsertUser.email])
    with acting_as("nora"):
        again = await repository.upsert({UpsertUser.email: "a", "note": "x"}, on=["email"])

    assert ("Ana", 18, 2) == (again.name, again.age, again.version)
    assert made.id == again.id != other.id
    assert ("maria", "nora") == (again.created_by, again.updated_by)
    found = await repository.query().order_by("email").execute()
    assert [("a", "Ana", 2), ("b", "Beto", 1)] == [(u.email, u.name, u.version) for u in found]


async def test_objects_of_the_session(engine: AndamiosEngine) -> None:
    """What the session has of the row is read again, and pending changes are not lost."""
    async with engine.session() as session:
        held = await users(session).create(UpsertUser(email="a", name="Ana", posts=[]))
        held.age = 44
        given = await users(session).upsert({"email": "a", "name": "Anna"}, on=["email"])

        assert held is given
        assert ("Anna", 44) == (held.name, held.age)
        held.age = 45
    assert 45 == (await users(engine).get_one(held.id)).age


async def test_another_key(repository: GenericRepository[UpsertUser]) -> None:
    """A collision on another key is an error that names it; no row changes, and work goes on."""
    await repository.upsert({"email": "a", "name": "Ana"}, on=["email"])
    await repository.upsert({"email": "b", "name": "Beto"}, on=["email"])
    for values in ({"email": "c", "name": "Ana"}, {"email": "b", "name": "Ana"}):
        with pytest.raises(DuplicateError) as caught:
            await repository.upsert(values, on=["email"])
        assert ("name",) == caught.value.columns
    await repository.upsert({"email": "b", "age": 3}, on=["email"])

    found = await repository.query().order_by("email").execute()
    assert [("a", "Ana", 18), ("b", "Beto", 3)] == [(u.email, u.name, u.age) for u in found]


async def test_other_primary_key(engine: AndamiosEngine) -> None:
    """A row keeps its primary key: one with another is in the way."""
    made = await users(engine).upsert({"email": "a", "id": 7}, on=["email"])
    same = await users(engine).upsert({"email": "a", "id": 7, "age": 1}, on=["email"])
    with pytest.raises(DuplicateError) as caught:
        await users(engine).upsert({"email": "a", "id": 8}, on=["email"])
    with pytest.raises(DuplicateError):
        await users(engine).upsert_many([{"email": "a", "id": 8}], on=["email"])

    assert (7, 7, 1) == (made.id, same.id, same.age)
    assert ("email",) == caught.value.columns
    assert 7 == (await users(engine).upsert({"email": "z", "id": 7}, on=["id"])).id


async def test_keys_of_all_kinds(engine: AndamiosEngine) -> None:
    """The primary key, one of several columns, one made by the client, in any order."""
    places = GenericRepository[UpsertPlace](engine)
    for guest in ("x", "y"):
        await places.upsert({"hall": "A", "seat": 1, "guest": guest}, on=["seat", "hall"])
        await users(engine).upsert(
            {"email": "a", "realm": "r", "number": 1, "age": 2}, on=["realm", "number"]
        )
    parcels = GenericRepository[UpsertParcel](engine)
    made = await parcels.create(UpsertParcel(content="x"))
    again = await parcels.upsert({"id": made.id, "content": "y"}, on=["id"])

    assert ["y"] == [place.guest for place in await places.list()]
    assert 1 == await users(engine).count()
    assert "y" == again.content


async def test_versions_are_compared(repository: GenericRepository[UpsertUser]) -> None:
    """A version among the values is that of the row, or the write is refused."""
    await repository.upsert({"email": "a"}, on=["email"])
    fresh = await repository.upsert({"email": "a", "version": 1, "age": 2}, on=["email"])
    assert (2, 2) == (fresh.version, fresh.age)
    with pytest.raises(StaleVersionError) as caught:
        await repository.upsert({"email": "a", "version": 1, "age": 3}, on=["email"])
    assert (1, 2) == (caught.value.expected, caught.value.actual)
    with pytest.raises(StaleVersionError) as caught:
        await repository.upsert({"email": "gone", "version": 4}, on=["email"])
    assert (4, None) == (caught.value.expected, caught.value.actual)
    with pytest.raises(StaleVersionError):
        await repository.upsert_many([{"email": "b"}, {"email": "a", "version": 9}], on=["email"])

    assert [("a", 2)] == [(user.email, user.age) for user in await repository.list()]


async def test_objects(engine: AndamiosEngine) -> None:
    """An object that no session has is stored like a dict of what it holds."""
    await users(engine).upsert(UpsertUser(email="a", age=3), on=["email"])
    found = await users(engine).upsert(UpsertUser(email="a", name="Ana"), on=["email"])
    stale = await users(engine).get_one(found.id)
    await users(engine).upsert({"email": "a"}, on=["email"])

    assert (3, "Ana") == (found.age, found.name)
    with pytest.raises(StaleVersionError):
        await users(engine).upsert(stale, on=["email"])
    async with engine.session() as session:
        held = await users(session).get_one(found.id)
        with pytest.raises(QueryError, match="session"):
            await users(session).upsert(held, on=["email"])


@pytest.mark.parametrize(
    ("values", "on", "error", "words"),
    [
        ({"email": "a"}, ["age"], ConfigurationError, "(email)"),
        ({"email": "a"}, ["realm"], ConfigurationError, "(realm, number)"),
        ({"email": "a"}, ["email", "name"], ConfigurationError, "(id)"),
        ({"email": "a"}, [], ConfigurationError, "(name)"),
        ({"email": "a"}, ["emial"], UnknownFieldError, "email"),
        ({"email": "a", "agee": 1}, ["email"], UnknownFieldError, "age"),
        ({"email": None}, ["email"], DataError, "None"),
        ({"age": 1}, ["email"], QueryError, "email"),
        ({"email": "a", "age": -1}, ["email"], FieldValidationError, "age"),
        ({"email": 1}, ["email"], DataError, "str"),
        ("email", ["email"], DataError, "str"),
    ],
)
async def test_refused(
    engine: AndamiosEngine, values: Any, on: Any, error: type[Exception], words: str
) -> None:
    """What cannot work is refused before anything is sent, alike everywhere."""
    with pytest.raises(error) as caught:
        await users(engine).upsert(values, on=on)
    assert words in str(caught.value)
    with pytest.raises(error):
        await users(engine).upsert_many([{"email": "ok"}, values], on=on)
    assert 0 == await users(engine).count()


async def test_soft_deletion(engine: AndamiosEngine) -> None:
    """A deleted row is neither updated nor revived by its primary key."""
    pages = GenericRepository[UpsertPage](engine)
    page = await pages.create(UpsertPage(path="/a", text="old"))
    await pages.delete(page.id)
    values = {"id": page.id, "path": "/b", "text": "new"}
    with pytest.raises(DuplicateError) as caught:
        await pages.upsert(values, on=["id"])
    with pytest.raises(DuplicateError):
        await pages.upsert_many([values], on=["id"])
    (found,) = await pages.query().include_deleted().execute()

    assert ("/a", "old", True) == (found.path, found.text, found.is_deleted)
    assert ("id",) == caught.value.columns


async def test_values_that_are_free_again(engine: AndamiosEngine) -> None:
    """A unique value of a deleted row is free: a new row gets it, and is updated from then on."""
    pages = GenericRepository[UpsertPage](engine)
    page = await pages.create(UpsertPage(path="/a", text="old"))
    await pages.delete(page.id)
    made = await pages.upsert({"path": "/a", "text": "new"}, on=["path"])
    again = await pages.upsert({"path": "/a", "text": "newer"}, on=["path"])
    await pages.upsert_many([{"path": "/a"}, {"path": "/b"}], on=["path"])
    found = await pages.query().include_deleted().order_by("id").execute()

    assert page.id != made.id == again.id
    assert ["old", "newer", None] == [each.text for each in found]
    assert [True, False, False] == [each.is_deleted for each in found]


async def test_history(engine: AndamiosEngine) -> None:
    """A model that keeps its history keeps that of upserts, too."""
    rooms = AuditedRepository[UpsertRoom](engine)
    for size in (1, 2):
        room = await rooms.upsert({"name": "a", "size": size}, on=["name"])
    await rooms.upsert_many([{"name": "a", "size": 3}, {"name": "b"}], on=["name"])
    await rooms.get_or_create({"name": "a"})
    await rooms.update_or_create({"name": "a"}, {"size": 4})
    changes = [change.operation for change in await rooms.history(room)]

    assert (1, 3) == (changes.count("create"), changes.count("update"))


async def test_classes_in_one_table(engine: AndamiosEngine) -> None:
    """A row of another class is in the way, and is not updated."""
    circles = GenericRepository[UpsertCircle](engine)
    shapes = GenericRepository[UpsertShape](engine)
    await shapes.create(UpsertShape(code="a", size=1))
    await circles.upsert({"code": "c", "size": 1}, on=["code"])
    circle = await circles.upsert({"code": "c", "size": 2}, on=["code"])
    with pytest.raises(DuplicateError):
        await circles.upsert({"code": "a", "size": 9}, on=["code"])

    assert ("circle", 2) == (circle.kind, circle.size)
    assert [1, 2] == sorted(shape.size or 0 for shape in await shapes.list())

    await circles.upsert_many([{"code": "c", "size": 3}, {"code": "d", "size": 4}], on=["code"])
    with pytest.raises(DuplicateError):
        await circles.upsert_many([{"code": "e", "size": 9}, {"code": "a", "size": 9}], on=["code"])
    assert [1, 3, 4] == sorted(shape.size or 0 for shape in await shapes.list())


@pytest.mark.parametrize("kind", [UpsertUser, UpsertTag])
async def test_expressions(engine: AndamiosEngine, kind: type[Any]) -> None:
    """SQL is a value like any other, unless it refers to a row that may not be there."""
    repository = GenericRepository[kind](engine)
    key, value = ("email", "age") if kind is UpsertUser else ("word", "uses")
    five = sa.func.length("fives")

    made = await repository.upsert({key: "a", value: five}, on=[key])
    await repository.upsert_many([{key: "a", value: five + 1}, {key: "b", value: 7}], on=[key])
    changed, new = await repository.query().order_by(key).execute()

    assert (5, 6, 7) == (getattr(made, value), getattr(changed, value), getattr(new, value))
    assert (2, 1) == (changed.version, new.version)
    with pytest.raises(QueryError, match="refers to the row"):
        await repository.upsert({key: "a", value: getattr(kind, value) + 1}, on=[key])


async def _later(rows: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    for row in rows:
        yield row


async def test_many(repository: GenericRepository[UpsertUser]) -> None:
    """Rows of different fields, new and known ones, are all stored; later values win."""
    await repository.upsert({"email": "n1", "name": "one"}, on=["email"])
    rows: list[dict[str, Any]] = [{"email": f"n{number}", "age": number} for number in range(7)]
    rows += [{"email": "n1", "name": "uno"}, {"email": "n1", "age": 111}, {"email": "n9"}]
    seen: list[int] = []
    count = await repository.upsert_many(_later(rows), on=["email"], batch=4, progress=seen.append)
    found = await repository.query().order_by("email").execute()

    assert (10, [4, 8, 10]) == (count, seen)
    assert [0, 111, 2, 3, 4, 5, 6, 18] == [user.age for user in found]
    assert "uno" == found[1].name
    assert {1, 2, 3, 4} >= {user.version for user in found}


async def test_many_in_one_statement(engine: AndamiosEngine) -> None:
    """Where a statement takes several rows, the same holds, and held objects are fresh."""
    async with engine.session() as session:
        held = await tags(session).create(UpsertTag(word="a", uses=1))
        rows: list[dict[str, Any]] = [{"word": word, "uses": 5} for word in "bca"]
        assert 4 == await tags(session).upsert_many([*rows, {"word": "b"}], on=["word"])
        assert (5, 2) == (held.uses, held.version)
        assert held.updated_at > held.created_at
    assert [5, 5, 5] == [tag.uses for tag in await tags(engine).list()]


async def test_many_all_or_none(engine: AndamiosEngine) -> None:
    """A row that is refused takes all the others along; a caller's transaction goes on."""
    await users(engine).upsert({"email": "x", "name": "X"}, on=["email"])
    rows = [{"email": "a"}, {"email": "b"}, {"email": "c", "name": "X"}]
    async with engine.session() as session:
        with pytest.raises(DuplicateError):
            await users(session).upsert_many(rows, on=["email"], batch=2)
        await users(session).upsert({"email": "y"}, on=["email"])

    assert {"x", "y"} == {user.email for user in await users(engine).list()}


class LooseRow(dict[str, Any]):
    """A row of which one can see whether somebody keeps it."""

    __hash__ = object.__hash__  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [UpsertUser, UpsertTag])
async def test_rows_are_let_go(engine: AndamiosEngine, kind: type[Any]) -> None:
    """No more than a batch, and the row that is being read, is held in memory."""
    field = "email" if kind is UpsertUser else "word"
    alive: weakref.WeakSet[LooseRow] = weakref.WeakSet()
    most = 0

    def given() -> Iterator[LooseRow]:
        nonlocal most
        for number in range(60):
            row = LooseRow({field: f"n{number}"})
            alive.add(row)
            most = max(most, len(alive))
            yield row

    repository: Any = GenericRepository.__class_getitem__(kind)(engine)
    await repository.upsert_many(given(), on=[field], batch=10)

    assert 60 == await repository.count()
    assert most <= 21


@pytest.mark.parametrize("kind", [UpsertUser, UpsertTag])
async def test_fifty_at_once(engine: AndamiosEngine, kind: type[Any]) -> None:
    """Fifty callers: one row, no error, and every update is counted."""
    field = "email" if kind is UpsertUser else "word"
    repository: Any = GenericRepository.__class_getitem__(kind)(engine)
    made = await asyncio.gather(*(repository.upsert({field: "x"}, on=[field]) for _ in range(50)))

    assert list(range(1, 51)) == sorted(entity.version for entity in made)
    assert 1 == await repository.count()


async def test_moments_of_each_statement(engine: AndamiosEngine) -> None:
    """What an update sets is made anew each time, though the statement is the same."""
    before = dt.datetime.now(dt.UTC)
    await tags(engine).upsert_many([{"word": "a"}], on=["word"])
    stamps = []
    for _ in range(3):
        await tags(engine).upsert_many([{"word": "a"}, {"word": "b"}], on=["word"])
        stamps.append((await tags(engine).find_one({"word": "a"}) or UpsertTag()).updated_at)
    assert before < stamps[0] < stamps[1] < stamps[2]
