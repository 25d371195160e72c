"""Writers of one SQLite database take turns."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.util.concurrency import greenlet_spawn

from andamios import AndamiosEngine, DeadlockError, GenericRepository
from andamios.core import turns
from andamios.core.sqlite_writer import writer_of
from tests.models.domain import LibWord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def words(tmp_path: Path) -> AsyncIterator[AndamiosEngine]:
    """An engine on a file of its own."""
    async with AndamiosEngine(f"sqlite:///{tmp_path}/words.db", uvloop=False) as engine:
        await engine.create_all(LibWord)
        yield engine


class Standing:
    """What stands in line for a writer."""


async def hold(engine: AndamiosEngine, begun: asyncio.Event, end: asyncio.Event) -> None:
    async with engine.session() as session:
        await session.execute(text("SELECT 1"))
        begun.set()
        await end.wait()


async def test_first_come_first_served() -> None:
    """Nobody passes those who wait, however often a newcomer comes back."""
    line = turns.Turns(10.0)
    order: list[int] = []

    async def write(number: int) -> None:
        for _ in range(4):
            writer = Standing()
            await line.wait(writer)
            order.append(number)
            await asyncio.sleep(0.002)
            line.give_up(writer)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(write(number))

    assert [0, 1, 2, 3, 4] * 4 == order


async def test_sessions_write_in_the_order_in_which_they_came(words: AndamiosEngine) -> None:
    """Those who have had a turn come after those who wait for their first."""
    order: list[int] = []
    begun, end = asyncio.Event(), asyncio.Event()
    line: Any = vars(vars(writer_of(words.async_engine.dialect))["_turns"])["_line"]

    async def write(number: int) -> None:
        for _ in range(4):
            async with words.session() as session:
                await session.execute(text("SELECT 1"))
                order.append(number)
                await asyncio.sleep(0.002)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(words, begun, end))
        await begun.wait()
        for number in range(4):
            tasks.create_task(write(number))
            # A connection is opened in a thread, which takes as long as it takes.
            while len(line) <= number:  # noqa: ASYNC110  nothing tells when
                await asyncio.sleep(0.001)
        end.set()

    assert [0, 1, 2, 3] == order[:4]
    assert sorted([0, 1, 2, 3] * 4) == sorted(order)


async def test_a_wait_is_cancelled_at_once(words: AndamiosEngine) -> None:
    """A task that waits for the writer ends as soon as it is cancelled, and keeps no turn."""
    begun, end = asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(hold(words, begun, end))
    await begun.wait()
    waiter = asyncio.create_task(GenericRepository[LibWord](words).create(LibWord(word="never")))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert time.monotonic() - began < turns_limit()
    end.set()
    await holder
    await GenericRepository[LibWord](words).create(LibWord(word="kept"))

    assert ["kept"] == [word.word for word in await GenericRepository[LibWord](words).list()]
    assert 0 == words.connections.stats().in_use


def turns_limit() -> float:
    """Far below the time-out of a lock, far above a busy machine's hiccup."""
    return 5.0


@pytest.mark.parametrize("steps", range(8))
async def test_cancelled_when_the_turn_comes(words: AndamiosEngine, steps: int) -> None:
    """Whatever the moment, the turn goes on to the next one."""
    begun, end = asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(hold(words, begun, end))
    await begun.wait()
    create = GenericRepository[LibWord](words).create
    waiter = asyncio.create_task(create(LibWord(word="perhaps")))
    after = asyncio.create_task(create(LibWord(word="kept")))
    await asyncio.sleep(0.05)
    end.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([holder, waiter, after])

    assert "kept" == after.result().word
    assert 0 == words.connections.stats().in_use


async def test_the_wait_has_an_end(words: AndamiosEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long gets the error that a lock that did not come free has everywhere."""
    within: Any = vars(turns)["_within"]
    monkeypatch.setattr(turns, "_within", lambda turn, _seconds: within(turn, 0.05))
    begun, end = asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(hold(words, begun, end))
    await begun.wait()
    with pytest.raises(DeadlockError, match="short") as caught:
        await GenericRepository[LibWord](words).create(LibWord(word="late"))
    end.set()
    await holder

    assert "SQLITE_BUSY" == caught.value.code
    assert await GenericRepository[LibWord](words).create(LibWord(word="kept"))


async def test_a_lost_writer_gives_its_turn_up() -> None:
    """A connection that nobody closed does not keep others from writing for ever."""
    line = turns.Turns(1.0)

    lost: Any = Standing()
    last: Any = Standing()
    await greenlet_spawn(line.take, lost)
    del lost
    gc.collect()
    await greenlet_spawn(line.take, last)


def test_a_loop_that_ended_holds_no_turn() -> None:
    """A writer of a second event loop does not wait for one of the first."""
    line = turns.Turns(1.0)

    first: Any = Standing()
    second: Any = Standing()

    async def take(writer: Any) -> None:
        await greenlet_spawn(line.take, writer)

    asyncio.run(take(first))
    asyncio.run(take(second))
