"""
Where it is measured: a server that really writes to disk, as servers in use do.

The harness starts servers whose data nobody keeps, with durability off and, in containers, with
their data in memory. Here durability is on, and binaries of this machine come first.
"""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

from andamios import AndamiosEngine
from benchmarks.speed.floors import FLOORS, make_floor
from benchmarks.speed.schema import BenchBase
from harness import Run, ServiceOptions, ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from benchmarks.speed.floors import Floor

__all__ = ["filled", "server"]

DURABLE: dict[str, dict[str, str]] = {
    "postgresql": {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        # A checkpoint would double the time of whoever writes next.
        "max_wal_size": "4GB",
        "checkpoint_timeout": "1h",
    },
    "mysql": {"innodb-flush-log-at-trx-commit": "1", "innodb-doublewrite": "1"},
}
PREFERRED = {"postgresql": "18", "mysql": None}
"""Versions that are taken where they can be had."""


@contextmanager
def server(backend: str, provider: str = "auto") -> Iterator[tuple[str, str]]:
    """
    Start a server for as long as the block runs.

    Args:
        backend: ``postgresql``, ``mysql`` or ``sqlite``.
        provider: As the harness names it; ``auto`` takes this machine's own binaries first.

    Yields:
        The URL of an empty database, and where it comes from.

    Raises:
        ServiceUnavailableError: There is no server.
    """
    if backend == "sqlite":
        with tempfile.TemporaryDirectory(prefix="andamios-speed-") as folder:
            yield f"sqlite:///{folder}/speed.db", "a file"
        return
    with Run.create() as run:
        details = _started(run, backend, ("local", "docker") if provider == "auto" else (provider,))
        yield details.url(), f"{details.provider}, {details.source}"


def _started(run: Run, backend: str, providers: tuple[str, ...]) -> object:
    failures = []
    for provider in providers:
        for version in dict.fromkeys((PREFERRED[backend], None)):
            options = ServiceOptions(version=version, settings=DURABLE[backend])
            try:
                return run.service(backend, provider, options)
            except ServiceUnavailableError as error:
                failures += error.reasons
    raise ServiceUnavailableError(backend, failures)


@asynccontextmanager
async def filled(url: str, rows: int) -> AsyncIterator[Floor]:
    """
    Fill the tables, unless they are, and give the floor on them.

    Args:
        url: Of a database for benchmarks alone.
        rows: How many.

    Yields:
        The raw driver.
    """
    backend = make_url(url).get_backend_name()
    async with AndamiosEngine(url, uvloop=False, pool_size=1) as engine:
        await engine.create_all(BenchBase)
        floor = make_floor(FLOORS[backend][0])
        await floor.open(url)
        try:
            await floor.tidy(rows)
            if await floor.total() != rows:
                await engine.drop_all(BenchBase)
                await engine.create_all(BenchBase)
                await floor.fill(rows)
            yield floor
        finally:
            await floor.close()
