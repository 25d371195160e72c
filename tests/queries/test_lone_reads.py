"""A read that stands alone survives a connection that the server ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from andamios import AndamiosEngine, ConnectionFailedError, GenericRepository, TransactionError
from tests.core.server import other_connections
from tests.models.domain import LibTag

KILL = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "KILL {}",
}


@asynccontextmanager
async def _ended_connections(backend: str, test_database: str) -> AsyncIterator[None]:
    """End what lies in the pool from a connection of another engine, which stays open."""
    async with (
        AndamiosEngine(test_database, uvloop=False, pool_size=1) as other,
        other.async_engine.connect() as connection,
    ):
        if backend == "postgresql":
            await connection.execute(text(KILL["postgresql"]))
        else:
            for row in await other_connections(connection):
                await connection.execute(text(KILL["mysql"].format(row["Id"])))
        yield


@pytest.fixture
def server_backend(backend: str) -> str:
    """A backend that has connections to lose."""
    if backend == "sqlite":
        pytest.skip("SQLite has no server that could end a connection")
    return backend


async def test_a_lone_read_is_repeated(
    engine: AndamiosEngine, test_database: str, server_backend: str
) -> None:
    """The caller does not notice, not even in the moment in which it happens."""
    tags = GenericRepository[LibTag](engine)
    await tags.create(LibTag(name="kept"))
    async with _ended_connections(server_backend, test_database):
        assert 1 == await tags.count()
    async with _ended_connections(server_backend, test_database):
        assert ["kept"] == [tag.name for tag in await tags.list()]


async def test_a_read_in_a_session_is_not(
    engine: AndamiosEngine, test_database: str, server_backend: str
) -> None:
    """What was read before in the transaction would not be from the same moment."""

    async def read_on() -> None:
        async with engine.session() as session:
            tags = GenericRepository[LibTag](session)
            await tags.count()
            async with _ended_connections(server_backend, test_database):
                with pytest.raises(ConnectionFailedError):
                    await tags.count()

    with pytest.raises(TransactionError):  # the block ends as if there were something to commit
        await read_on()
