"""Scenarios of the parts above repositories: cache, migrations, resilience and so on."""

import asyncio
import shutil
from typing import Any

import httpx
import sqlalchemy as sa
from fastapi import FastAPI
from tenacity import wait_none

from andamios import AndamiosEngine, ConnectionFailedError, DeadlockError, GenericRepository
from andamios.integrations.fastapi import CursorParameters, FastAPIIntegration, PageParameters
from andamios.migrations import MigrationManager, SchemaVersion
from andamios.migrations.locks import alembic_alone, only_deployer
from andamios.monitoring import HealthChecker, MetricsCollector
from andamios.resilience import CircuitBreaker, ConnectionResilience, TransactionManager
from andamios.security import AuditLogger
from tests.cancellation.models import SweepPort
from tests.cancellation.table import scenario
from tests.cancellation.world import CALLAO, LIMA, World

LOOK = sa.select(SweepPort.code)


def new() -> SweepPort:
    """Make a row that is not there."""
    return SweepPort(code="new", size=9)


def _own_engine(world: World) -> AndamiosEngine:
    return AndamiosEngine(world.engine.url, uvloop=False, pool_size=2)


# -- the cache


CACHED: dict[str, Any] = {
    "get_by_id": lambda ports: ports.get_by_id(LIMA),
    "get_one": lambda ports: ports.get_one(LIMA),
    "find_one": lambda ports: ports.find_one({"code": "lima"}),
    "list": lambda ports: ports.list(),
    "count": lambda ports: ports.count(),
    "exists": lambda ports: ports.exists({"code": "lima"}),
    "create": lambda ports: ports.create(new()),
    "delete": lambda ports: ports.delete(CALLAO),
}


async def _voided(world: World) -> None:
    await world.caching.clear()


for _name, _call in CACHED.items():
    scenario(f"CachedRepository.{_name}", "watched", prepare=_voided)(
        lambda world, call=_call: call(world.caching.repository(world.ports))  # type: ignore[misc]
    )


@scenario("CachedRepository.update", "watched", prepare=_voided)
async def cached_update(world: World) -> None:
    """Change what was read through the cache."""
    ports = world.caching.repository(world.ports)
    port = await ports.get_one(LIMA)
    port.size = 70
    await ports.update(port)


@scenario("CachedRepository.list in a session", "watched", prepare=_voided)
async def cached_in_session(world: World) -> None:
    """Read through the cache inside of a transaction."""
    async with world.engine.session() as session:
        await session.execute(LOOK)
        await world.caching.repository(GenericRepository[SweepPort](session)).list()


@scenario("CacheManager.get_or_load", "watched", prepare=_voided)
async def lead(world: World) -> None:
    """Lead a load that somebody else waits for, who must get its result."""

    async def load() -> list[str]:
        async with world.engine.session(read_only=True) as session:
            return list(await session.scalars(LOOK))

    async def follow() -> None:
        try:
            await world.caching.get_or_load("ports", load, tags=["t:sweep_port"])
        except asyncio.CancelledError:
            raise RuntimeError("one who waited was cancelled") from None

    follower = asyncio.create_task(_later(follow))
    try:
        await world.caching.get_or_load("ports", load, tags=["t:sweep_port"])
    finally:
        world.kept["follower"] = follower


async def _later(work: Any) -> None:
    await asyncio.sleep(0)
    await work()


async def _stored(world: World) -> None:
    await world.caching.set_cached_result("key", "old")


@scenario("CacheManager.set_cached_result", "watched", prepare=_stored)
async def store(world: World) -> None:
    """Store over what is there."""
    await world.caching.set_cached_result("key", "new")


@scenario("CacheManager.get_cached_result", "watched", prepare=_stored)
async def look(world: World) -> None:
    """Look up what was stored."""
    await world.caching.get_cached_result("key")


@scenario("CacheManager.invalidate", "watched", prepare=_stored)
async def invalidate(world: World) -> None:
    """Make answers void."""
    await world.caching.invalidate("t:sweep_port")


