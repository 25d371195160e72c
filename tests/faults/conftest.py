"""Fixtures: an engine before a server that breaks, and what a trial leaves in the report."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as SATimeoutError

from andamios import AndamiosEngine
from andamios.core.facts import CommitSettled
from andamios.errors import AndamiosError, CommitOutcomeUnknownError
from harness.faults.trials import Plan, Trial
from harness.faults.trials.report import PROPERTY
from tests.core.server import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from harness.faults import DatabaseFaults
    from harness.fixtures.service_faults import ServiceFaultsMaker

POOL = 5


@pytest_asyncio.fixture
async def server(service_faults: ServiceFaultsMaker, backend: str) -> DatabaseFaults:
    """A server of this module's own, to be broken."""
    return await service_faults(backend)


@pytest_asyncio.fixture
async def breaking(server: DatabaseFaults, backend: str) -> AsyncIterator[AndamiosEngine]:
    """An engine on it, with usual options."""
    async with engine_on(server.url, backend) as engine:
        yield engine


def engine_on(url: str, backend: str) -> AndamiosEngine:
    """Make an engine for a backend, which may name a driver."""
    service, _, driver = backend.partition("+")
    address = url.replace(f"{service}://", f"{service}+{driver}://") if driver else url
    return AndamiosEngine(address, uvloop=False, pool_size=POOL, max_overflow=0, pool_timeout=5)


def plan_of(seed: int, *, is_plain: bool = False, **options: Any) -> Plan:
    """Say which errors leave what open: of Andamios, or of anybody who cannot tell."""
    if is_plain:
        unknown = (DBAPIError, OSError, TimeoutError, SATimeoutError)
        return Plan(unknown=unknown, seed=seed, **options)
    return Plan(failed=(AndamiosError,), unknown=(CommitOutcomeUnknownError,), seed=seed, **options)


async def is_whole(engine: AndamiosEngine, seconds: float = 10) -> bool:
    """Whether soon nothing is out, and as many connections as the pool has work at once."""
    if not await eventually(lambda: _is_quiet(engine), seconds=seconds):
        return False
    meeting = asyncio.Barrier(POOL)

    async def take() -> None:
        # SQLite has one writer at a time, and as many readers as there are connections.
        async with engine.session(read_only=True, is_current=False) as session:
            await session.execute(text("SELECT 1"))
            await meeting.wait()

    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for _ in range(POOL):
                tasks.create_task(take())
    except TimeoutError:
        return False
    return engine.connections.stats().in_use == 0


async def _is_quiet(engine: AndamiosEngine) -> bool:
    return engine.connections.stats().in_use == 0


def keep(record: Callable[[str, Any], None], trial: Trial) -> None:
    """Put a trial into the report of the run."""
    record(PROPERTY, json.dumps(trial.as_dict()))


def count_settled(engine: AndamiosEngine) -> Counter[str]:
    """Count from now on what is found out about COMMITs whose answer was lost."""
    counts: Counter[str] = Counter()
    engine.hooks.listen(CommitSettled, lambda fact: counts.update([fact.outcome]))
    return counts
