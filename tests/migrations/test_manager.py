import asyncio
import datetime as dt
import decimal
import enum
import io
import uuid
from pathlib import Path
from typing import Annotated, Literal

import alembic.command
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from pydantic import Field
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from andamios import (
    AndamiosEngine,
    AuditMixin,
    BaseModel,
    MigrationError,
    SoftDeleteModel,
    UUIDModel,
    VersioningMixin,
)
from andamios.core.facts import ConnectionTaken, QueryFinished
from andamios.migrations import MigrationManager
from andamios.models import UTCDateTime
from tests.migrations.conftest import ScriptWriter, table_names


class MigrationsBase(BaseModel, DeclarativeBase):
    """Keeps these tables out of everybody else's."""


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


class MigratedParent(VersioningMixin, AuditMixin, SoftDeleteModel, MigrationsBase):
    name: Mapped[Annotated[str, Field(max_length=40)]] = mapped_column(unique=True, index=True)
    text: Mapped[Annotated[str, Field(max_length=100_000)]]
    count: Mapped[int | None]
    ratio: Mapped[float]
    price: Mapped[decimal.Decimal]
    weight: Mapped[Annotated[decimal.Decimal, Field(max_digits=30, decimal_places=8)]]
    seen_at: Mapped[dt.datetime]
    day: Mapped[dt.date]
    clock: Mapped[dt.time]
    lasts: Mapped[dt.timedelta]
    blob: Mapped[bytes]
    facts: Mapped[dict[str, int]]
    tags: Mapped[list[str]]
    colour: Mapped[Colour]
    size: Mapped[Literal["small", "large"]]
    token: Mapped[uuid.UUID]
    is_on: Mapped[bool] = mapped_column(server_default=sa.true())
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("migrated_parent.id"))


class MigratedThing(UUIDModel, MigrationsBase):
    owner_id: Mapped[int] = mapped_column(
        sa.ForeignKey("migrated_parent.id", ondelete="CASCADE"), index=True
    )


async def test_every_type_survives_the_way_through_a_script(
    empty_engine: AndamiosEngine, directory: Path
) -> None:
    """What is generated and applied is what the models say; back again nothing is left."""
    manager = MigrationManager(empty_engine, directory, metadata=MigrationsBase)
    assert await manager.check()
    revision = await manager.generate_migration("All types")
    assert [revision] == await manager.apply_migrations()
    assert [] == await manager.check()
    assert [] == await manager.apply_migrations()
    with pytest.raises(MigrationError, match="Nothing to do"):
        await manager.generate_migration("Nothing")
    assert [revision] == await manager.rollback_migration("base")
    assert {"alembic_version"} == await table_names(empty_engine)


async def test_history_says_what_is_applied(
    manager: MigrationManager, write_script: ScriptWriter
) -> None:
    """Scripts and database are put side by side, before, halfway and after."""
    first = await write_script(
        "op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))"
    )
    second = await write_script(
        "op.create_table('two', sa.Column('id', sa.Integer, primary_key=True))"
    )
    assert [False, False] == [each.is_applied for each in await manager.history()]
    assert [first] == await manager.apply_migrations("+1")
    records = await manager.history()
    assert [(first, None, True, False), (second, first, False, True)] == [
        (each.revision, each.down_revision, each.is_applied, each.is_head) for each in records
    ]
    assert "Step r2." == records[1].message
    assert "r2.py" == records[1].path.name


async def test_progress_is_told(manager: MigrationManager, write_script: ScriptWriter) -> None:
    """After each migration, with the number done and the number of all."""
    for _ in range(3):
        await write_script("op.execute('SELECT 1')")
    told: list[tuple[str, int, int]] = []
    applied = await manager.apply_migrations(
        progress=lambda record, done, total: told.append((record.revision, done, total))
    )
    assert [("r1", 1, 3), ("r2", 2, 3), ("r3", 3, 3)] == told
    assert ["r1", "r2", "r3"] == applied


