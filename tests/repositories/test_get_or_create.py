"""Finding a row or making it, while others do the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from andamios import (
    BaseModel,
    ConfigurationError,
    DataError,
    DuplicateError,
    GenericRepository,
    QueryError,
    SerializationError,
    SoftDeleteModel,
    StaleVersionError,
    VersioningMixin,
)

if TYPE_CHECKING:
    from andamios import AndamiosEngine


class RacedUser(VersioningMixin, BaseModel):
    __table_args__ = (UniqueConstraint("realm", "number"),)

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None] = mapped_column(unique=True)
    city: Mapped[str | None]
    realm: Mapped[str | None]
    number: Mapped[int | None]
    visits: Mapped[int] = mapped_column(default=0)


class RacedPage(SoftDeleteModel):
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str | None]


def users(bind: Any) -> GenericRepository[RacedUser]:
    return GenericRepository[RacedUser](bind)


@pytest.fixture(params=["session", "engine", "current"])
async def repository(request: pytest.FixtureRequest, engine: AndamiosEngine) -> Any:
    """A repository in each of its three places."""
    if request.param == "engine":
        yield users(engine)
        return
    async with engine.session() as session:
        yield users(session if request.param == "session" else None)


async def test_get_or_create(repository: GenericRepository[RacedUser]) -> None:
    """The first call makes the row with the defaults, the second finds it as it is."""
    ana, is_new = await repository.get_or_create({"email": "a"}, {"city": "Lima"})
    again, is_new_again = await repository.get_or_create({RacedUser.email: "a"}, {"city": "Cusco"})
    whole, _ = await repository.get_or_create({"email": "a", "city": "Lima", "name": None})

    assert (True, False) == (is_new, is_new_again)
    assert ana.id == again.id == whole.id
    assert ("Lima", 0, 1) == (again.city, again.visits, again.version)
    assert 1 == await repository.count()


async def test_update_or_create(repository: GenericRepository[RacedUser]) -> None:
    """The first call makes the row with the values, the second sets them."""
    _, is_new = await repository.update_or_create({"email": "a"}, {"city": "Lima"})
    ana, is_new_again = await repository.update_or_create({"email": "a"}, {"city": "Cusco"})
    same, _ = await repository.update_or_create({"email": "a"}, {})

    assert (True, False) == (is_new, is_new_again)
    assert ("Cusco", 2, 2) == (ana.city, ana.version, same.version)


async def test_equal_values_are_no_creation(repository: GenericRepository[RacedUser]) -> None:
    """A row that has the values already was found, though MySQL counts it in its own way."""
    ana, _ = await repository.update_or_create({"email": "a"}, {"city": "Lima"})
    again, is_new = await repository.update_or_create({"email": "a"}, {"city": "Lima"})
    bare, is_new_too = await repository.update_or_create({"email": "a"}, {})

    assert (False, False) == (is_new, is_new_too)
    assert {(ana.id, 1)} == {(each.id, each.version) for each in (ana, again, bare)}


async def test_pending_changes_are_kept(engine: AndamiosEngine) -> None:
    """What waits in the session for the row is written before the row is read again."""
    async with engine.session() as session:
        ana, _ = await users(session).get_or_create({"email": "a"})
        ana.visits = 5
        found, _ = await users(session).update_or_create({"email": "a"}, {"city": "Lima"})

        assert ana is found
    assert ("Lima", 5) == ((stored := await users(engine).get_one(ana.id)).city, stored.visits)


async def test_other_keys(repository: GenericRepository[RacedUser]) -> None:
    """A collision outside of what is looked for is an error, and work goes on after it."""
    await repository.create(RacedUser(email="a", name="Ana", city="Lima"))
    for method in (repository.get_or_create, repository.update_or_create):
        with pytest.raises(DuplicateError) as caught:
            await method({"email": "b"}, {"name": "Ana"})
        assert ("name",) == caught.value.columns
        with pytest.raises(DuplicateError) as caught:
            await method({"email": "a", "city": "Cusco"}, {})
        assert ("email",) == caught.value.columns
    beto, _ = await repository.get_or_create({"realm": "r", "number": 1}, {"email": "b"})

    assert "b" == beto.email
    assert 2 == await repository.count()


async def test_versions(repository: GenericRepository[RacedUser]) -> None:
    """A version among the values is compared."""
    await repository.update_or_create({"email": "a"}, {"city": "Lima"})
    await repository.update_or_create({"email": "a"}, {"city": "Cusco", "version": 1})
    with pytest.raises(StaleVersionError) as caught:
        await repository.update_or_create({"email": "a"}, {"city": "Puno", "version": 1})
    assert (1, 2) == (caught.value.expected, caught.value.actual)
    with pytest.raises(StaleVersionError):
        await repository.update_or_create({"email": "b"}, {"version": 1})

    assert ["Cusco"] == [user.city for user in await repository.list()]


@pytest.mark.parametrize(
    ("filters", "values", "error", "words"),
    [
        ({"city": "Lima"}, {}, ConfigurationError, "(email)"),
        ({"realm": "r"}, {}, ConfigurationError, "(realm, number)"),
        ({"email": None}, {}, DataError, "None"),
        ({"email__startswith": "a"}, {}, QueryError, "second argument"),
        ({"email": RacedUser.name}, {}, QueryError, "second argument"),
        ({"email": 1}, {}, DataError, "str"),
        ({}, {}, QueryError, "values"),
        ({"email": "a"}, {"email": "b"}, QueryError, "email"),
        ({"email": "a"}, {"towm": "b"}, QueryError, "towm"),
    ],
)
async def test_refused(
    engine: AndamiosEngine, filters: Any, values: Any, error: type[Exception], words: str
) -> None:
    """What could not be safe is refused before anything is sent."""
    for method in (users(engine).get_or_create, users(engine).update_or_create):
        with pytest.raises(error) as caught:
            await method(filters, values)
        assert words in str(caught.value)
    assert 0 == await users(engine).count()


async def test_soft_deletion(engine: AndamiosEngine) -> None:
    """A deleted row is not found, and one that takes the key is in the way."""
    pages = GenericRepository[RacedPage](engine)
    await pages.create(RacedPage(id=1, text="old"))
    await pages.delete(1)
    for method in (pages.get_or_create, pages.update_or_create):
        with pytest.raises(DuplicateError):
            await method({"id": 1}, {"text": "new"})

    assert ["old"] == [page.text for page in await pages.query().include_deleted().execute()]


async def test_fifty_at_once(engine: AndamiosEngine) -> None:
    """Fifty callers: one row, no error, one of them made it."""
    results = await asyncio.gather(
        *(users(engine).get_or_create({"email": "x"}, {"city": "Lima"}) for _ in range(50))
    )

    assert 1 == sum(is_new for _, is_new in results)
    assert 1 == len({user.id for user, _ in results})
    assert 1 == await users(engine).count()


async def test_fifty_sessions_at_once(engine: AndamiosEngine) -> None:
    """The same, when each caller has a session of his own and writes on in it."""
    rows = ({"email": f"own {number}"} for number in range(50))
    ids = await users(engine).create_many(rows, returning="keys")

    async def call(id: int) -> bool:  # noqa: A002
        async with engine.session() as session:
            _, is_new = await users(session).get_or_create({"email": "x"})
            # No new row: MySQL keeps the gaps beside the found one locked for those who lost.
            await users(session).update_where({"id": id}, {"visits": 1})
            return is_new

    results = await asyncio.gather(*map(call, ids))

    assert 1 == sum(results)
    assert 50 == await users(engine).count({"visits": 1})


async def test_fifty_updates_at_once(engine: AndamiosEngine) -> None:
    """Fifty callers: one row, no error, and no update is lost."""
    expression = RacedUser.__table__.c.visits + 1

    async def call() -> bool:
        _, is_new = await users(engine).update_or_create({"email": "x"}, {"city": "Lima"})
        await users(engine).update_or_create({"email": "x"}, {"visits": expression})
        return is_new

    results = await asyncio.gather(*(call() for _ in range(50)))
    (user,) = await users(engine).list()

    assert 1 == sum(results)
    assert (50, 51) == (user.visits, user.version)


async def test_snapshots(engine: AndamiosEngine) -> None:
    """Inside a snapshot that is older than the row, nothing can be found, except on MySQL."""
    if engine.backend == "sqlite":
        return  # one writer at a time

    async def call() -> bool:
        async with engine.session() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            await session.execute(text("SELECT count(*) FROM raced_user"))
            await users(engine).get_or_create({"email": "x"})
            _, is_new = await users(session).get_or_create({"email": "x"})
            return is_new

    if engine.backend == "mysql":
        assert not await call()
    else:
        with pytest.raises(SerializationError):
            await call()
