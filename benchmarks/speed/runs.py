"""What ``TransactionManager.run()`` costs where nothing goes wrong, beside a bare session."""

from __future__ import annotations

import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped

from andamios import AndamiosEngine, BaseModel
from andamios.resilience import TransactionManager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from andamios import AsyncSession

    Once = Callable[[], Awaitable[Any]]

__all__ = ["measure_runs"]

ROUNDS, CALLS = 40, 25


class RunsBase(BaseModel, DeclarativeBase):
    """One table."""

    __abstract__ = False


class RunsCounter(RunsBase):
    """A row that is counted up."""

    count: Mapped[int]


async def measure_runs(url: str) -> dict[str, dict[str, float]]:
    """
    Compare one short transaction with the same one in a bare session, in alternating rounds.

    Args:
        url: Of a database in which the table may be made.

    Returns:
        For each kind of transaction the bare session's microseconds, and the median and quartiles
        of the rounds' ratios.
    """
    async with AndamiosEngine(url, uvloop=False) as engine:
        await engine.create_all(RunsCounter)
        await TransactionManager(engine).prepare()
        async with engine.session() as session:
            session.add(RunsCounter(id=1, count=0))
        return {name: await _compare(*pair) for name, pair in _pairs(engine).items()}


def _pairs(engine: AndamiosEngine) -> dict[str, tuple[Once, Once]]:
    manager = TransactionManager(engine)
    table = RunsCounter.__table__
    statements = {
        "write": sa.update(table).values(count=table.c.count + 1),
        "read": sa.select(table),
    }

    def pair(kind: str, *, read_only: bool) -> tuple[Once, Once]:
        async def work(session: AsyncSession) -> None:
            await session.execute(statements[kind])

        async def bare() -> None:
            async with engine.session(read_only=read_only) as session:
                await work(session)

        async def run() -> None:
            await manager.run(work, read_only=read_only)

        return bare, run

    return {
        "write": pair("write", read_only=False),
        "read, read_only=True": pair("read", read_only=True),
        "read": pair("read", read_only=False),
    }


async def _compare(bare: Once, run: Once) -> dict[str, float]:
    times: list[float] = []
    ratios: list[float] = []
    await _seconds(run)
    for number in range(ROUNDS):
        both = (bare, run) if number % 2 else (run, bare)
        found = {once: await _seconds(once) for once in both}
        times.append(found[bare])
        ratios.append(found[run] / found[bare])
    low, _, high = quantiles(ratios, n=4)
    return {
        "bare, µs": round(median(times) / CALLS * 1e6, 1),
        "ratio": round(median(ratios), 2),
        "from": round(low, 2),
        "to": round(high, 2),
    }


async def _seconds(once: Once) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        await once()
    return time.perf_counter() - began
