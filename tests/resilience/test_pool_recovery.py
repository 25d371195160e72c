"""A server that dies under load and comes back: the process goes on as if nothing had been."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import pytest
from sqlalchemy import select
from tenacity import wait_none

from andamios import AndamiosEngine, AndamiosError, GenericRepository
from andamios.resilience import ConnectionResilience, TransactionManager
from tests.resilience.models import ResNote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.faults import FaultProxy
    from harness.fixtures.service_faults import ServiceFaultsMaker

    Work = Callable[[AndamiosEngine, str], Awaitable[object]]

TASKS = 20
"""At once, on a pool that has room for half of them."""


async def in_session(engine: AndamiosEngine, name: str) -> None:
    """Write and read in a session."""
    async with engine.session() as session:
        session.add(ResNote(text=name))
        await session.flush()
        await session.scalar(select(ResNote.text).where(ResNote.text == name))


async def by_the_short_way(engine: AndamiosEngine, name: str) -> None:
    """Write and read without a session."""
    repository = GenericRepository[ResNote](engine)
    made = await repository.create(ResNote(text=name))
    await repository.get_by_id(made.id)


async def in_run(engine: AndamiosEngine, name: str) -> None:
    """Write in a transaction that is repeated."""

    async def work(session: object) -> None:
        session.add(ResNote(text=name))  # type: ignore[attr-defined]

    await TransactionManager(engine).run(work, attempts=2)


async def with_retry(engine: AndamiosEngine, name: str) -> None:
    """Write in an operation that is repeated, with a deadline."""
    resilience = ConnectionResilience(engine, wait=wait_none())
    await resilience.execute_with_retry(lambda: in_session(engine, name), deadline=5)


WORKS = [in_session, by_the_short_way, in_run, with_retry]


class Load:
    """
    Many tasks that work until nobody wants them to, and what became of it.

    Args:
        engine: On which they work.
        work: What each does again and again.
    """

    def __init__(self, engine: AndamiosEngine, work: Work) -> None:
        self._engine = engine
        self._work = work
        self._is_over = asyncio.Event()
        self.errors: list[BaseException] = []
        self.done = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._go_on(number)) for number in range(TASKS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over.set()
        await asyncio.gather(*self._tasks)

    async def flows(self) -> None:
        """Wait until something is done that was not done before."""
        before = self.done
        await self._until(lambda: self.done > before)

    async def fails(self) -> None:
        """Wait until each task may have met an error."""
        await self._until(lambda: len(self.errors) >= TASKS)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_so():  # noqa: ASYNC110  anything may make it so
                await asyncio.sleep(0.01)

    async def _go_on(self, number: int) -> None:
        turn = 0
        while not self._is_over.is_set():
            turn += 1
            try:
                await self._work(self._engine, f"{number} {turn}")
                self.done += 1
            except Exception as error:  # noqa: BLE001  all are looked at
                self.errors.append(error)
                await asyncio.sleep(0.02)


async def check(url: str, work: Work, outage: Callable[[Load], Awaitable[None]]) -> None:
    """Work through an outage; errors are ours, and the pool is whole afterwards."""
    sizes = {"pool_size": TASKS // 4, "max_overflow": TASKS // 4}
    async with AndamiosEngine(url, uvloop=False, **sizes) as engine:
        async with Load(engine, work) as load:
            await load.flows()
            await outage(load)
            await load.flows()
        assert {True} == {isinstance(error, AndamiosError) for error in load.errors}
        stats = engine.connections.stats()
        assert (0, 0, TASKS // 4) == (stats.in_use, stats.waiting, stats.size)
        assert stats.idle <= stats.size
        assert [] == engine.connections.leaks(0)
        async with asyncio.timeout(20):  # all of them can be taken
            await asyncio.gather(*(in_session(engine, f"last {n}") for n in range(TASKS)))


@pytest.mark.parametrize("work", WORKS)
async def test_nobody_listens_for_a_while(proxy: FaultProxy, work: Work) -> None:
    """Connections are refused, and when they no longer are, work flows again."""

    async def outage(load: Load) -> None:
        await proxy.down()
        await load.fails()
        await proxy.up()

    await check(proxy.url, work, outage)


@pytest.mark.parametrize("work", WORKS)
async def test_the_server_is_killed(
    backend: str, service_faults: ServiceFaultsMaker, work: Work
) -> None:
    """It dies by kill -9 and is started again, and work flows again."""
    faults = await service_faults(backend)
    async with AndamiosEngine(faults.url, uvloop=False) as engine:
        await engine.create_all(ResNote)

    async def outage(load: Load) -> None:
        await faults.kill()
        await load.fails()
        await faults.start()

    await check(faults.url, work, outage)
