"""The table of commit markers, made by a migration."""

from sqlalchemy import inspect

from andamios import AndamiosEngine
from andamios.core.markers import MARKING_BACKENDS
from andamios.migrations import MigrationManager
from andamios.resilience import TransactionManager
from tests.migrations.conftest import ScriptWriter

SCRIPT = "from andamios.migrations import create_commit_markers; create_commit_markers()"
BACK = "from andamios.migrations import drop_commit_markers; drop_commit_markers()"


async def has_table(engine: AndamiosEngine) -> bool:
    """Whether the table is there."""
    async with engine.connections.acquire() as connection:
        return await connection.run_sync(lambda sync: inspect(sync).has_table("andamios_commits"))


async def test_a_migration_makes_and_drops_the_table(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """It is made where it is needed, as prepare() would have, and taken away again."""
    await write_script(SCRIPT, BACK)
    await manager.apply_migrations()
    assert (empty_engine.backend in MARKING_BACKENDS) is await has_table(empty_engine)
    await TransactionManager(empty_engine).prepare()
    await manager.rollback_migration("base")
    assert not await has_table(empty_engine)
