"""Fixtures for migrations: a database without tables, and a folder of scripts."""

import asyncio
import textwrap
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from sqlalchemy import MetaData, inspect

from andamios import AndamiosEngine
from andamios.migrations import MigrationManager
from andamios.models.tables import NAMING_CONVENTION
from harness.databases import TestDatabaseManager

ManagerMaker: TypeAlias = Callable[..., MigrationManager]
ScriptWriter: TypeAlias = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture
async def empty_url(database_server: str, worker_name: str) -> AsyncIterator[str]:
    """The URL of a database of this test's own, with nothing in it."""
    databases = TestDatabaseManager(database_server, uuid.uuid4().hex[:12])
    yield await databases.create_test_database(worker_name)
    await databases.cleanup_test_database(worker_name)


@pytest_asyncio.fixture
async def empty_engine(empty_url: str) -> AsyncIterator[AndamiosEngine]:
    """An engine on that database."""
    async with AndamiosEngine(empty_url, uvloop=False, pool_size=5) as engine:
        yield engine


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the scripts go; it is not there yet."""
    return tmp_path / "scripts"


@pytest.fixture
def tables() -> MetaData:
    """Tables that a test fills, with the names that models give their constraints."""
    return MetaData(naming_convention=NAMING_CONVENTION)


@pytest.fixture
def manager(empty_engine: AndamiosEngine, directory: Path, tables: MetaData) -> MigrationManager:
    """A manager of those tables."""
    return MigrationManager(empty_engine, directory, metadata=tables)


@pytest.fixture
def write_script(directory: Path) -> ScriptWriter:
    """Write scripts by hand, each following the one before."""
    written: list[str] = []

    async def write(upgrade: str, downgrade: str = "pass", *, revision: str = "") -> str:
        versions = directory / "versions"
        down: Any = written[-1] if written else None
        revision = revision or f"r{len(written) + 1}"
        parts = [
            f'"""Step {revision}."""',
            "import sqlalchemy as sa",
            "from alembic import op",
            f"revision = {revision!r}",
            f"down_revision = {down!r}",
            "def upgrade():",
            textwrap.indent(textwrap.dedent(upgrade).strip(), "    "),
            "def downgrade():",
            textwrap.indent(textwrap.dedent(downgrade).strip(), "    "),
        ]

        def save() -> None:
            versions.mkdir(parents=True, exist_ok=True)
            (versions / f"{revision}.py").write_text("\n".join(parts), encoding="utf-8")

        await asyncio.to_thread(save)
        written.append(revision)
        return revision

    return write


async def table_names(engine: AndamiosEngine) -> set[str]:
    """Look which tables a database has."""
    async with engine.connections.acquire() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
