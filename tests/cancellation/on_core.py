"""Scenarios of engines, connections and sessions."""

import asyncio
from typing import Any

import sqlalchemy as sa

from andamios import AndamiosEngine, AsyncSession, GenericRepository, HealthMonitor
from tests.cancellation.models import SweepPort
from tests.cancellation.table import scenario
from tests.cancellation.world import CALLAO, LIMA, PAITA, World

LOOK = sa.select(SweepPort)


def new() -> SweepPort:
    """Make a row that is not there."""
    return SweepPort(code="new", size=9)


# -- a session that is passed in

OF_SESSIONS: dict[str, Any] = {
    "aclose": lambda session: session.aclose(),
    "close": lambda session: session.close(),
    "commit": lambda session: session.commit(),
    "connection": lambda session: session.connection(),
    "execute": lambda session: session.execute(LOOK),
    "flush": lambda session: session.flush(),
    "get": lambda session: session.get(SweepPort, LIMA),
    "get_one": lambda session: session.get_one(SweepPort, LIMA),
    "invalidate": lambda session: session.invalidate(),
    "merge": lambda session: session.merge(SweepPort(id=LIMA, size=7)),
    "merge_all": lambda session: session.merge_all([SweepPort(id=LIMA, size=7)]),
    "reset": lambda session: session.reset(),
    "rollback": lambda session: session.rollback(),
    "run_sync": lambda session: session.run_sync(lambda sync: sync.scalars(LOOK).all()),
    "scalar": lambda session: session.scalar(LOOK),
    "scalars": lambda session: session.scalars(LOOK),
}


def _after_write(call: Any) -> Any:
    async def work(world: World) -> None:
        # In a transaction that has written, and with more that waits.
        world.given.add(new())
        await world.given.flush()
        world.given.add(SweepPort(code="newer", size=9))
        await call(world.given)

    return work


for _name, _call in OF_SESSIONS.items():
    scenario(f"AsyncSession.{_name}", "session")(_after_write(_call))


@scenario("AsyncSession.delete", "session")
async def session_delete(world: World) -> None:
    """Delete an object and commit."""
    await world.given.delete(await world.given.get_one(SweepPort, PAITA))
    await world.given.commit()


@scenario("AsyncSession.delete_all", "session")
async def session_delete_all(world: World) -> None:
    """Delete objects and commit."""
    await world.given.delete_all(await world.ports.get_many([CALLAO, PAITA]))
    await world.given.commit()


@scenario("AsyncSession.refresh", "session")
async def session_refresh(world: World) -> None:
    """Read an object again."""
    await world.given.refresh(await world.given.get_one(SweepPort, LIMA))


@scenario("AsyncSession.stream", "session")
async def session_stream(world: World) -> None:
    """Wait between rows."""
    async for _ in await world.given.stream(LOOK):
        await asyncio.sleep(0)


@scenario("AsyncSession.stream_scalars", "session")
async def session_stream_scalars(world: World) -> None:
    """Wait between objects."""
    async for _ in await world.given.stream_scalars(LOOK):
        await asyncio.sleep(0)


@scenario("AsyncSession.begin", "session")
async def session_begin(world: World) -> None:
    """Commit at the end of a block."""
    async with world.given.begin():
        world.given.add(new())
        await asyncio.sleep(0)


@scenario("AsyncSession.begin_nested", "session")
async def session_begin_nested(world: World) -> None:
    """Write in a savepoint, and wait in it."""
    async with world.given.begin_nested():
        world.given.add(new())
        await world.given.flush()
        await asyncio.sleep(0)
    await world.given.commit()


# -- sessions of one's own


@scenario("SessionManager.__aexit__", "engine", "watched", "heard")
async def block(world: World) -> None:
    """Write in a block, and wait in it."""
    async with world.engine.session() as session:
        session.add(new())
        await session.flush()
        await asyncio.sleep(0)
        session.add(SweepPort(code="newer", size=9))


@scenario("SessionManager.__aenter__", "engine")
async def block_current(world: World) -> None:
    """Use the session of this task."""
    async with world.engine.session():
        ports = GenericRepository[SweepPort]()
        await ports.create(new())
        await ports.list()


@scenario("SessionManager.__aexit__ read only", "engine")
async def block_reading(world: World) -> None:
    """Read in a block."""
    async with world.engine.session(read_only=True) as session:
        await session.execute(LOOK)


@scenario("SessionManager.__aexit__ serializable", "engine")
async def block_serializable(world: World) -> None:
    """Write at another isolation level."""
    async with world.engine.session(isolation="SERIALIZABLE") as session:
        session.add(new())


@scenario("AsyncSession.__aexit__", "engine")
async def own_session(world: World) -> None:
    """Commit by hand."""
    async with AsyncSession(world.engine) as session:
        session.add(new())
        await session.commit()
        await session.execute(LOOK)