@scenario("CacheManager.clear", "watched", prepare=_stored)
async def clear(world: World) -> None:
    """Make all answers void."""
    await world.caching.clear()


@scenario(
    "CacheManager.__aexit__",
    "watched",
    also=("CacheManager.__aenter__", "CacheManager.open", "CacheManager.close"),
)
async def cache_block(world: World) -> None:
    """Open a cache of one's own, fill it and close it."""
    async with _own_engine(world) as engine, world.kept["new_cache"]() as cache:
        cache.watch(engine, namespace="own")
        ports = GenericRepository[SweepPort](engine)
        await cache.repository(ports).list()
        await ports.create(new())


# -- resilience


@scenario("ConnectionResilience.execute_with_retry", "engine")
async def retry(world: World) -> None:
    """Succeed at the second attempt."""
    attempts = iter((1, 2))

    async def operation() -> None:
        async with world.engine.session() as session:
            session.add(new())
            await session.flush()
            if next(attempts) == 1:
                raise ConnectionFailedError("the first attempt")

    await ConnectionResilience(world.engine, wait=wait_none()).execute_with_retry(operation)


async def _opened(world: World) -> None:
    async def fail() -> None:
        raise ConnectionRefusedError

    breaker = world.kept["breaker"] = CircuitBreaker(failures=1, reset_after=0)
    await asyncio.gather(breaker.call(fail), return_exceptions=True)


async def _lets_pass(world: World) -> None:
    await world.kept["breaker"].call(lambda: asyncio.sleep(0))


@scenario("CircuitBreaker.call", "engine", prepare=_opened, check=_lets_pass)
async def breaker_trial(world: World) -> None:
    """Make the trial call of a breaker that is half open."""
    await world.kept["breaker"].call(world.ports.list)


async def _create(session: Any) -> None:
    session.add(new())
    await session.flush()


@scenario("TransactionManager.execute_in_transaction", "engine", "watched")
async def in_transaction(world: World) -> None:
    """Do two things in one transaction."""

    async def read(session: Any) -> None:
        await session.execute(LOOK)

    await TransactionManager(world.engine).execute_in_transaction([_create, read])


@scenario("TransactionManager.run", "engine", "watched")
async def run(world: World) -> None:
    """Commit at the second attempt, within a deadline."""
    attempts = iter((1, 2))

    async def work(session: Any) -> None:
        await _create(session)
        if next(attempts) == 1:
            raise DeadlockError("the first attempt")

    await TransactionManager(world.engine).run(work, deadline=30)


@scenario("TransactionManager.prepare", "empty")
async def prepare(world: World) -> None:
    """Create the table of commit markers."""
    await TransactionManager(world.engine).prepare()


async def _is_free(world: World) -> None:
    async with TransactionManager(world.engine).lock("sweep", timeout=2):
        pass


@scenario("TransactionManager.lock", "engine", check=_is_free)
async def locked(world: World) -> None:
    """Hold a lock by name, and wait with it."""
    async with TransactionManager(world.engine).lock("sweep", timeout=2):
        await asyncio.sleep(0)


@scenario("SavepointContext.__aexit__", "engine", "session", also=("SavepointContext.__aenter__",))
async def savepoint(world: World) -> None:
    """Keep what a savepoint held."""
    await _in_session(world, _keep_savepoint)


@scenario(
    "SavepointContext.rollback",
    "engine",
    "session",
    also=("SavepointContext.__await__", "SavepointContext.release"),
)
async def savepoint_undone(world: World) -> None:
    """Undo what a savepoint held."""
    await _in_session(world, _undo_savepoint)


async def _keep_savepoint(world: World, session: Any) -> None:
    async with TransactionManager(world.engine).savepoint("part", session=session):
        await _create(session)
        await asyncio.sleep(0)


