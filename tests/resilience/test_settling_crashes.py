"""
Lost COMMITs of servers that crash: what was settled before is what is there afterwards.

On PostgreSQL an id that was not flushed is given out again, so that a stranger's COMMIT could
be taken for ours.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import make_url, text

from andamios import AndamiosEngine
from andamios.errors import CommitOutcomeUnknownError
from andamios.resilience import TransactionManager
from harness.services import ServiceOptions
from tests.core.server import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from andamios import AsyncSession
    from harness.faults import DatabaseFaults, Moment
    from harness.fixtures.service_faults import ServiceFaultsMaker
    from harness.fixtures.services import OptionsByService

# What is not flushed by somebody's COMMIT stays in memory for long.
SETTINGS = {"wal_writer_delay": "10s", "autovacuum": "off"}


@pytest.fixture(scope="session")
def service_options(service_options: OptionsByService) -> OptionsByService:
    """A PostgreSQL that keeps its log in memory for as long as it may."""
    return {**service_options, "postgresql": ServiceOptions(settings=SETTINGS)}


@pytest_asyncio.fixture
async def server(service_faults: ServiceFaultsMaker) -> DatabaseFaults:
    """It, which keeps its promises."""
    return await service_faults("postgresql")


@pytest_asyncio.fixture(params=["mysql", "mariadb"])
async def marking(
    request: pytest.FixtureRequest, service_faults: ServiceFaultsMaker
) -> DatabaseFaults:
    """A MySQL, and a MariaDB."""
    return await service_faults(str(request.param))


class Case:
    """One transaction whose COMMIT is cut, while the way to the server stays closed after it."""

    def __init__(self, server: DatabaseFaults, engine: AndamiosEngine) -> None:
        self._server = server
        self._proxy = server.proxy
        self._engine = engine
        self.calls = 0
        self.id = ""

    async def lose(self, moment: Moment) -> asyncio.Task[int]:
        """Run it until its COMMIT is lost."""
        lost: asyncio.Future[asyncio.Event] = asyncio.get_running_loop().create_future()

        async def work(session: AsyncSession) -> int:
            self.calls += 1
            await session.execute(text("INSERT INTO written VALUES ('ours')"))
            if self.calls == 1:
                self.id = await session.scalar(text("SELECT pg_current_xact_id()::text")) or ""
                lost.set_result(self._proxy.cut(b"COMMIT", moment))
            return self.calls

        manager = TransactionManager(self._engine)
        running = asyncio.create_task(manager.run(work, deadline=60))
        await (await lost).wait()
        await self._proxy.down()
        return running

    async def end(self, running: asyncio.Task[int]) -> int:
        """Open the way, and wait for the result."""
        await self._proxy.up()
        return await running

    async def connect(self) -> asyncpg.Connection:
        """Get in past the proxy, as who may do everything."""
        admin, database = make_url(self._server.admin_url), make_url(self._server.url).database
        url = admin.set(drivername="postgresql", database=database)
        return await asyncpg.connect(url.render_as_string(hide_password=False))

    async def crash(self) -> None:
        """Kill the process of one connection, for which the server ends all and recovers."""
        connection = await self.connect()
        number = await connection.fetchval("SELECT pg_backend_pid()")
        with suppress(asyncpg.PostgresError):
            await connection.execute(f"COPY (SELECT 1) TO PROGRAM 'kill -9 {number}'")
        connection.terminate()
        await asyncio.sleep(0.2)  # in which the server sees it
        assert await eventually(self._is_there, seconds=20)

    async def _is_there(self) -> bool:
        with suppress(asyncpg.PostgresError, OSError):
            return ["1"] == await self.ask("SELECT 1")
        return False

    async def intrude(self) -> str:
        """Commit a transaction of a stranger's, past the proxy, and give its id."""
        connection = await self.connect()
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO written VALUES ('stranger')")
                return str(await connection.fetchval("SELECT pg_current_xact_id()::text"))
        finally:
            await connection.close()

    async def ask(self, query: str) -> list[str]:
        """Give the first column of what a query finds."""
        connection = await self.connect()
        try:
            return [str(row[0]) for row in await connection.fetch(query)]
        finally:
            await connection.close()