async def test_rollback_to_a_revision(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """Only what came after it is undone, the newest first."""
    for name in ("one", "two", "three"):
        await write_script(
            f"op.create_table('{name}', sa.Column('id', sa.Integer, primary_key=True))",
            f"op.drop_table('{name}')",
        )
    await manager.apply_migrations()
    assert ["r3", "r2"] == await manager.rollback_migration("r1")
    assert {"alembic_version", "one"} == await table_names(empty_engine)
    with pytest.raises(MigrationError, match=r"'nope'.*r1, r2, r3"):
        await manager.rollback_migration("nope")
    with pytest.raises(MigrationError, match="r3"):
        await manager.rollback_migration("r3")


async def test_a_database_that_lags_cannot_be_compared(
    manager: MigrationManager, write_script: ScriptWriter
) -> None:
    """What it lacks would be generated again."""
    await write_script("op.execute('SELECT 1')")
    with pytest.raises(MigrationError, match="apply_migrations"):
        await manager.generate_migration("more")


async def test_two_that_generate_at_once_make_one_script(
    manager: MigrationManager, directory: Path
) -> None:
    """Whoever comes second is told to apply the first one's, and makes no second head."""
    found = await asyncio.gather(
        *(manager.generate_migration(name, allow_empty=True) for name in ("a", "b", "c")),
        return_exceptions=True,
    )
    written = await asyncio.to_thread(lambda: list((directory / "versions").glob("*.py")))

    assert 1 == len(written)
    assert ["MigrationError", "MigrationError", "str"] == sorted(type(e).__name__ for e in found)


async def test_no_directory(manager: MigrationManager, directory: Path) -> None:
    """The error says where it was looked for."""
    with pytest.raises(MigrationError, match="no directory of migrations"):
        await manager.apply_migrations()
    assert not await asyncio.to_thread(directory.exists)


async def test_stamp(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """The revision is written down, and nothing is run."""
    await write_script("op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))")
    await manager.stamp("head")
    assert [] == await manager.apply_migrations()
    assert {"alembic_version"} == await table_names(empty_engine)
    with pytest.raises(MigrationError, match="r1"):
        await manager.stamp("nope")


async def test_sql_runs_nothing(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """The SQL starts at the revision that the database is at."""
    await write_script("op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))")
    await write_script("op.create_table('two', sa.Column('id', sa.Integer, primary_key=True))")
    await manager.apply_migrations("r1")
    found = await manager.sql()
    assert "CREATE TABLE two" in found
    assert "CREATE TABLE one" not in found
    assert "UPDATE alembic_version SET version_num='r2'" in found
    assert {"alembic_version", "one"} == await table_names(empty_engine)


async def test_one_connection_is_enough_for_two_at_once(
    empty_url: str, directory: Path, tables: sa.MetaData
) -> None:
    """Who has the only connection waits for nobody who waits for it."""
    one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    async with AndamiosEngine(empty_url, uvloop=False, **one) as engine:
        manager = MigrationManager(engine, directory, metadata=tables)
        taken = asyncio.Event()
        engine.hooks.listen(ConnectionTaken, lambda _: taken.set())
        generating = asyncio.create_task(manager.generate_migration("a", allow_empty=True))
        await taken.wait()
        await asyncio.gather(generating, *(manager.sql() for _ in range(3)))


async def test_a_failing_migration_leaves_nothing_or_says_what(
    manager: MigrationManager, empty_engine: AndamiosEngine, write_script: ScriptWriter
) -> None:
    """Those before it stay, of itself nothing; MySQL's error lists the DDL that stays."""
    await write_script("op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))")
    await write_script("""
        op.create_table('two', sa.Column('id', sa.Integer, primary_key=True))
        op.execute("INSERT INTO one VALUES (42)")
        op.execute("INSERT INTO nowhere VALUES ('secret')")
    """)
    with pytest.raises(MigrationError, match=r"Migration r2 in .*r2\.py failed") as caught:
        await manager.apply_migrations()
    assert ("r2", "r2.py") == (caught.value.revision, Path(caught.value.path).name)
    assert ["r1"] == [each.revision for each in await manager.history() if each.is_applied]
    names = await table_names(empty_engine)
    if empty_engine.backend == "mysql":
        assert "stay, and running it again repeats them: CREATE TABLE two" in str(caught.value)
        assert "two" in names
    else:
        assert "Nothing of it stays" in str(caught.value)
        assert "two" not in names
    async with empty_engine.session(read_only=True) as session:
        assert 0 == await session.scalar(sa.text("SELECT count(*) FROM one"))


SLEEP = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(30)",
    "mysql": "SELECT SLEEP(30)",
}


async def test_a_cancelled_migration_is_logged(
    manager: MigrationManager,
    empty_engine: AndamiosEngine,
    write_script: ScriptWriter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody gets an error then, so that the log says what stays."""
    backend = empty_engine.backend
    await write_script(f"""
        op.create_table('two', sa.Column('id', sa.Integer, primary_key=True))
        op.execute("{SLEEP[backend]}")
    """)
    created = asyncio.Event()

    def look(fact: QueryFinished) -> None:
        if "CREATE TABLE two" in fact.statement:
            created.set()

    empty_engine.hooks.listen(QueryFinished, look)
    migrating = asyncio.create_task(manager.apply_migrations())
    await created.wait()
    await asyncio.sleep(0.2)
    migrating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await migrating
    names = await table_names(empty_engine)
    (said,) = [each for each in caplog.records if each.name == "andamios.migrations"]
    stays = "These statements stay, and running it again repeats them: CREATE TABLE two"

    assert ("WARNING", True) == (said.levelname, "Migration r1 in" in said.getMessage())
    assert (stays in said.getMessage()) is ("two" in names) is (backend == "mysql")
    assert ("under way" in said.getMessage()) is (backend == "mysql")


async def test_ddl_behind_a_comment_stays_too(
    manager: MigrationManager, backend: str, write_script: ScriptWriter
) -> None:
    """MySQL commits it all the same, and the error says so."""
    await write_script("""
        op.execute("-- new\\n /* two; */ CREATE TABLE two (id INT)")
        op.execute("INSERT INTO nowhere VALUES (1)")
    """)
    with pytest.raises(MigrationError) as caught:
        await manager.apply_migrations()
    stays = "CREATE TABLE two (id INT)." in str(caught.value)
    assert (backend == "mysql") is stays


async def test_check_names_what_differs(
    manager: MigrationManager, tables: sa.MetaData, write_script: ScriptWriter
) -> None:
    """One readable line a difference."""
    sa.Table(
        "one", tables, sa.Column("id", sa.Integer, primary_key=True), sa.Column("b", sa.Integer)
    )
    sa.Table("new", tables, sa.Column("id", sa.Integer, primary_key=True))
    await write_script("""
        op.create_table('one', sa.Column('id', sa.Integer, primary_key=True),
                        sa.Column('a', sa.Integer), sa.Column('b', sa.String(20)))
        op.create_table('old', sa.Column('id', sa.Integer, primary_key=True))
    """)
    await manager.apply_migrations()
    lines = sorted(await manager.check())
    assert [
        "column one.a is in no model",
        "table new is missing in the database",
        "table old is in no model",
    ] == [line for line in lines if "one.b" not in line]
    assert any(line.startswith("column one.b: type is") for line in lines)


async def test_alembics_own_directory_and_commands_go_on(
    empty_engine: AndamiosEngine, directory: Path, tables: sa.MetaData, backend: str
) -> None:
    """A directory of `alembic init` is taken as it is, and Alembic reads our version table."""
    if backend != "sqlite":
        pytest.skip("Alembic's command line is the same everywhere")
    sa.Table("one", tables, sa.Column("id", sa.Integer, primary_key=True))

    def initialise() -> None:
        ini = directory.with_name("alembic.ini")
        alembic.command.init(Config(str(ini), stdout=io.StringIO()), str(directory))

    await asyncio.to_thread(initialise)
    manager = MigrationManager(empty_engine, directory, metadata=tables)
    revision = await manager.generate_migration("one")
    await manager.apply_migrations()

    def current() -> str | None:
        engine = sa.create_engine(f"sqlite:///{empty_engine.url.database}")
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        engine.dispose()
        return found

    assert revision == await asyncio.to_thread(current)


def changed_tables(*, is_new: bool) -> sa.MetaData:
    """Build a table before or after many kinds of changes."""
    tables = sa.MetaData(naming_convention=BaseModel.metadata.naming_convention)
    sa.Table("other", tables, sa.Column("id", sa.Integer, primary_key=True))
    table = sa.Table(
        "thing",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40 if is_new else 20), nullable=is_new, unique=is_new),
        sa.Column("price", sa.Numeric(30, 8)),
    )
    if is_new:
        table.append_column(sa.Column("other_id", sa.Integer, sa.ForeignKey("other.id")))
        table.append_column(sa.Column("seen_at", UTCDateTime(), index=True))
    else:
        table.append_column(sa.Column("old", sa.Integer, index=True))
    return tables


async def test_changes_are_generated_and_undone(
    empty_engine: AndamiosEngine, directory: Path
) -> None:
    """Columns, types, NULL, keys and indexes come and go, and rows stay."""
    before, after = (
        MigrationManager(empty_engine, directory, metadata=changed_tables(is_new=is_new))
        for is_new in (False, True)
    )
    first = await before.generate_migration("before")
    await before.apply_migrations()
    async with empty_engine.session() as session:
        await session.execute(sa.text("INSERT INTO thing (id, name, price) VALUES (1, 'a', 2.5)"))
    second = await after.generate_migration("after")
    assert [second] == await after.apply_migrations()
    assert [] == await after.check()
    assert [second] == await before.rollback_migration(first)
    assert [] == await before.check()
    async with empty_engine.session() as session:
        rows = await session.execute(sa.text("SELECT id, name FROM thing"))
        assert [(1, "a")] == [tuple(row) for row in rows]


async def test_without_models_nothing_is_compared(
    manager: MigrationManager, empty_engine: AndamiosEngine, directory: Path
) -> None:
    """Models that nobody imported are no reason to drop every table."""
    async with empty_engine.session() as session:
        await session.execute(sa.text("CREATE TABLE theirs (id INTEGER)"))
    for compare in (manager.generate_migration("drop it all"), manager.check()):
        with pytest.raises(MigrationError, match="Import the modules"):
            await compare
    assert [] == await asyncio.to_thread(lambda: list((directory / "versions").glob("*.py")))


async def test_tables_of_ours_are_left_alone(
    manager: MigrationManager, empty_engine: AndamiosEngine, tables: sa.MetaData
) -> None:
    """The audit trail is in no model of the program, and stays out of its migrations."""
    from andamios.security import AuditLogger  # noqa: PLC0415

    sa.Table("thing", tables, sa.Column("id", sa.Integer, primary_key=True))
    await AuditLogger(empty_engine).create_tables()
    await manager.generate_migration("things")
    await manager.apply_migrations()

    assert [] == await manager.check()
    assert (await AuditLogger(empty_engine).verify()).is_intact
    assert "andamios_audit" not in await manager.sql()
