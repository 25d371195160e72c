"""
Whether a million rows go through in constant memory, in and out, on every backend.

The process' memory is read every ten thousand rows. Nothing here is timed; the rows a second
that are shown with it are those of a machine that also reads its own memory.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import psutil
import pytest
import pytest_asyncio
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped

from andamios import AndamiosEngine, BaseModel, GenericRepository

ROWS = 1_000_000
STEP = 10_000
WARM = 100_000
"""Rows after which caches and buffers have their size."""

ALLOWED = 16.0
"""Megabytes that may come on top of that: what a server's driver buffers, and fragments."""


class MemoryRow(BaseModel):
    """A row of some 60 bytes."""

    metadata = MetaData()

    name: Mapped[str]
    amount: Mapped[int]
    ratio: Mapped[float]


@pytest.fixture(scope="session")
def db_metadata() -> MetaData:
    """One table."""
    return MemoryRow.metadata


@pytest_asyncio.fixture
async def rows(own_database: str) -> AsyncIterator[GenericRepository[MemoryRow]]:
    """A repository on a database of its own."""
    async with AndamiosEngine(own_database, uvloop=False) as engine:
        yield GenericRepository[MemoryRow](engine)


class Memory:
    """What the process held, after how many rows."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._begun = time.perf_counter()
        self.megabytes: dict[int, float] = {}

    def read(self, count: int) -> None:
        """Note the memory after so many rows."""
        self.megabytes[count] = self._process.memory_info().rss / 1e6

    def growth(self) -> float:
        """Megabytes between the warm state and the largest one after it."""
        after = [size for count, size in self.megabytes.items() if count >= WARM]
        return max(after) - self.megabytes[WARM]

    def summary(self) -> dict[str, float]:
        """Give what there is to see."""
        return {
            "MB at 10,000": self.megabytes[STEP],
            "MB at 100,000": self.megabytes[WARM],
            "MB at the end": self.megabytes[ROWS],
            "peak MB": max(self.megabytes.values()),
            "rows a second": ROWS / (time.perf_counter() - self._begun),
        }


def many() -> Iterator[dict[str, object]]:
    """Make rows one by one."""
    for number in range(ROWS):
        yield {"name": f"row {number:>20}", "amount": number, "ratio": number / 7}


async def test_in_and_out(
    rows: GenericRepository[MemoryRow],
    record_memory: Callable[[str, dict[str, float]], None],
) -> None:
    """A generator is stored, and a stream read, without holding more of it than a batch."""
    created = Memory()
    assert await rows.create_many(many(), progress=_each_step(created)) == ROWS
    record_memory("create_many", created.summary())
    streamed, count = Memory(), 0
    async with aclosing(rows.stream()) as stream:
        async for _ in stream:
            count += 1
            if not count % STEP:
                streamed.read(count)
    assert count == ROWS
    record_memory("stream", streamed.summary())
    assert (created.growth() < ALLOWED, streamed.growth() < ALLOWED) == (True, True)


def _each_step(memory: Memory) -> Callable[[int], None]:
    def progress(count: int) -> None:
        if not count % STEP:
            memory.read(count)

    return progress
