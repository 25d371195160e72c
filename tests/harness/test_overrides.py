"""Fixtures that a project redefines, and the cache that is made of several of them."""

import pytest
from redis.asyncio import Redis

from andamios import AndamiosEngine, GenericRepository
from andamios.caching import CacheManager
from harness.conformance.models import ConformanceTicket, db_metadata
from tests.harness.inner import LOOP_SCOPE, run_pytest

__all__ = ["db_metadata"]

SETTINGS = f"asyncio_mode = auto\n{LOOP_SCOPE}"


def test_model_base_and_engine_options(pytester: pytest.Pytester) -> None:
    """The tables are those of the base, and the engine is made with the options."""
    result = run_pytest(
        pytester,
        """
        import pytest
        from sqlalchemy import inspect
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

        class Base(DeclarativeBase):
            pass

        class Plant(Base):
            __tablename__ = "plant"
            id: Mapped[int] = mapped_column(primary_key=True)

        @pytest.fixture(scope="session")
        def model_base():
            return Base

        @pytest.fixture
        def engine_options():
            return {"pool_size": 2}

        @pytest.mark.isolation("committing")
        async def test_it(engine):
            assert 2 == engine.connections.stats().size
            async with engine.connections.acquire() as connection:
                names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
            assert ["plant"] == names
        """,
        settings=SETTINGS,
    )

    result.assert_outcomes(passed=1)


def test_options_of_services(pytester: pytest.Pytester) -> None:
    """Each service has a fixture of its own; what is not redefined is as usual."""
    result = run_pytest(
        pytester,
        """
        import pytest
        from harness import ServiceOptions

        @pytest.fixture(scope="session")
        def postgresql_options():
            return ServiceOptions(settings={"jit": "off"})

        @pytest.fixture(scope="session")
        def mysql_options():
            return ServiceOptions(version="8.4")

        @pytest.fixture(scope="session")
        def mariadb_options():
            return ServiceOptions(image="mariadb:11.8")

        def test_it(service_options, postgresql_options, mysql_options, mariadb_options):
            assert {
                "postgresql": postgresql_options,
                "mysql": mysql_options,
                "mariadb": mariadb_options,
                "redis": ServiceOptions(),
            } == service_options
            assert 4 == len({options.key for options in service_options.values()})
        """,
    )

    result.assert_outcomes(passed=1)


@pytest.mark.isolation("rolled_back")
class TestCacheManager:
    """A cache that knows what is written, also where every commit is a savepoint."""

    async def test_knows_writes(
        self, engine: AndamiosEngine, cache_manager: CacheManager, redis_client: Redis
    ) -> None:
        """What was read comes from Redis, until somebody commits."""
        tickets = GenericRepository[ConformanceTicket](engine)
        cached = tickets.query().cached(ttl=60)
        assert 0 == await cached.count()
        assert 0 == await cached.count()
        assert (1, await redis_client.dbsize() > 0) == (cache_manager.stats().hits, True)
        await tickets.create(ConformanceTicket(code="new"))

        assert 1 == await cached.count()

    async def test_is_empty(self, engine: AndamiosEngine, cache_manager: CacheManager) -> None:
        """The next test finds nothing of it."""
        cached = GenericRepository[ConformanceTicket](engine).query().cached(ttl=60)

        assert (0, 0) == (await cached.count(), cache_manager.stats().hits)
