"""A server that is restarted under the short way: who is told what, and what is there after."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from andamios import (
    AndamiosEngine,
    CommitOutcomeUnknownError,
    ConnectionFailedError,
    GenericRepository,
)
from andamios.core import ping
from harness.fixtures.services import SERVICE_OF
from harness.services import ProviderError
from harness.session import HarnessSession
from tests.core.server import eventually
from tests.plans.counting import ran
from tests.plans.models import PlansBase, PlansNote
from tests.plans.restarting import STOPS, OwnServer

Notes = GenericRepository[PlansNote]


@pytest_asyncio.fixture
async def own_server(backend: str, harness_session: HarnessSession) -> AsyncIterator[OwnServer]:
    """A server that nobody else uses, in the folder of the run, and so ended with it at last."""
    if SERVICE_OF.get(backend) not in {"postgresql", "mysql"}:
        pytest.skip("For servers of PostgreSQL and MySQL")
    folder = harness_session.run.path / f"restarted-{harness_session.worker}"
    try:
        server = await asyncio.to_thread(OwnServer, SERVICE_OF[backend], folder)
    except ProviderError as error:
        pytest.skip(f"no server of one's own: {error}")
    yield server
    await asyncio.to_thread(server.close)
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@dataclass
class Task:
    """What somebody asks again and again, and what came of it: when asked, and which error."""

    ask: Callable[[int], Awaitable[Any]]
    told: list[tuple[float, type[Exception] | None]] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until it is enough; whoever is refused waits a moment."""
        while not stop.is_set():
            began = time.monotonic()
            try:
                await self.ask(len(self.told))
                self.told.append((began, None))
            except (CommitOutcomeUnknownError, ConnectionFailedError) as error:
                self.told.append((began, type(error)))
                await asyncio.sleep(0.02)

    def asked(self, error: type[Exception] | None, since: float = 0.0) -> int:
        """Count the calls that ended so, or well."""
        return [each for began, each in self.told if began >= since].count(error)


class Storing(Task):
    """Stores a word with each call, and says which were stored for all it knows."""

    def __init__(self, engine: AndamiosEngine, name: str) -> None:
        super().__init__(lambda number: Notes(engine).create(PlansNote(word=f"{name} {number}")))
        self._name = name

    def words(self, error: type[Exception] | None) -> set[str]:
        """Give the words of the calls that ended so."""
        return {f"{self._name} {n}" for n, (_, each) in enumerate(self.told) if each is error}


def counting(engine: AndamiosEngine, note: PlansNote) -> Task:
    """Add 1 to a note's size with each call."""
    own = Notes(engine).query().filter(PlansNote.id == note.id)
    return Task(lambda _number: own.update({"size": PlansNote.size + 1}))


async def all_have(tasks: list[Task], error: type[Exception] | None, since: float) -> bool:
    """Whether each of them ended so three times since then."""

    async def is_so() -> bool:
        return all(task.asked(error, since) >= 3 for task in tasks)

    return await eventually(is_so, seconds=20)


@pytest.mark.parametrize("how", STOPS)
async def test_a_restart(
    own_server: OwnServer, backend: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads work again at once; of writes nobody is told what is not so; none is sent twice."""
    url = own_server.details.url(backend.partition("+")[2] or None)
    signal = STOPS[how][own_server.details.name]
    async with (
        AndamiosEngine(url, uvloop=False, pool_size=3, max_overflow=1) as busy,
        AndamiosEngine(url, uvloop=False, pool_size=4) as quiet,
    ):
        await busy.create_all(PlansBase)
        notes = [await Notes(busy).create(PlansNote(word=f"note {n}", size=0)) for n in range(2)]
        reads = [
            Task(lambda _number: Notes(busy).get_one(notes[0].id)),
            Task(lambda _number: Notes(busy).list(order_by="id", limit=2)),
        ]
        stores = [Storing(busy, f"store {n}") for n in range(2)]
        counts = [counting(busy, note) for note in notes]
        tasks = [*reads, *stores, *counts]
        await asyncio.gather(*(Notes(quiet).count() for _ in range(4)))
        assert 4 == quiet.connections.stats().idle

        enough = asyncio.Event()
        with ran() as seen:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task.run(enough))
                assert await all_have(tasks, None, 0)
                await asyncio.to_thread(own_server.stop, signal)
                assert await all_have(tasks, ConnectionFailedError, 0)
                await asyncio.to_thread(own_server.start)
                up = time.monotonic()
                with monkeypatch.context() as unseen:
                    # As where the end of a connection never came through.
                    unseen.setattr(ping, "IDLE_BEFORE_PING", 60)
                    unseen.setattr(ping, "_is_closed", lambda _connection: False)
                    assert 2 == await Notes(quiet).count({"word__startswith": "note"})
                    found = [
                        Notes(quiet).list({"word__startswith": "note"}, limit=2) for _ in range(8)
                    ]
                    assert [2] * 8 == [len(each) for each in await asyncio.gather(*found)]
                assert await all_have(tasks, None, up)
                enough.set()

        assert [0] * 2 == [task.asked(CommitOutcomeUnknownError) for task in reads]
        assert [0] * 6 == [task.asked(ConnectionFailedError, up) for task in tasks]
        sent = [task.asked(None) + task.asked(CommitOutcomeUnknownError) for task in tasks[2:]]
        assert sum(sent) == len(seen.writes)
        stored = [note.word for note in await Notes(busy).list({"word__startswith": "store"})]
        assert len(set(stored)) == len(stored)
        sure = {word for task in stores for word in task.words(None)}
        unsure = {word for task in stores for word in task.words(CommitOutcomeUnknownError)}
        assert sure <= set(stored) <= sure | unsure
        for note, task, most in zip(notes, counts, sent[2:], strict=True):
            assert task.asked(None) <= ((await Notes(busy).get_one(note.id)).size or 0) <= most
        for engine in (busy, quiet):
            stats = engine.connections.stats()
            assert (0, 0) == (stats.in_use, stats.waiting)
            await asyncio.gather(*(Notes(engine).count() for _ in range(6)))
