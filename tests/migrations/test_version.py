from pathlib import Path

import pytest
import sqlalchemy as sa

from andamios import AndamiosEngine, MigrationError
from andamios.migrations import EnvironmentVersion, MigrationManager, SchemaVersion
from tests.migrations.conftest import ScriptWriter

FIRST = """
    op.create_table('user', sa.Column('id', sa.Integer, primary_key=True),
                    sa.Column('name', sa.String(20), nullable=False))
"""

RENAMED = """
    with op.batch_alter_table('user') as batch:
        batch.alter_column('name', new_column_name='full_name', nullable=True)
"""


@pytest.fixture
def version(empty_engine: AndamiosEngine, directory: Path, tables: sa.MetaData) -> SchemaVersion:
    """Of the code that knows a user's id and name."""
    sa.Table(
        "user",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(20), nullable=False),
    )
    return SchemaVersion(empty_engine, directory, metadata=tables)


async def test_the_current_version(
    version: SchemaVersion, manager: MigrationManager, write_script: ScriptWriter
) -> None:
    """None before the first migration, then its revision."""
    await write_script(FIRST)
    assert await version.get_current_version() is None
    await manager.apply_migrations()
    assert "r1" == await version.get_current_version()


@pytest.mark.parametrize(
    "script",
    [
        "op.add_column('user', sa.Column('nick', sa.String(20)))",
        "op.add_column('user', sa.Column('n', sa.Integer, nullable=False, server_default='0'))",
        "op.create_table('other', sa.Column('id', sa.Integer, primary_key=True))",
        "op.create_index('i', 'user', ['name'])",
        "op.alter_column('user', 'name', nullable=True)",
    ],
)
async def test_changes_that_old_code_survives(
    script: str, version: SchemaVersion, write_script: ScriptWriter
) -> None:
    """What is added, and need not be given, disturbs nobody."""
    await write_script(FIRST)
    await write_script(script)
    assert await version.validate_compatibility("head")
    assert await version.validate_compatibility("r1")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("op.drop_column('user', 'name')", "r2: column user.name is missing"),
        ("op.drop_table('user')", "r2: table user is missing"),
        ("op.rename_table('user', 'person')", "r2: table user is missing"),
        (
            "op.add_column('user', sa.Column('nick', sa.String(20), nullable=False))",
            "r2: column user.nick must be given a value, and is in no model",
        ),
        (
            RENAMED,
            "r2: column user.name is missing",
        ),
    ],
)
async def test_changes_that_old_code_does_not_survive(
    script: str, reason: str, version: SchemaVersion, write_script: ScriptWriter
) -> None:
    """What code uses is gone, or what it does not know is required."""
    await write_script(FIRST)
    await write_script(script)
    assert not await version.validate_compatibility("r2")
    assert [reason] == await version.incompatibilities("r2")
    assert await version.validate_compatibility("r1")


async def test_the_schema_before_counts_as_well(
    version: SchemaVersion, tables: sa.MetaData, write_script: ScriptWriter
) -> None:
    """New code that needs the new column fails as long as the migration has not run."""
    tables.tables["user"].append_column(sa.Column("nick", sa.String(20)))
    await write_script(FIRST)
    await write_script("op.add_column('user', sa.Column('nick', sa.String(20)))")
    await write_script("op.create_index('i', 'user', ['name'])")
    assert ["r1: column user.nick is missing"] == await version.incompatibilities("r2")
    assert await version.validate_compatibility("r3")


async def test_a_value_that_the_database_begins_to_require(
    version: SchemaVersion, tables: sa.MetaData, write_script: ScriptWriter
) -> None:
    """Code that may write NULL does not work where the column takes none."""
    tables.tables["user"].append_column(sa.Column("nick", sa.String(20)))
    await write_script(FIRST)
    await write_script("op.add_column('user', sa.Column('nick', sa.String(20)))")
    await write_script("op.alter_column('user', 'nick', nullable=False)")
    assert not await version.validate_compatibility("r3")


async def test_an_unknown_version(version: SchemaVersion, write_script: ScriptWriter) -> None:
    """The error names those that there are."""
    await write_script(FIRST)
    with pytest.raises(MigrationError, match=r"'nope'.*r1"):
        await version.validate_compatibility("nope")


async def test_environments_side_by_side(
    version: SchemaVersion,
    manager: MigrationManager,
    empty_engine: AndamiosEngine,
    write_script: ScriptWriter,
    tmp_path: Path,
) -> None:
    """Each with its version, and how far behind or whether beyond the scripts it is."""
    await write_script(FIRST)
    await write_script("op.execute('SELECT 1')")
    await manager.apply_migrations("r1")
    async with (
        AndamiosEngine(f"sqlite:///{tmp_path / 'new.db'}", uvloop=False) as new,
        AndamiosEngine(f"sqlite:///{tmp_path / 'ahead.db'}", uvloop=False) as ahead,
    ):
        async with ahead.session() as session:
            await session.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
            await session.execute(sa.text("INSERT INTO alembic_version VALUES ('r9')"))
        found = await version.compare({"test": empty_engine, "new": new, "ahead": ahead})
    assert [
        EnvironmentVersion("test", "r1", behind=1, is_known=True),
        EnvironmentVersion("new", None, behind=2, is_known=True),
        EnvironmentVersion("ahead", "r9", behind=None, is_known=False),
    ] == found
