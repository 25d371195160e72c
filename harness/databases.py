"""
A database for each test worker, on whatever server a URL leads to.

PostgreSQL and MySQL get a database of their own, SQLite a file, Redis a numbered one. Names
carry the run and the worker, so that two runs can share a server.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from andamios import AndamiosEngine, AndamiosError, ConfigurationError
from harness import numbered, templates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from sqlalchemy.ext.asyncio import AsyncConnection

    from harness.ledger import Ledger
    from harness.templates import Schema

__all__ = ["TestDatabaseManager", "drop_database", "run_now"]

T = TypeVar("T")

LONGEST_NAME = 63
"""Letters; PostgreSQL cuts what is longer, and MySQL refuses more than 64."""

SERVERS = {"postgresql", "mysql", "mariadb"}


class TestDatabaseManager:
    """
    Makes and removes the databases of test workers.

    Args:
        server_url: The server: ``postgresql://…``, ``mysql://…``, ``redis://…``, or
            ``sqlite:///folder`` for files in a folder.
        run_id: What tells this run's databases from others'; by default a random one.
        ledger: Where databases are written down before they are made, so that those of a
            killed run are found; None where the server ends with the run anyway.
        templates_of: Whose templates are used; by default the run's own.

    Example:
        >>> import asyncio, tempfile
        >>> manager = TestDatabaseManager(f"sqlite:///{tempfile.mkdtemp()}", run_id="doc")
        >>> url = asyncio.run(manager.create_test_database("gw0"))
        >>> url.endswith("andamios_doc_gw0.db")
        True
        >>> asyncio.run(manager.cleanup_test_database("gw0"))
    """

    __test__ = False

    def __init__(
        self,
        server_url: str,
        run_id: str | None = None,
        *,
        ledger: Ledger | None = None,
        templates_of: str | None = None,
    ) -> None:
        self._server = make_url(server_url)
        self._backend = self._server.get_backend_name()
        self._run_id = run_id or uuid.uuid4().hex[:12]
        self._ledger = ledger
        self._templates_of = templates_of or self._run_id
        self._numbers: dict[str, str] = {}

    async def create_test_database(self, worker_id: str, schema: Schema | None = None) -> str:
        """
        Make a database for a worker; one that is there already is replaced.

        Args:
            worker_id: For instance ``gw0``, as pytest-xdist names its workers.
            schema: What is in it: copied from a template on PostgreSQL and SQLite, made
                anew on MySQL. None: nothing.

        Returns:
            Its URL, with the password. Beyond the databases that a Redis has, it ends in the
            prefix that the worker's keys are to have: ``redis://host/0#prefix:``.

        Raises:
            ConfigurationError: The URL leads to no backend that the harness knows.
            ConnectionFailedError: The server does not answer.
        """
        if self._backend == "redis":
            return await self._take_number(worker_id)
        await self.cleanup_test_database(worker_id)
        url = self._url(worker_id)
        address = url.render_as_string(hide_password=False)
        self._write_down(address, worker_id)
        if self._backend == "sqlite":
            await self._copy_file(url, schema)
        elif self._backend == "postgresql":
            await self._clone(str(url.database), schema)
        else:
            async with administering(self._server) as connection:
                await connection.execute(
                    text(f"CREATE DATABASE {url.database} CHARACTER SET utf8mb4")
                )
            if schema is not None:
                await schema.create(address)
        return address

    async def cleanup_test_database(self, worker_id: str) -> None:
        """Remove a worker's database with everything in it, if it is there."""
        if self._backend == "redis":
            address = self._numbers.pop(worker_id, None)
        else:
            address = self._url(worker_id).render_as_string(hide_password=False)
        if address is not None:
            await drop_database(address)
            self._strike_out(address)

    async def _take_number(self, worker_id: str) -> str:
        if worker_id in self._numbers:
            await drop_database(self._numbers[worker_id])
        else:
            owner = f"andamios:{self._run_id}:{worker_id}:"
            self._numbers[worker_id] = await numbered.take(
                self._server, owner, self._ledger, set(self._numbers.values())
            )
        return self._numbers[worker_id]

    async def _copy_file(self, url: URL, schema: Schema | None) -> None:
        if schema is not None:
            owner = Path(str(url.database)).parent / f"andamios_{self._templates_of}"
            await templates.copy_file(url, schema, owner)

    async def _clone(self, name: str, schema: Schema | None) -> None:
        async with administering(self._server) as connection:
            if schema is None:
                await connection.execute(text(templates.plain(name)))
                return
            # Templates of a server that is kept stay for the next run.
            is_own = self._templates_of == self._run_id
            ledger = self._ledger if is_own else None
            owner = templates.Owner(self._server, f"andamios_{self._templates_of}", ledger)
            await templates.clone(connection, owner, schema, name)

    def _name(self, worker_id: str) -> str:
        # Goes into SQL as an identifier, which cannot be a bound parameter.
        name = re.sub(r"\W", "_", f"andamios_{self._run_id}_{worker_id}").lower()
        if len(name) <= LONGEST_NAME:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        return f"{name[: LONGEST_NAME - 13]}_{digest}"

    def _url(self, worker_id: str) -> URL:
        if self._backend == "sqlite":
            folder = Path(self._server.database or ".")
            return self._server.set(database=str(folder / f"{self._name(worker_id)}.db"))
        if self._backend in SERVERS:
            return self._server.set(database=self._name(worker_id))
        message = f"The harness knows no {self._backend} databases."
        raise ConfigurationError(message)

    def _write_down(self, address: str, worker_id: str) -> None:
        if self._ledger is not None:
            self._ledger.add(address, worker_id)

    def _strike_out(self, address: str) -> None:
        if self._ledger is not None:
            self._ledger.remove(address)


async def drop_database(address: str) -> None:
    """
    Remove a database with everything in it, if it is there.

    Args:
        address: Its URL, as :meth:`TestDatabaseManager.create_test_database` gave it.

    Raises:
        ConnectionFailedError: The server does not answer.
    """
    url = make_url(address)
    backend = url.get_backend_name()
    if backend == "redis":
        await numbered.empty(address)
    elif backend == "sqlite":
        await asyncio.to_thread(templates.remove_files, str(url.database))
    else:
        async with administering(url.set(database=_home(backend))) as connection:
            await _drop(connection, backend, str(url.database))


def _home(backend: str) -> str:
    """Name a database that is always there, to talk to the server from."""
    return "postgres" if backend == "postgresql" else "information_schema"


async def _drop(connection: AsyncConnection, backend: str, name: str) -> None:
    if backend == "postgresql":
        if templates.is_template(name):
            await connection.execute(text(templates.unseal(name)))
        await connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        return
    # A transaction that somebody left open would keep the database for ever.
    # SHOW, since a SELECT from the list fails while another statement contains an emoji.
    others = (await connection.execute(text("SHOW PROCESSLIST"))).mappings().all()
    for other in others:
        if other["db"] == name:
            with suppress(AndamiosError):  # it has ended by itself
                await connection.execute(text(f"KILL {other['Id']}"))
    await connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))


@asynccontextmanager
async def administering(server: URL) -> AsyncIterator[AsyncConnection]:
    """Connect to a server for statements that belong to no transaction."""
    engine = AndamiosEngine(server, uvloop=False, pool_size=1, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connections.acquire() as connection:
            yield connection
    finally:
        await engine.close()


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from a synchronous fixture, on a loop that touches no other."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)
