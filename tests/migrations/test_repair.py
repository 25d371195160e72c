import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from andamios import AndamiosEngine, MigrationError
from andamios.migrations import MigrationManager
from tests.migrations.conftest import ScriptWriter

INVALID = text("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
NAMES = text("SELECT indexname FROM pg_indexes WHERE tablename = 'Person'")


@pytest.fixture(autouse=True)
def _postgresql_only(backend: str) -> None:
    if backend != "postgresql":
        pytest.skip("only PostgreSQL leaves invalid indexes")


async def write_scripts(write_script: ScriptWriter) -> None:
    """Write a table with two equal rows, and a unique index that cannot be built."""
    await write_script("""
        op.create_table('Person', sa.Column('email', sa.String(20)))
        op.execute("INSERT INTO \\"Person\\" VALUES ('a'), ('a')")
    """)
    await write_script("""
        with op.get_context().autocommit_block():
            op.create_index('Ix', 'Person', ['email'], unique=True, postgresql_concurrently=True,
                            if_not_exists=True)
    """)


async def scalar(engine: AndamiosEngine, statement: object) -> object:
    """Read one value."""
    async with engine.session() as session:
        return await session.scalar(statement)  # type: ignore[call-overload]


async def test_an_invalid_index_is_dropped_before_the_next_attempt(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """With IF NOT EXISTS the broken one would otherwise stay for ever, and nobody notice."""
    await write_scripts(write_script)
    with pytest.raises(MigrationError, match=r"Migration r2 .*exists already"):
        await manager.apply_migrations()
    assert 1 == await scalar(empty_engine, INVALID)
    async with empty_engine.session() as session:
        await session.execute(text('UPDATE "Person" SET email = CAST(ctid AS text)'))
    assert ["r2"] == await manager.apply_migrations()
    assert 0 == await scalar(empty_engine, INVALID)
    assert "Ix" == await scalar(empty_engine, NAMES)


async def test_a_valid_index_stays(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """Only one that PostgreSQL itself calls invalid is dropped."""
    await write_scripts(write_script)
    await manager.apply_migrations("r1")
    async with empty_engine.session() as session:
        await session.execute(text('DELETE FROM "Person"'))
        await session.execute(text('CREATE INDEX "Ix" ON "Person" (email)'))
    before = await scalar(empty_engine, text("SELECT '\"Ix\"'::regclass::oid::int"))
    await manager.apply_migrations()
    assert before == await scalar(empty_engine, text("SELECT '\"Ix\"'::regclass::oid::int"))


async def test_the_error_says_what_was_committed_before(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """An autocommit block commits what stands before it in the same script."""
    await write_script("""
        op.create_table('kept', sa.Column('id', sa.Integer))
        with op.get_context().autocommit_block():
            op.execute("SELECT 1 / 0")
    """)
    with pytest.raises(MigrationError, match=r"These statements stay.*CREATE TABLE kept"):
        await manager.apply_migrations()
    assert 0 == await scalar(empty_engine, text("SELECT count(*) FROM kept"))


async def test_an_index_that_waited_too_long_is_tried_again(
    empty_engine: AndamiosEngine, directory: Path, write_script: ScriptWriter
) -> None:
    """Building concurrently waits for those who write; giving up leaves an invalid index."""
    await write_scripts(write_script)
    manager = MigrationManager(empty_engine, directory, lock_timeout=0.5)
    await manager.apply_migrations("r1")
    async with empty_engine.connections.acquire() as writer:
        await writer.execute(text('UPDATE "Person" SET email = CAST(ctid AS text)'))
        task = asyncio.create_task(manager.apply_migrations())
        await asyncio.sleep(1)
        assert 1 == await scalar(empty_engine, INVALID)
        await writer.commit()
        assert ["r2"] == await task
    assert 0 == await scalar(empty_engine, INVALID)