async def _undo_savepoint(world: World, session: Any) -> None:
    savepoint = await TransactionManager(world.engine).savepoint("part", session=session)
    await _create(session)
    await savepoint.rollback()
    other = await TransactionManager(world.engine).savepoint("other", session=session)
    await _create(session)
    await other.release()


async def _in_session(world: World, work: Any) -> None:
    if world.session is not None:
        await work(world, world.session)
        return
    async with world.engine.session() as session:
        await work(world, session)


# -- monitoring


@scenario("HealthChecker.check_database_connectivity", "engine")
async def health_database(world: World) -> None:
    """Ask the database whether it is there."""
    await HealthChecker(world.engine).check_database_connectivity()


@scenario("HealthChecker.check_pool_health", "engine")
async def health_pool(world: World) -> None:
    """Look at a pool of which all is in use."""
    async with world.engine.connections.acquire(), world.engine.connections.acquire():
        await HealthChecker(world.engine, timeout=0.02).check_pool_health()


@scenario("HealthChecker.check_all", "engine")
async def health_all(world: World) -> None:
    """Run all checks at once."""
    await HealthChecker(world.engine).check_all()


@scenario("MetricsCollector.track_query_performance", "engine")
async def track_query(world: World) -> None:
    """Count a statement, while the collector listens to the engine."""
    with MetricsCollector(world.engine) as collector:
        await collector.track_query_performance("SELECT 1", 0.1)
        await world.ports.create(new())


@scenario("MetricsCollector.track_connection_usage", "engine")
async def track_pool(world: World) -> None:
    """Remember a pool's use, while the collector listens to the engine."""
    with MetricsCollector(world.engine) as collector:
        await collector.track_connection_usage({"in_use": 1, "size": 2})
        async with world.engine.session() as session:
            await session.execute(LOOK)


# -- integrations


@scenario("FastAPIIntegration.lifespan_handler", "engine")
async def lifespan(world: World) -> None:
    """Start and end an application."""
    async with FastAPIIntegration(_own_engine(world)).lifespan_handler(FastAPI()):
        await asyncio.sleep(0)


