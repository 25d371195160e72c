import asyncio

import pytest
from sqlalchemy import text

from andamios import AndamiosEngine, ForeignKeyError, MigrationError
from andamios.migrations import MigrationManager
from andamios.migrations.session import migrating_connection
from tests.migrations.conftest import ScriptWriter

TABLES = """
    op.create_table('parent', sa.Column('id', sa.Integer, primary_key=True),
                    sa.Column('size', sa.Numeric(30, 8)), sa.Column('note', sa.String(20)))
    op.create_table('child', sa.Column('id', sa.Integer, primary_key=True),
                    sa.Column('parent_id', sa.Integer,
                              sa.ForeignKey('parent.id', ondelete='CASCADE')))
    op.execute("INSERT INTO parent VALUES (1, '9', NULL), (2, '10', NULL), (3, '-1', NULL)")
    op.execute("INSERT INTO child VALUES (1, 1)")
"""

COPY = """
    with op.batch_alter_table('parent') as batch:
        batch.drop_column('note')
"""


@pytest.fixture(autouse=True)
def _sqlite_only(backend: str) -> None:
    if backend != "sqlite":
        pytest.skip("only SQLite copies tables to change them")


async def test_copying_a_table_keeps_the_rows_that_refer_to_it(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """Dropping the old table would delete them by their ON DELETE CASCADE."""
    await write_script(TABLES)
    await write_script(COPY)
    await manager.apply_migrations()
    async with empty_engine.session() as session:
        assert 1 == await session.scalar(text("SELECT count(*) FROM child"))


async def test_foreign_keys_hold_again_after_it(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """The connection goes back to the pool as it was."""
    await write_script(TABLES)
    await write_script(COPY)
    await manager.apply_migrations()
    with pytest.raises(ForeignKeyError):
        async with empty_engine.session() as session:
            await session.execute(text("INSERT INTO child VALUES (2, 99)"))
    async with empty_engine.session() as session:
        assert 10_000 == await session.scalar(text("PRAGMA busy_timeout"))


async def test_a_migration_that_breaks_references_is_refused(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """They are off while it runs, and looked at before it commits."""
    await write_script(TABLES)
    await write_script("op.execute('DELETE FROM parent WHERE id = 1')")
    with pytest.raises(MigrationError, match=r"r2 .*Foreign keys of child no longer hold"):
        await manager.apply_migrations()
    async with empty_engine.session() as session:
        assert 3 == await session.scalar(text("SELECT count(*) FROM parent"))


async def test_copying_a_table_keeps_the_order_of_long_decimals(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """They are texts with a collation, which a copy must have as well."""
    await write_script(TABLES)
    await write_script(COPY)
    await manager.apply_migrations()
    async with empty_engine.session() as session:
        found = await session.scalars(text("SELECT size FROM parent ORDER BY size"))
        assert ["-1", "9", "10"] == list(found)


async def test_a_cancelled_migration_leaves_no_connection_without_foreign_keys(
    empty_url: str,
) -> None:
    """Wherever it is cancelled, whoever takes the connection next has the usual settings."""
    async with AndamiosEngine(empty_url, uvloop=False, pool_size=1, max_overflow=0) as engine:

        async def migrate() -> None:
            settings = migrating_connection(engine, lock_timeout=5, patience=100)
            async with settings as connection:
                await connection.execute(text("SELECT 1"))

        for steps in range(60):
            migrating = asyncio.create_task(migrate())
            for _ in range(steps):
                await asyncio.sleep(0)
            migrating.cancel()
            await asyncio.wait({migrating})
            async with engine.session() as session:
                settings = [
                    await session.scalar(text(f"PRAGMA {name}"))
                    for name in ("foreign_keys", "busy_timeout")
                ]
            assert [1, 10_000] == settings, steps