@scenario("AsyncSession.__aenter__", "engine")
async def session_of_url(world: World) -> None:
    """Connect with a session that has an engine of its own."""
    async with AsyncSession(world.engine.url) as session:
        await session.execute(LOOK)


# -- connections


@scenario("ConnectionManager.acquire", "engine")
async def acquire(world: World) -> None:
    """Write on a bare connection."""
    async with world.engine.connections.acquire() as connection, connection.begin():
        await connection.execute(sa.insert(SweepPort), {"code": "new", "size": 9})
        await asyncio.sleep(0)


@scenario("ConnectionManager.acquire twice", "engine")
async def acquire_two(world: World) -> None:
    """Have two connections, which is all there are."""
    connections = world.engine.connections
    async with connections.acquire() as one, connections.acquire() as other:
        for each in (one, other):
            await each.execution_options(andamios_read_only=True)
            await each.execute(sa.text("SELECT 1"))


@scenario("ConnectionManager.acquire in line", "engine")
async def acquire_in_line(world: World) -> None:
    """Wait for a connection that somebody else has."""
    taken = asyncio.Event()

    async def hold() -> None:
        async with world.engine.connections.acquire(), world.engine.connections.acquire():
            taken.set()
            await asyncio.sleep(0.002)

    holder = asyncio.create_task(hold())
    try:
        await taken.wait()
        async with world.engine.connections.acquire() as connection:
            await connection.execute(sa.text("SELECT 1"))
    finally:
        await asyncio.wait([holder])


@scenario("BaseRepository.get_by_id in line", "engine")
async def read_in_line(world: World) -> None:
    """Wait for a connection on the short way."""
    taken = asyncio.Event()

    async def hold() -> None:
        async with world.engine.connections.acquire(), world.engine.connections.acquire():
            taken.set()
            await asyncio.sleep(0.002)

    holder = asyncio.create_task(hold())
    try:
        await taken.wait()
        await world.ports.get_by_id(LIMA)
    finally:
        await asyncio.wait([holder])


async def _shrunk(world: World) -> None:
    await world.engine.connections.resize(2, 0)
    async with world.engine.connections.acquire(), world.engine.connections.acquire():
        pass


@scenario("ConnectionManager.resize", "engine", prepare=_shrunk)
async def resize(world: World) -> None:
    """Shrink a pool whose connections are there, and let it grow again."""
    try:
        await world.engine.connections.resize(1)
    finally:
        await world.engine.connections.resize(2)


@scenario("ConnectionManager.validate", "engine")
async def validate(world: World) -> None:
    """Ask whether the database answers."""
    await world.engine.connections.validate()


# -- engines


@scenario("AndamiosEngine.__aexit__", "engine")
async def engine_block(world: World) -> None:
    """Connect, write, and close everything."""
    async with AndamiosEngine(world.engine.url, uvloop=False, pool_size=2) as engine:
        async with engine.session() as session:
            session.add(new())
        await asyncio.sleep(0)


@scenario("AndamiosEngine.__aenter__", "engine")
async def engine_first_read(world: World) -> None:
    """Connect by reading on the short way."""
    engine = AndamiosEngine(world.engine.url, uvloop=False, pool_size=2)
    try:
        await GenericRepository[SweepPort](engine).list()
    finally:
        await engine.close()


@scenario("AndamiosEngine.open", "engine")
async def engine_open(world: World) -> None:
    """Open and close by hand."""
    engine = AndamiosEngine(world.engine.url, uvloop=False, pool_size=2)
    try:
        await engine.open()
    finally:
        await engine.close()


@scenario("AndamiosEngine.close", "engine")
async def engine_close(world: World) -> None:
    """Close an engine whose connections are there, which can be used again."""
    await world.engine.close()


@scenario("HealthMonitor.check", "engine")
async def monitor_check(world: World) -> None:
    """Look after the pool once."""
    await world.kept["monitor"].check()


@scenario("HealthMonitor.stop", "engine")
async def monitor_stop(world: World) -> None:
    """Stop a monitor in the middle of its round."""
    monitor = HealthMonitor(interval=0.001)
    engine = AndamiosEngine(world.engine.url, uvloop=False, pool_size=2, monitor=monitor)
    async with engine:
        await asyncio.sleep(0.002)
        await monitor.stop()


# -- tables


class _Extra:
    metadata = sa.MetaData()
    table = sa.Table("sweep_extra", metadata, sa.Column("id", sa.Integer, primary_key=True))


async def _extra(world: World) -> None:
    await world.engine.create_all(_Extra.metadata)


@scenario("AndamiosEngine.create_all", "empty")
async def create_all(world: World) -> None:
    """Create a table."""
    await world.engine.create_all(_Extra.metadata)


@scenario("AndamiosEngine.drop_all", "empty", prepare=_extra)
async def drop_all(world: World) -> None:
    """Drop a table."""
    await world.engine.drop_all(_Extra.metadata)
