"""
A database for each test worker, on whatever server a URL leads to.

PostgreSQL and MySQL get a database of their own, SQLite a file, Redis a numbered one.
Names carry the run and the worker, so that two runs can share a server. Redis has numbers
only; one that is not empty is somebody's, and is left alone.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from andamios import AndamiosEngine, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from redis.asyncio import Redis

__all__ = ["TestDatabaseManager", "run_now"]

T = TypeVar("T")


class TestDatabaseManager:
    """
    Makes and removes the databases of test workers.

    Args:
        server_url: The server: ``postgresql://…``, ``mysql://…``, ``redis://…``, or
            ``sqlite:///folder`` for files in a folder.
        run_id: What tells this run's databases from others'; by default a random one.

    Example:
        >>> import asyncio, tempfile
        >>> manager = TestDatabaseManager(f"sqlite:///{tempfile.mkdtemp()}", run_id="doc")
        >>> url = asyncio.run(manager.create_test_database("gw0"))
        >>> url.endswith("andamios_doc_gw0.db")
        True
        >>> asyncio.run(manager.cleanup_test_database("gw0"))
    """

    __test__ = False

    def __init__(self, server_url: str, run_id: str | None = None) -> None:
        self._server = make_url(server_url)
        self._backend = self._server.get_backend_name()
        self._run_id = run_id or uuid.uuid4().hex[:12]
        self._claimed: set[str] = set()

    async def create_test_database(self, worker_id: str) -> str:
        """
        Make an empty database for a worker; one that is there already is replaced.

        Args:
            worker_id: For instance ``gw0``, as pytest-xdist names its workers.

        Returns:
            Its URL, with the password.

        Raises:
            ConfigurationError: The URL leads to no backend that the harness knows.
            ConnectionFailedError: The server does not answer.
        """
        if self._backend == "redis":
            await self._claim(self._url(worker_id))
        else:
            await self.cleanup_test_database(worker_id)
        if self._backend in {"postgresql", "mysql", "mariadb"}:
            await self._on_server(self._create_statement(worker_id))
        return self._url(worker_id).render_as_string(hide_password=False)

    async def cleanup_test_database(self, worker_id: str) -> None:
        """Remove a worker's database with everything in it, if it is there."""
        if self._backend == "sqlite":
            await asyncio.to_thread(_remove_files, str(self._url(worker_id).database))
        elif self._backend == "redis":
            await self._flush(self._url(worker_id))
        else:
            force = " WITH (FORCE)" if self._backend == "postgresql" else ""
            await self._on_server(f"DROP DATABASE IF EXISTS {self._name(worker_id)}{force}")

    def _create_statement(self, worker_id: str) -> str:
        name = self._name(worker_id)
        if self._backend == "postgresql":
            # Text sorts by code point, as on the other backends, whatever the machine's locale.
            return (
                f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' "
                "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
            )
        return f"CREATE DATABASE {name} CHARACTER SET utf8mb4"

    def _name(self, worker_id: str) -> str:
        # Goes into SQL as an identifier, which cannot be a bound parameter.
        return re.sub(r"\W", "_", f"andamios_{self._run_id}_{worker_id}").lower()

    def _url(self, worker_id: str) -> URL:
        if self._backend == "sqlite":
            folder = Path(self._server.database or ".")
            return self._server.set(database=str(folder / f"{self._name(worker_id)}.db"))
        if self._backend == "redis":
            # Redis has numbers and no names: from the one in the URL on, one for each worker.
            first = int(self._server.database or 0)
            return self._server.set(database=str(first + _number(worker_id)))
        if self._backend in {"postgresql", "mysql", "mariadb"}:
            return self._server.set(database=self._name(worker_id))
        message = f"The harness knows no {self._backend} databases."
        raise ConfigurationError(message)

    async def _claim(self, url: URL) -> None:
        """Take an empty numbered database of Redis; one taken before is emptied."""
        await self._flush(url)
        async with _redis(url) as client:
            if await client.dbsize():
                raise ConfigurationError(
                    f"Redis database {url.database} is not empty, and is left alone. Empty it with "
                    "FLUSHDB, or name the first of some empty ones in the URL: redis://host/5."
                )
        self._claimed.add(str(url.database))

    async def _flush(self, url: URL) -> None:
        if url.database in self._claimed:
            async with _redis(url) as client:
                await client.flushdb()

    async def _on_server(self, statement: str) -> None:
        engine = AndamiosEngine(self._server, uvloop=False, pool_size=1)
        autocommit = engine.async_engine.execution_options(isolation_level="AUTOCOMMIT")
        try:
            async with autocommit.connect() as connection:
                await connection.execute(text(statement))
        finally:
            await engine.close()


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from a synchronous fixture, on a loop that touches no other."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


def _remove_files(database: str) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)


@asynccontextmanager
async def _redis(url: URL) -> AsyncIterator[Redis]:
    from redis.asyncio import Redis  # noqa: PLC0415  only Redis needs it
    from redis.exceptions import ResponseError  # noqa: PLC0415

    async with Redis.from_url(url.render_as_string(hide_password=False)) as client:
        try:
            yield client
        except ResponseError as error:
            message = (
                f"Redis has no database {url.database}: each worker needs one. Set 'databases' in "
                "its configuration, or run fewer workers."
            )
            raise ConfigurationError(message) from error


def _number(worker_id: str) -> int:
    digits = re.sub(r"\D", "", worker_id)
    return int(digits) if digits else 0
