"""
The architecture that was asked for, each of its samples as a user would type it.

Where the samples only declare a class, its methods are called with the arguments that the
declaration has.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
from typing import TYPE_CHECKING

import pytest
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel as PydanticModel
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column, relationship
from tenacity import stop_after_attempt, wait_exponential, wait_none

import andamios
from andamios import (
    ENGINE_CONFIG,
    AndamiosEngine,
    AsyncSession,
    AuditMixin,
    BaseModel,
    BaseRepository,
    ConnectionFailedError,
    ConnectionManager,
    FilterBuilder,
    GenericRepository,
    IRepository,
    QueryBuilder,
    QueryOptimizer,
    QueryPlan,
    ReadOnlyError,
    ReadOnlyRepository,
    SessionManager,
    SoftDeleteModel,
    StaleVersionError,
    TimestampedModel,
    VersioningMixin,
)
from andamios.caching import CacheManager
from andamios.integrations.fastapi import FastAPIIntegration
from andamios.integrations.pydantic import PydanticModelAdapter
from andamios.migrations import MigrationManager, SchemaVersion
from andamios.monitoring import HealthChecker, HealthStatus, MetricsCollector, PoolHealth
from andamios.resilience import ConnectionResilience, TransactionManager
from andamios.security import AuditLogger
from harness.databases import TestDatabaseManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class User(AuditMixin, VersioningMixin, TimestampedModel):
    __tablename__ = "arch_user"

    email: Mapped[str] = mapped_column(unique=True)
    age: Mapped[int]
    is_active: Mapped[bool] = mapped_column(default=True)
    last_login: Mapped[dt.datetime | None]
    profile: Mapped[Profile | None] = relationship(back_populates="user")


class Profile(SoftDeleteModel):
    __tablename__ = "arch_profile"

    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    city: Mapped[str]
    user: Mapped[User] = relationship(back_populates="profile")


class UserRepository(GenericRepository[User]):
    """User-specific repository with custom methods."""

    async def find_by_email(self, email: str) -> User | None:
        """Find user by email address."""
        return await self.find_one({"email": email})

    async def get_active_users(self) -> list[User]:
        """Get all active users."""
        return await self.list({"is_active": True})

    async def update_last_login(self, user_id: int) -> None:
        """Update user's last login timestamp."""
        await self.update_where({"id": user_id}, {"last_login": dt.datetime.now(dt.UTC)})


def people(count: int) -> list[User]:
    return [
        User(
            email=f"u{number}@example.org",
            age=10 + number,
            is_active=number % 2 == 0,
            profile=Profile(city="Lima"),
        )
        for number in range(count)
    ]


@pytest.fixture
async def db_session(test_database: str) -> AsyncIterator[AsyncSession]:
    """Provide clean database session for tests."""
    async with AsyncSession(test_database) as session:
        yield session
        await session.rollback()


@pytest.fixture
async def user_repository(db_session: AsyncSession) -> UserRepository:
    """Provide user repository for tests."""
    return UserRepository(db_session)


async def test_core_classes(engine: AndamiosEngine) -> None:
    """Engine, connections and session work together."""
    async with AsyncSession(engine) as session:
        assert 0 == len(list(await session.scalars(select(User))))
    assert await ConnectionManager(engine).validate()


async def test_model_classes(engine: AndamiosEngine) -> None:
    """The bases and mixins do what their one sentence says."""
    with andamios.acting_as("ana"):
        async with engine.session() as session:
            session.add(user := people(1)[0])
    profile = user.profile

    assert issubclass(TimestampedModel, BaseModel)
    assert issubclass(SoftDeleteModel, TimestampedModel)
    assert (dt.UTC, "ana", 1) == (user.created_at.tzinfo, user.created_by, user.version)
    assert await GenericRepository[Profile](engine).delete(profile.id)
    assert None is await GenericRepository[Profile](engine).get_by_id(profile.id)


async def test_optimistic_locking(engine: AndamiosEngine) -> None:
    """Who changes what somebody else has changed meanwhile is told so."""
    users = UserRepository(engine)
    mine = await users.create(people(1)[0])
    theirs = await users.get_one(mine.id)
    theirs.age = 50
    await users.update(theirs)
    mine.age = 60
    with pytest.raises(StaleVersionError):
        await users.update(mine)


async def test_repository_classes(engine: AndamiosEngine) -> None:
    """Generic repositories write, read-only ones do not."""
    assert issubclass(GenericRepository, BaseRepository)
    assert issubclass(BaseRepository, IRepository)
    with pytest.raises(ReadOnlyError):
        await ReadOnlyRepository[User](engine).create(people(1)[0])


