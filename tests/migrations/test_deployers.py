import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from andamios import AndamiosEngine, MigrationError
from andamios.migrations import MigrationManager
from tests.migrations.conftest import ScriptWriter

DEPLOYER = """
import asyncio, os
from andamios import AndamiosEngine
from andamios.migrations import MigrationManager

async def main():
    async with AndamiosEngine(os.environ["URL"], uvloop=False) as engine:
        applied = await MigrationManager(engine, os.environ["DIRECTORY"]).apply_migrations()
        print(len(applied))

asyncio.run(main())
"""


async def write_slow_scripts(write_script: ScriptWriter) -> None:
    """Write three migrations that take their time and count their runs."""
    await write_script("op.create_table('run', sa.Column('step', sa.Integer))")
    for step in (2, 3):
        await write_script(f"""
            import time
            time.sleep(0.3)
            op.execute("INSERT INTO run VALUES ({step})")
        """)


async def steps_run(engine: AndamiosEngine) -> list[int]:
    """Read which migrations ran, as often as they did."""
    async with engine.session(read_only=True) as session:
        return list(await session.scalars(text("SELECT step FROM run ORDER BY step")))


async def test_two_deployers_run_each_migration_once(
    empty_engine: AndamiosEngine, empty_url: str, directory: Path, write_script: ScriptWriter
) -> None:
    """Two processes that migrate at the same moment share the work, and neither fails."""
    await write_slow_scripts(write_script)
    environment = {**os.environ, "URL": empty_url, "DIRECTORY": str(directory)}

    def deploy() -> int:
        command = [sys.executable, "-c", DEPLOYER]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: PLW1510
        assert 0 == ended.returncode, ended.stderr
        return int(ended.stdout)

    assert 3 == sum(await asyncio.gather(asyncio.to_thread(deploy), asyncio.to_thread(deploy)))
    assert [2, 3] == await steps_run(empty_engine)


async def test_two_managers_of_one_process(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """Tasks take turns as processes do; Alembic's global names serve one at a time."""
    await write_script("op.create_table('run', sa.Column('step', sa.Integer))")
    await write_script("op.execute('INSERT INTO run VALUES (2)')")
    applied = await asyncio.gather(manager.apply_migrations(), manager.apply_migrations())
    assert [[], ["r1", "r2"]] == sorted(applied)
    assert [2] == await steps_run(empty_engine)


async def test_waiting_for_a_deployer_ends(
    empty_engine: AndamiosEngine, directory: Path, write_script: ScriptWriter, backend: str
) -> None:
    """Who waits too long is told why; the lock of a closed connection is free."""
    if backend == "sqlite":
        pytest.skip("SQLite has no advisory lock: its write lock does")
    await write_script("op.execute('SELECT 1')")
    manager = MigrationManager(empty_engine, directory, deployer_timeout=0.3)
    lock = {
        "postgresql": "SELECT pg_advisory_lock(hashtext('andamios'), hashtext('migrations'))",
        "mysql": "SELECT GET_LOCK(CONCAT('andamios_migrations_', "
        "LEFT(SHA2(DATABASE(), 256), 32)), 0)",
    }[backend]
    async with empty_engine.connections.acquire() as connection:
        await connection.execute(text(lock))
        with pytest.raises(MigrationError, match="deployer_timeout"):
            await manager.apply_migrations()
        await connection.invalidate()
    await asyncio.sleep(0.3)
    assert ["r1"] == await manager.apply_migrations()


async def test_a_statement_that_waits_for_a_lock_gives_up_and_is_tried_again(
    empty_engine: AndamiosEngine, directory: Path, write_script: ScriptWriter, backend: str
) -> None:
    """Whoever reads the table in a long transaction delays ALTER TABLE, which does not queue."""
    if backend == "sqlite":
        pytest.skip("SQLite's readers do not block its writer")
    await write_script("op.create_table('run', sa.Column('step', sa.Integer))")
    await write_script("op.add_column('run', sa.Column('more', sa.Integer))")
    manager = MigrationManager(empty_engine, directory, lock_timeout=1)
    await manager.apply_migrations("r1")
    async with empty_engine.connections.acquire() as reader:
        await reader.execute(text("SELECT * FROM run"))
        task = asyncio.create_task(manager.apply_migrations())
        await asyncio.sleep(1.5)
        assert not task.done()
        await reader.rollback()
        assert ["r2"] == await task