@scenario("FastAPIIntegration.create_repository_dependencies", "engine")
async def request(world: World) -> None:
    """Answer a request that writes, for a client that goes away."""
    transport = httpx.ASGITransport(_app(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answer = await client.post("/ports/new")
        assert answer.status_code == 200, answer.text


def _app(world: World) -> FastAPI:
    if "app" not in world.kept:
        integration = FastAPIIntegration(world.engine)
        app = world.kept["app"] = FastAPI()
        integration.install(app)
        repository = GenericRepository[SweepPort]
        given = integration.create_repository_dependencies(repository)[repository]

        async def post(code: str, ports: Any = given) -> str:
            return str((await ports.create(SweepPort(code=code, size=9))).code)

        app.post("/ports/{code}")(post)
    app = world.kept["app"]
    assert isinstance(app, FastAPI)
    return app


@scenario("PageParameters.of", "engine", "session")
async def page(world: World) -> None:
    """Give the page that a request asks for."""
    await PageParameters(1, 2).of(world.ports)


@scenario("CursorParameters.of", "engine", "session")
async def cursor_page(world: World) -> None:
    """Give the page at a cursor."""
    await CursorParameters(None, 2).of(world.ports)


# -- the audit trail


def _audit(world: World) -> AuditLogger:
    return AuditLogger(world.engine, key="key")


async def _trail(world: World) -> None:
    await _audit(world).create_tables()


async def _filled_trail(world: World) -> None:
    await _trail(world)
    async with world.engine.session(read_only=True) as session:
        if await session.scalar(sa.text("SELECT count(*) FROM andamios_audit_log")):
            return
    for number in range(3):
        await _audit(world).log_data_access("ana", "ports", "read", row=number)


async def _sealed_trail(world: World) -> None:
    await _filled_trail(world)
    await _audit(world).seal()


@scenario("AuditLogger.create_tables", "empty", has_ddl=True)
async def audit_tables(world: World) -> None:
    """Create the tables of a trail."""
    await _audit(world).create_tables()


@scenario("AuditLogger.log_data_access", "empty", prepare=_trail)
async def audit_log(world: World) -> None:
    """Add a row."""
    await _audit(world).log_data_access("ana", "ports", "read", row=7)


@scenario("AuditLogger.seal", "empty", prepare=_filled_trail, is_whole=False)
async def audit_seal(world: World) -> None:
    """Seal rows: first the chain is begun, then each batch is a transaction."""
    await _audit(world).seal()
    assert (await _audit(world).verify()).is_intact


@scenario("AuditLogger.verify", "empty", prepare=_sealed_trail)
async def audit_verify(world: World) -> None:
    """Compute the chain again."""
    assert (await _audit(world).verify()).is_intact


# -- migrations


SCRIPT = '''\
"""Step one."""
import sqlalchemy as sa
from alembic import op
revision = "one"
down_revision = None
def upgrade():
    op.create_table("sweep_moved", sa.Column("id", sa.Integer, primary_key=True))
def downgrade():
    op.drop_table("sweep_moved")
'''

MOVED = sa.MetaData()
sa.Table("sweep_moved", MOVED, sa.Column("id", sa.Integer, primary_key=True))


def _migrations(world: World) -> MigrationManager:
    return MigrationManager(world.engine, world.directory, metadata=MOVED)


def _write(world: World, *, script: bool) -> None:
    shutil.rmtree(world.directory, ignore_errors=True)
    if script:
        (world.directory / "versions").mkdir(parents=True)
        (world.directory / "versions" / "one.py").write_text(SCRIPT, "utf-8")


async def _no_script(world: World) -> None:
    await asyncio.to_thread(_write, world, script=False)


async def _script(world: World) -> None:
    await asyncio.to_thread(_write, world, script=True)


async def _migrated(world: World) -> None:
    await _script(world)
    await _migrations(world).apply_migrations()


async def _can_migrate(world: World) -> None:
    # Nobody holds a lock that belonged to who was cancelled.
    async with asyncio.timeout(5), only_deployer(world.engine, 4), alembic_alone():
        pass


MIGRATING: dict[str, Any] = {
    "apply_migrations": (_script, lambda manager: manager.apply_migrations()),
    "check": (_migrated, lambda manager: manager.check()),
    "history": (_migrated, lambda manager: manager.history()),
    "lint": (_script, lambda manager: manager.lint()),
    "rollback_migration": (_migrated, lambda manager: manager.rollback_migration("base")),
    "sql": (_script, lambda manager: manager.sql()),
    "stamp": (_script, lambda manager: manager.stamp("head")),
}

HAVE_DDL = {"apply_migrations", "rollback_migration", "stamp"}

for _name, (_prepare, _call) in MIGRATING.items():
    scenario(
        f"MigrationManager.{_name}",
        "empty",
        prepare=_prepare,
        check=_can_migrate,
        has_ddl=_name in HAVE_DDL,
    )(lambda world, call=_call: call(_migrations(world)))  # type: ignore[misc]


@scenario("MigrationManager.generate_migration", "empty", prepare=_no_script)
async def generate(world: World) -> None:
    """Write a script."""
    await _migrations(world).generate_migration("moved")


VERSIONS: dict[str, Any] = {
    "get_current_version": lambda version, _: version.get_current_version(),
    "validate_compatibility": lambda version, _: version.validate_compatibility("head"),
    "incompatibilities": lambda version, _: version.incompatibilities("head"),
    "compare": lambda version, world: version.compare({"here": world.engine}),
}

for _name, _call in VERSIONS.items():
    scenario(f"SchemaVersion.{_name}", "empty", prepare=_migrated)(
        lambda world, call=_call: call(  # type: ignore[misc]
            SchemaVersion(world.engine, world.directory, metadata=MOVED), world
        )
    )