async def test_repository_interface(engine: AndamiosEngine) -> None:
    """The five methods of the interface, with its arguments."""
    users: IRepository[User] = UserRepository(engine)
    user = await users.create(people(1)[0])
    user.age = 33
    await users.update(user)

    assert 33 == (await users.get_by_id(id=user.id)).age
    assert [user.id] == [each.id for each in await users.list(filters={"age": 33})]
    assert [user.id] == [each.id for each in await users.list()]


def test_the_interface_is_abstract() -> None:
    """Nobody makes one without its methods."""
    names = {"get_by_id", "create", "update", "delete", "list"}
    assert names == set(IRepository.__abstractmethods__)


def test_uvloop_runs_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is uvloop's without a word about it."""
    monkeypatch.delenv("ANDAMIOS_UVLOOP", raising=False)

    async def kind() -> type:
        return type(asyncio.get_running_loop())

    assert uvloop.Loop is andamios.run(kind())


async def test_session_manager(engine: AndamiosEngine) -> None:
    """Entering gives a session; leaving commits, or rolls back what failed."""
    async with SessionManager(engine.async_engine) as session:
        assert isinstance(session, AsyncSession)
        session.add(people(1)[0])

    async def fail() -> None:
        async with SessionManager(engine.async_engine) as session:
            session.add(people(2)[1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert 1 == await UserRepository(engine).count()


async def test_specialized_repository(user_repository: UserRepository) -> None:
    """A repository with methods of its own, in the session of the fixture."""
    for user in people(4):
        await user_repository.create(user)
    found = await user_repository.find_by_email("u1@example.org")
    await user_repository.update_last_login(found.id)
    found = await user_repository.find_by_email("u1@example.org")

    assert {"u0@example.org", "u2@example.org"} == {
        user.email for user in await user_repository.get_active_users()
    }
    assert dt.timedelta(minutes=1) > dt.datetime.now(dt.UTC) - found.last_login


async def test_nothing_of_the_fixture_stays(user_repository: UserRepository) -> None:
    """The session of the fixture is rolled back, so that the next test begins with nothing."""
    assert 0 == await user_repository.count()


async def test_fluent_interface(engine: AndamiosEngine) -> None:
    """The query of the example, with its conditions, join, order and limit."""
    async with engine.session() as session:
        session.add_all(people(30))
        await session.flush()
        users = await (
            QueryBuilder(User)
            .filter(User.age >= 18)
            .filter(User.is_active == True)  # noqa: E712  as it is typed
            .join(User.profile)
            .order_by(User.created_at.desc())
            .limit(10)
            .execute()
        )

    assert 10 == len(users)
    assert all(user.age >= 18 and user.is_active for user in users)


async def test_filter_builder(engine: AndamiosEngine) -> None:
    """Conditions are collected one by one."""
    await UserRepository(engine).create_many(people(10))
    builder = FilterBuilder(User)
    assert (User, []) == (builder.model, list(builder.conditions))
    builder = builder.eq("is_active", True).in_("age", [10, 12, 13]).between("age", 11, 20)

    assert 3 == len(builder.conditions)
    assert [12] == [user.age for user in await UserRepository(engine).list(builder)]


async def test_test_databases(database_server: str) -> None:
    """A database for a worker is made, is isolated, and goes again."""
    manager = TestDatabaseManager(database_server, "arch")
    url = await manager.create_test_database("w1")
    async with AndamiosEngine(url, uvloop=False) as engine:
        await engine.create_all(User)
        assert 0 == await UserRepository(engine).count()
    await manager.cleanup_test_database("w1")


def test_pool_tuning() -> None:
    """The numbers of the configuration."""
    expected = {
        "pool_size": 20,
        "max_overflow": 30,
        "pool_pre_ping": True,
        "pool_recycle": 3600,
        "echo": False,
    }
    assert expected == ENGINE_CONFIG


async def test_query_optimizer(engine: AndamiosEngine) -> None:
    """A plan, and indexes as texts."""
    await UserRepository(engine).create_many(people(50))
    query = QueryBuilder(User, engine).filter(User.age == 12)
    optimizer = QueryOptimizer(engine)

    assert isinstance(await optimizer.analyze_query(query), QueryPlan)
    assert all(isinstance(index, str) for index in await optimizer.suggest_indexes(query))


async def test_cache(redis_database: str) -> None:
    """A result is kept on both levels, and found by another process's manager."""
    async with CacheManager(redis_database) as first, CacheManager(redis_database) as second:
        assert None is await first.get_cached_result("users:7")
        await first.set_cached_result("users:7", {"age": 12}, 60)
        assert {"age": 12} == await first.get_cached_result("users:7")
        assert {"age": 12} == await second.get_cached_result("users:7")


async def test_migrations(tmp_path: Path) -> None:
    """Migrations are generated, applied and rolled back, and the version follows."""
    async with AndamiosEngine(f"sqlite:///{tmp_path}/app.db", uvloop=False) as engine:
        migrations = MigrationManager(engine, tmp_path / "migrations", metadata=User)
        version = SchemaVersion(engine, tmp_path / "migrations")
        revision = await migrations.generate_migration("users")
        await migrations.apply_migrations()
        assert revision == await version.get_current_version()
        assert await version.validate_compatibility(target_version=revision)
        await migrations.rollback_migration("base")
        assert revision != await version.get_current_version()


async def test_connection_resilience() -> None:
    """An operation is repeated as tenacity's words say; three attempts are the default."""
    calls: list[int] = []

    async def operation() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionFailedError("gone")
        return "done"

    resilience = ConnectionResilience(stop=stop_after_attempt(3), wait=wait_none())
    assert "done" == await resilience.execute_with_retry(operation)
    assert ConnectionResilience(wait=wait_exponential(multiplier=1, min=4, max=10))


async def test_transactions(engine: AndamiosEngine) -> None:
    """Operations happen together or not at all; a savepoint undoes its part alone."""
    transactions = TransactionManager(engine)

    async def add(session: AsyncSession) -> None:
        session.add(people(1)[0])

    async def fail(_session: AsyncSession) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await transactions.execute_in_transaction([add, fail])
    assert 0 == await UserRepository(engine).count()
    await transactions.execute_in_transaction([add])
    async with engine.session() as session:
        session.add(people(2)[1])
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  the sample
            async with await transactions.savepoint("risky"):
                session.add(people(3)[2])
                await session.flush()
                raise ZeroDivisionError
    assert 2 == await UserRepository(engine).count()


async def test_metrics(engine: AndamiosEngine) -> None:
    """Durations and pool statistics can be handed in."""
    collector = MetricsCollector(engine)
    await collector.track_query_performance("SELECT 1", 0.25)
    await collector.track_connection_usage({"size": 5, "idle": 1, "in_use": 4, "overflow": 0})

    assert b"0.25" in collector.render()


async def test_health(engine: AndamiosEngine) -> None:
    """Both checks give their own kind of result."""
    checker = HealthChecker(engine)
    status = await checker.check_database_connectivity()
    pool = await checker.check_pool_health()

    assert (HealthStatus, PoolHealth) == (type(status), type(pool))
    assert status.is_healthy
    assert pool.is_healthy


async def test_fastapi(engine: AndamiosEngine) -> None:
    """Dependencies for repositories, and the life of the app."""
    integration = FastAPIIntegration(engine)
    dependencies = integration.create_repository_dependencies()
    app = FastAPI(lifespan=integration.lifespan_handler)

    assert UserRepository in dependencies
    assert inspect.signature(integration.lifespan_handler).parameters.keys() == {"app"}
    async with integration.lifespan_handler(app):
        assert 0 == await UserRepository(engine).count()


async def test_pydantic(engine: AndamiosEngine) -> None:
    """An entity becomes a pydantic model and back."""
    adapter = PydanticModelAdapter(User)
    user = await UserRepository(engine).create(User(email="a@example.org", age=3))
    model = adapter.to_pydantic(user)
    again = adapter.from_pydantic(adapter.create_schema(email="b@example.org", age=4))

    assert isinstance(model, PydanticModel)
    assert ("a@example.org", 3) == (model.email, model.age)
    assert (User, "b@example.org", 4) == (type(again), again.email, again.age)


async def test_audit_log(engine: AndamiosEngine) -> None:
    """Access is logged, and the log can be verified."""
    logger = AuditLogger(engine)
    await engine.drop_all(logger.metadata)  # a trail of another test, sealed with another key
    await logger.create_tables()
    await logger.log_data_access("ana", "users", "read")
    await logger.seal()

    assert (await logger.verify()).is_intact
    await engine.drop_all(logger.metadata)


@pytest.mark.parametrize(
    "text",
    ["'; DROP TABLE arch_user; --", "' OR '1'='1", "\\'; SELECT 1", "%", "x' UNION SELECT 1"],
)
async def test_no_injection(engine: AndamiosEngine, text: str) -> None:
    """Text of a user is a value wherever it is written, and never SQL."""
    users = UserRepository(engine)
    await users.create_many(people(3))

    assert [] == await users.list({"email": text})
    assert [] == await users.list(FilterBuilder(User).contains("email", text))
    assert 3 == await users.count()
