"""
The sweep of one scenario, and what has to hold after each strike.

The rule: a call that is struck ends with the cancellation, never with another error in its
place, and has then done all of its work or none of it; or it ends as if it had not been struck,
and has then done all of it. Whichever: no connection is out, no transaction open, as many
connections as the pool may have can be taken at once, a session that was passed in can be used
after a rollback, and nothing goes on that nobody waits for.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import sqlalchemy as sa

from andamios import AndamiosEngine, AndamiosError, AsyncSession, GenericRepository
from harness.faults import Strike, cancelled_everywhere
from tests.cancellation.models import SweepPort
from tests.cancellation.table import Scenario
from tests.cancellation.world import Content, World
from tests.core.server import Server, eventually

__all__ = ["POOL_SIZE", "Surroundings", "guilty"]

POOL_SIZE = 2


class Surroundings:
    """
    What stands around a scenario, and looks at it from outside.

    Args:
        world: What the scenario is given.
        server: The server, by connections of its own.
        look: Gives what is committed.
        put_back: Makes the database what it was before the scenario.
    """

    def __init__(
        self,
        world: World,
        server: Server,
        *,
        look: Callable[[], Awaitable[Content]],
        put_back: Callable[[], Awaitable[Any]],
    ) -> None:
        self.world = world
        self._server = server
        self.look = look
        self.put_back = put_back

    async def is_quiet(self) -> bool:
        """Whether nothing is checked out, and nothing open on the server."""
        in_use = self.world.engine.connections.stats().in_use
        return 0 == in_use and 0 == await self._server.open_transactions()

    def is_to_be_whole(self, scenario: Scenario) -> bool:
        """Whether all of a scenario's effect is to be there, or none of it."""
        # MySQL commits at each CREATE and DROP.
        return scenario.is_whole and not (scenario.has_ddl and self._server.backend == "mysql")

    async def faults_of_connections(self) -> AsyncIterator[str]:
        """Look at the session that was passed in, and then at the pool."""
        async for fault in self.faults_of_session():
            yield fault
        async for fault in self.faults_of_pool():
            yield fault

    async def faults_beside(self, scenario: Scenario, now: Content) -> AsyncIterator[str]:
        """Look at the cache, and at what the scenario itself checks."""
        async for fault in self.faults_of_cache(now):
            yield fault
        if scenario.check is not None:
            try:
                await scenario.check(self.world)
            except Exception as error:  # noqa: BLE001  whatever it is
                yield f"afterwards: {error!r}"

    async def faults_of_pool(self) -> AsyncIterator[str]:
        """Look whether all connections are back and good."""
        connections = self.world.engine.connections
        if not await eventually(self.is_quiet):
            yield f"{connections.stats()}, {await self._server.open_transactions()} open there"
            return
        try:
            async with AsyncExitStack() as stack:
                for _ in range(POOL_SIZE):
                    taken = await stack.enter_async_context(connections.acquire())
                    await taken.execution_options(andamios_read_only=True)
                    await taken.execute(sa.text("SELECT 1"))
        except AndamiosError as error:
            yield f"the pool is not whole: {error!r}"

    async def faults_of_session(self) -> AsyncIterator[str]:
        """Look whether the session that was passed in can be used after a rollback."""
        session = self.world.session
        if session is None:
            return
        try:
            await session.rollback()
            await session.scalar(sa.select(sa.func.count(SweepPort.id)))
            await session.rollback()
        except Exception as error:  # noqa: BLE001  whatever it is
            yield f"the session cannot be used: {error!r}"
        await session.close()

    async def faults_of_cache(self, now: Content) -> AsyncIterator[str]:
        """Look whether the cache gives what is there."""
        if self.world.cache is None:
            return
        ports = self.world.cache.repository(GenericRepository[SweepPort](self.world.engine))
        for _ in range(2):  # from the database, or from what that left behind
            found = sorted((port.code, port.size) for port in await ports.list())
            if found != now["ports"]:
                yield f"the cache gives {found}"


async def guilty(
    scenario: Scenario, around: Surroundings, *, limit: int | None = None
) -> list[str]:
    """Cancel a scenario at its awaits, at most as many as said, and tell what it left where."""
    world, told = around.world, []
    wanted: list[Content] = []
    async with _sessions(world) as renewed:

        async def prepare() -> None:
            await renewed()
            if world.cache is not None:
                await world.cache.clear()  # of what was put back behind its back
            if scenario.prepare is not None:
                await scenario.prepare(world)

        async def work() -> None:
            await scenario.work(world)

        await prepare()
        wanted.append(await around.look())
        try:
            async for strike in cancelled_everywhere(work, limit=limit):
                faults = [*strike.faults, *[each async for each in around.faults_of_connections()]]
                now = await around.look()
                if strike.number == 0:
                    wanted.append(now)
                if around.is_to_be_whole(scenario) and now not in _allowed(strike, wanted):
                    faults.append(f"there is {_difference(wanted[0], now)}")
                faults += [each async for each in around.faults_beside(scenario, now)]
                told += [f"{strike}: {fault}" for fault in faults]
                if now != wanted[0]:
                    await around.put_back()
                await prepare()
        except AndamiosError as error:
            told.append(f"then even uncancelled: {error!r}")
    return told


def _allowed(strike: Strike, wanted: list[Content]) -> list[Content]:
    return wanted[1:] if strike.outcome == "finished" else wanted


@asynccontextmanager
async def _sessions(world: World) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Give the world a new session for each run, if it is to have one."""
    has_session = world.session is not None

    async def renew() -> None:
        if has_session:
            world.session = AsyncSession(world.engine)

    yield renew
    if world.session is not None:
        await world.session.close()


def _difference(before: Content, now: Content) -> str:
    changed = {name: rows for name, rows in now.items() if rows != before.get(name)}
    return f"half of it: {changed}"[:300]


async def tables_and_rows(engine: AndamiosEngine) -> Content:
    """Give what is in a database, whatever its tables are."""
    async with engine.connections.acquire() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        return {
            name: [tuple((await connection.execute(sa.text(f"SELECT count(*) FROM {name}"))).one())]
            for name in names
        }


async def drop_tables(engine: AndamiosEngine) -> None:
    """Make a database empty."""
    async with engine.connections.acquire() as connection, connection.begin():
        found = sa.MetaData()
        await connection.run_sync(found.reflect)
        await connection.run_sync(found.drop_all)