@pytest_asyncio.fixture
async def case(server: DatabaseFaults) -> AsyncIterator[Case]:
    """A case on an empty table."""
    async with AndamiosEngine(server.url, uvloop=False) as engine:
        async with engine.session() as session:
            await session.execute(text("CREATE TABLE written (who text)"))
        yield Case(server, engine)


WRITTEN = "SELECT who FROM written ORDER BY who"


async def test_id_that_was_given_out_again(case: Case, server: DatabaseFaults) -> None:
    """A stranger who commits with our id is not taken for us, and our work is done again."""
    running = await case.lose("before")
    await server.kill()
    await server.start()
    assert case.id == await case.intrude()
    # So it would have been, had only the status been asked for.
    assert ["committed"] == await case.ask(f"SELECT pg_xact_status('{case.id}'::xid8)")
    assert 2 == await case.end(running)
    assert ["ours", "stranger"] == await case.ask(WRITTEN)


async def test_committed_before_the_crash(case: Case, server: DatabaseFaults) -> None:
    """What the recovery found is ours."""
    running = await case.lose("after")
    await asyncio.sleep(0.2)
    await server.kill()
    await server.start()
    await case.intrude()
    assert 1 == await case.end(running)
    assert ["ours", "stranger"] == await case.ask(WRITTEN)


@pytest.mark.parametrize(("moment", "calls"), [("before", 2), ("after", 1)])
async def test_restart(case: Case, server: DatabaseFaults, moment: Moment, calls: int) -> None:
    """A server that was stopped and started with care has lost nothing."""
    running = await case.lose(moment)
    await asyncio.sleep(0.2)
    await server.restart()
    await case.intrude()
    assert calls == await case.end(running)
    assert ["ours", "stranger"] == await case.ask(WRITTEN)


@pytest.mark.parametrize(("moment", "calls"), [("before", 2), ("after", 1)])
async def test_crash_of_one_process(case: Case, moment: Moment, calls: int) -> None:
    """A server that crashes and recovers by itself began a new life, without a new start."""
    running = await case.lose(moment)
    await asyncio.sleep(0.2)
    (started,) = await case.ask("SELECT pg_postmaster_start_time()")
    await case.crash()
    assert [started] == await case.ask("SELECT pg_postmaster_start_time()")
    stranger = await case.intrude()
    assert (case.id == stranger) is (moment == "before")
    assert calls == await case.end(running)
    assert ["ours", "stranger"] == await case.ask(WRITTEN)


async def test_crash_and_restart_leave_no_proof(case: Case, server: DatabaseFaults) -> None:
    """A crash whose recovery nobody saw may have given the id to another; nothing is guessed."""
    running = await case.lose("before")
    await server.kill()
    await server.start()
    assert case.id == await case.intrude()
    await server.restart()
    with pytest.raises(CommitOutcomeUnknownError, match="may have crashed") as caught:
        await case.end(running)
    assert case.id == caught.value.transaction
    assert (1, ["stranger"]) == (case.calls, await case.ask(WRITTEN))


async def test_markers_outlive_a_crash(marking: DatabaseFaults) -> None:
    """On MySQL and MariaDB the marker is there after a crash if its transaction is."""
    async with AndamiosEngine(marking.url, uvloop=False) as engine:
        manager = TransactionManager(engine)
        await manager.prepare()
        async with engine.session() as session:
            await session.execute(text("CREATE TABLE written (who VARCHAR(9))"))
        moments: dict[Moment, int] = {"before": 2, "after": 1}
        for moment, calls in moments.items():
            assert calls == await _survive(manager, marking, moment)
        async with engine.session() as session:
            assert ["after", "before"] == sorted(
                await session.scalars(text("SELECT who FROM written"))
            )


async def _survive(manager: TransactionManager, server: DatabaseFaults, moment: Moment) -> int:
    calls, proxy = 0, server.proxy
    lost: asyncio.Future[asyncio.Event] = asyncio.get_running_loop().create_future()

    async def work(session: AsyncSession) -> int:
        nonlocal calls
        calls += 1
        await session.execute(text(f"INSERT INTO written VALUES ('{moment}')"))
        if calls == 1:
            lost.set_result(proxy.cut(b"COMMIT", moment))
        return calls

    running = asyncio.create_task(manager.run(work, deadline=90))
    await (await lost).wait()
    await proxy.down()
    await asyncio.sleep(0.2)
    await server.kill()
    await server.start()
    await proxy.up()
    return await running
