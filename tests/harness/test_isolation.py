"""The three tiers: how a test is kept from others, and what a test may not do in its tier."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from harness.isolation.statements import first_word

Inner: TypeAlias = Callable[..., pytest.RunResult]

START = """
    import asyncio
    import pytest
    from sqlalchemy import String, text
    from sqlalchemy.orm import mapped_column
    from andamios import AndamiosEngine, AsyncSession, BaseModel, GenericRepository

    class Crate(BaseModel):
        label = mapped_column(String(50))

    class CrateRepository(GenericRepository[Crate]):
        async def add(self, label):
            return await self.create(Crate(label=label))

    @pytest.fixture
    def crates(engine):
        return CrateRepository(engine)
"""


@pytest.fixture
def inner(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, backend: str, database_server: str
) -> Inner:
    """Run tests in a process of their own, in a server of this run."""
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    (pytester.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(pytester.path / "tmp"))
    if backend != "sqlite":
        name = {"postgresql": "POSTGRES", "mariadb": "MARIADB"}.get(backend, "MYSQL")
        monkeypatch.setenv(f"ANDAMIOS_{name}_URL", database_server.replace("+asyncmy", ""))

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(START + source)
        provider = () if backend == "sqlite" else ("--harness-provider=url",)
        return pytester.runpytest_subprocess(
            f"--harness-backends={backend}", *provider, "-p", "no:cacheprovider", *options
        )

    return run


def test_tiers(inner: Inner) -> None:
    """Each tier leaves nothing to the next test, whatever was committed."""
    result = inner("""
    TIERS = ["rolled_back", "committing", "own"]

    @pytest.mark.parametrize("turn", range(2))
    class TestTiers:
        @pytest.mark.isolation("rolled_back")
        async def test_rolled_back(self, crates, turn):
            await self.check(crates)

        @pytest.mark.isolation("committing")
        async def test_committing(self, crates, turn):
            await self.check(crates)

        @pytest.mark.isolation("own")
        async def test_own(self, crates, turn):
            await self.check(crates)

        async def test_default(self, crates, isolation, turn):
            assert "rolled_back" == isolation
            await self.check(crates)

        async def test_by_fixture(self, crates, isolation, own_database, turn):
            assert "own" == isolation
            await self.check(crates)

        async def test_clean(self, crates, isolation, clean_database, turn):
            assert "committing" == isolation
            await self.check(crates)

        async def test_url_alone(self, test_database, turn):
            async with AndamiosEngine(test_database, uvloop=False) as engine:
                await self.check(CrateRepository(engine))

        async def check(self, crates):
            assert 0 == await crates.count()
            await crates.add("one")
            assert 1 == await crates.count()
    """)

    result.assert_outcomes(passed=14)


def test_own_database_is_alone(inner: Inner) -> None:
    """It may be changed in every way: no other test sees its tables."""
    result = inner("""
    @pytest.mark.isolation("own")
    @pytest.mark.parametrize("turn", range(2))
    async def test_ddl(engine, turn):
        async with engine.session() as session:
            await session.execute(text("CREATE TABLE mine (id INTEGER)"))
            await session.execute(text("INSERT INTO mine VALUES (1)"))
            assert 1 == await session.scalar(text("SELECT COUNT(*) FROM mine"))
    """)

    result.assert_outcomes(passed=2)


def test_implicit_commit(inner: Inner, backend: str) -> None:
    """DDL in a rolled-back test: where it commits, that test fails and says why."""
    result = inner("""
    async def test_ddl(engine, crates):
        await crates.add("one")
        async with engine.session() as session:
            await session.execute(text("CREATE TABLE mine (id INTEGER)"))

    async def test_after(crates):
        assert 0 == await crates.count()
    """)

    if backend in {"sqlite", "postgresql"}:
        result.assert_outcomes(passed=2)
    else:
        result.assert_outcomes(passed=1, failed=1, errors=1)
        result.stdout.fnmatch_lines(
            [
                "*MySQL commits before CREATE, and what the test wrote could not be rolled back*",
                "*'CREATE TABLE mine (id INTEGER)'. Mark the test @pytest.mark.isolation('own')*",
            ]
        )


def test_implicit_commit_unseen(inner: Inner, backend: str) -> None:
    """A commit that no statement shows is found at the end, and cleaned up."""
    if backend in {"sqlite", "postgresql"}:
        pytest.skip("only MySQL and MariaDB commit on SET")
    result = inner("""
    async def test_sneaky(engine, crates):
        await crates.add("one")
        async with engine.session() as session:
            await session.execute(text("SET autocommit = 1"))

    async def test_after(crates):
        assert 0 == await crates.count()
    """)

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*transaction ended before the test did*"])


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK", "BEGIN"])
def test_statements_that_end_it(inner: Inner, statement: str) -> None:
    """COMMIT and its like as texts would end the transaction of the test."""
    result = inner(f"""
    async def test_text(engine):
        async with engine.session() as session:
            await session.execute(text("{statement}"))
    """)

    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines([f"*{statement} was sent as a statement*"])


def test_commit_elsewhere(inner: Inner) -> None:
    """Rows that another engine committed fail the test, and are gone before the next one."""
    result = inner("""
    async def test_elsewhere(engine, test_database):
        async with AndamiosEngine(test_database, uvloop=False) as other:
            await CrateRepository(other).add("one")

    async def test_after(crates):
        assert 0 == await crates.count()
    """)

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*committed outside of the test's transaction, in crate:*"])


def test_overlap(inner: Inner) -> None:
    """A rollback that takes the commit of another session along fails the test."""
    result = inner("""
    async def test_overlapping(engine, crates):
        async with AsyncSession(engine) as session:
            session.add(Crate(label="one"))
            await session.flush()
            await crates.add("two")
            await session.rollback()
    """)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*rolled back while another one of the test overlapped it*"])


def test_overlap_of_a_savepoint(inner: Inner) -> None:
    """So does the rollback of a savepoint in which another session committed."""
    result = inner("""
    async def test_overlapping(engine, crates):
        async with AsyncSession(engine) as session:
            await session.execute(text("SELECT 1"))
            nested = await session.begin_nested()
            session.add(Crate(label="one"))
            await session.flush()
            await crates.add("two")
            await nested.rollback()
            await session.commit()
    """)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*rolled back while another one of the test overlapped it*"])


def test_failure_of_another(inner: Inner, backend: str) -> None:
    """Where a failed transaction keeps others from the connection, the test says so."""
    if backend != "postgresql":
        pytest.skip("only PostgreSQL refuses what comes after a failed statement")
    result = inner("""
    from andamios import AndamiosError

    async def test_failing(engine, crates):
        async with AsyncSession(engine) as session:
            with pytest.raises(AndamiosError):
                await session.execute(text("SELECT 1 / 0"))
            with pytest.raises(AndamiosError):
                await crates.add("one")
    """)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*PostgreSQL then refused those of another one*"])


def test_lost_connection(inner: Inner) -> None:
    """A connection that was given up takes the transaction along, which the error says."""
    result = inner("""
    async def test_lost(engine, crates):
        async with engine.connections.acquire() as connection:
            await connection.execute(text("SELECT 1"))
            await connection.invalidate()
        await crates.add("one")

    async def test_after(crates):
        assert 0 == await crates.count()
    """)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*The connection of this test was lost*'committing'*"])


def test_deferred_constraints(inner: Inner, backend: str) -> None:
    """A constraint that is checked at COMMIT is checked at the commits of a rolled-back test."""
    if backend not in {"sqlite", "postgresql"}:
        pytest.skip("MySQL and MariaDB check every constraint at once")
    result = inner("""
    from sqlalchemy import ForeignKey
    from andamios import ForeignKeyError

    class Lid(BaseModel):
        crate_id = mapped_column(ForeignKey("crate.id", deferrable=True, initially="DEFERRED"))

    async def test_refused(engine):
        with pytest.raises(ForeignKeyError):
            async with engine.session() as session:
                session.add(Lid(crate_id=77))
        async with engine.session() as session:
            session.add(Lid(crate_id=77))
            await session.flush()
            session.add(Crate(id=77, label="late"))
    """)

    result.assert_outcomes(passed=1)


def test_seeds_stay(inner: Inner) -> None:
    """Rows that the schema came with are there for every test, in every tier."""
    result = inner("""
    from harness.templates import Schema

    @pytest.fixture(scope="session")
    def default_isolation():
        return "committing"

    @pytest.fixture
    def db_schema(db_schema):
        async def create(url):
            await db_schema.create(url)
            async with AndamiosEngine(url, uvloop=False) as engine:
                await CrateRepository(engine).add("seed")
        return Schema(db_schema.digest, create)

    @pytest.mark.parametrize("turn", range(3))
    async def test_committing(crates, turn):
        assert ["seed"] == [crate.label for crate in await crates.list()]
        await crates.update_where({"label": "seed"}, {"label": "changed"})
        await crates.add("one")

    @pytest.mark.parametrize("turn", range(2))
    async def test_emptied(crates, turn):
        assert ["seed"] == [crate.label for crate in await crates.list()]
        await crates.delete_where({"label": "seed"})

    @pytest.mark.isolation("rolled_back")
    async def test_rolled_back(crates):
        assert ["seed"] == [crate.label for crate in await crates.list()]
        await crates.delete_where({"label": "seed"})
    """)

    result.assert_outcomes(passed=6)


def test_a_lock_that_is_left(inner: Inner) -> None:
    """A transaction that a test forgot keeps no other test from a clean database."""
    result = inner(
        """
    @pytest.fixture
    def forgotten():
        return []

    @pytest.mark.isolation("committing")
    async def test_forgets(engine, test_database, crates, monkeypatch):
        monkeypatch.setattr("harness.isolation.worker.CLEANING_LIMIT", 0.5)
        await crates.add("one")
        other = AndamiosEngine(test_database, uvloop=False)
        connection = await other.async_engine.connect()
        await connection.execute(text("UPDATE crate SET label = 'locked'"))
        KEPT.append((other, connection))

    KEPT = []

    @pytest.mark.isolation("committing")
    async def test_after(crates):
        assert 0 == await crates.count()
    """,
        "-W",
        "ignore",
    )

    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("@pytest.mark.isolation('none')", "takes one of 'rolled_back', 'committing', 'own'"),
        ("@pytest.mark.isolation", "takes one of"),
        (
            "@pytest.mark.isolation('rolled_back')\n    @pytest.mark.usefixtures('own_database')",
            "asks for the tiers own and rolled_back",
        ),
    ],
)
def test_wrong_marker(inner: Inner, source: str, says: str) -> None:
    """A tier that is not there, or two of them, are one clear error."""
    result = inner(f"""
    {source}
    async def test_wrong(engine): pass
    """)

    assert pytest.ExitCode.OK != result.ret
    result.stdout.fnmatch_lines([f"*{says}*"])


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        (" select 1", "SELECT"),
        ("-- one\n/* two */ (SELECT 1)", "SELECT"),
        ("COMMIT;", "COMMIT"),
        ("", ""),
    ],
)
def test_first_word(statement: str, word: str) -> None:
    """Comments and parentheses are no words."""
    assert word == first_word(statement)
