"""What types come out of queries and repositories: read by type checkers, and never run."""

import datetime as dt
from collections.abc import AsyncGenerator
from typing import Any, assert_type

import pydantic
from sqlalchemy import Row, func
from sqlalchemy.orm import Mapped, relationship

from andamios import (
    AndamiosEngine,
    AsyncSession,
    AuditedRepository,
    BaseModel,
    Change,
    CursorPage,
    FilterBuilder,
    GenericRepository,
    Page,
    QueryBuilder,
    ReadOnlyRepository,
)


class User(BaseModel):
    """A model as users write it."""

    name: Mapped[str]
    age: Mapped[int | None]
    seen_at: Mapped[dt.datetime]
    posts: Mapped[list["Post"]] = relationship()


class Post(BaseModel):
    """The other side."""

    title: Mapped[str]


class UserRead(pydantic.BaseModel):
    """What a client gets."""

    name: str


class UserRepository(GenericRepository[User]):
    """A repository as users write it."""

    async def adults(self) -> list[User]:
        """Its own method."""
        return await self.list(FilterBuilder(User).ge("age", 18))


async def columns(user: User) -> None:
    """Attributes have the types of their annotations."""
    assert_type(user.name, str)
    assert_type(user.age, int | None)
    assert_type(user.posts, list[Post])
    assert_type(user.to_dict(), dict[str, Any])
    await user.load(User.posts, User.name, peers=True)


async def queries(session: AsyncSession) -> None:
    """A query of users gives users, until it gives rows."""
    query = QueryBuilder(User, session).filter(User.age >= 18).order_by(User.name.desc())
    assert_type(query, QueryBuilder[User])
    assert_type(query.join(User.posts).limit(3).include_deleted(), QueryBuilder[User])
    assert_type(await query.execute(), list[User])
    assert_type(await query.first(), User | None)
    assert_type(await query.one(), User)
    assert_type(await query.one_or_none(), User | None)
    assert_type(await query.count(), int)
    assert_type(await query.exists(), bool)
    assert_type(await query.page(1), Page[User])
    assert_type((await query.page(1)).items, list[User])
    assert_type(await query.page_after(), CursorPage[User])
    assert_type(query.stream(), AsyncGenerator[User, None])
    assert_type(await query.as_dicts(), list[dict[str, Any]])
    assert_type(await query.as_models(UserRead), list[UserRead])
    assert_type(await query.update({User.name: "x"}), int)
    assert_type(await query.delete(), int)


async def rows(session: AsyncSession) -> None:
    """Columns and aggregates are rows, of which one or none may be there."""
    query = QueryBuilder(User, session)
    assert_type(await query.only(User.name, User.age).execute(), list[Row[Any]])
    totals = query.group_by(User.name).aggregate(total=func.sum(User.age))
    assert_type(await totals.execute(), list[Row[Any]])
    assert_type(await totals.first(), Row[Any] | None)


async def repositories(engine: AndamiosEngine, session: AsyncSession) -> None:
    """A repository gives its model, with a subclass and without one."""
    users = UserRepository(engine)
    assert_type(await users.get_by_id(1), User | None)
    assert_type(await users.get_one(1), User)
    assert_type(await users.get_many([1, 2]), list[User])
    assert_type(await users.find_one({"name": "x"}), User | None)
    assert_type(await users.list(), list[User])
    assert_type(await users.adults(), list[User])
    assert_type(await users.create(User(name="x")), User)
    assert_type(await users.update(User(name="x")), User)
    assert_type(await users.delete(1), bool)
    assert_type(await users.create_many([{"name": "x"}]), int)
    assert_type(await users.create_many([{"name": "x"}], returning="entities"), list[User])
    assert_type(await users.create_many([{"name": "x"}], returning="keys"), list[Any])
    assert_type(await users.upsert({"name": "x"}, on=["name"]), User)
    assert_type(await users.upsert_many([{"name": "x"}], on=[User.name]), int)
    assert_type(await users.get_or_create({"name": "x"}, {"age": 3}), tuple[User, bool])
    assert_type(await users.update_or_create({"name": "x"}, {"age": 3}), tuple[User, bool])
    assert_type(await users.update_where({"name": "x"}, {"age": 3}), int)
    assert_type(await users.delete_where({"name": "x"}), int)
    assert_type(await users.lock({"name": "x"}, limit=1), list[User])
    assert_type(await users.restore(1), bool)
    assert_type(users.query(), QueryBuilder[User])
    assert_type(users.stream(), AsyncGenerator[User, None])
    audited = AuditedRepository[User](session)
    assert_type(await audited.history(1), list[Change])
    assert_type(await audited.as_of(dt.datetime.now(dt.UTC)), list[User])
    assert_type(await audited.revert(1, 2), User)
    posts = GenericRepository[Post](session)
    assert_type(await posts.get_by_id(1), Post | None)
    assert_type(await ReadOnlyRepository[Post]().list(), list[Post])


async def sessions(engine: AndamiosEngine) -> None:
    """The session of a block is ours."""
    async with engine.session(read_only=True) as session:
        assert_type(session, AsyncSession)
