from pathlib import Path

import pytest

from andamios import AndamiosEngine
from andamios.migrations import LintFinding, MigrationManager
from andamios.migrations.rules import RULES
from tests.migrations.conftest import ScriptWriter

MADE = "op.create_table('new', sa.Column('a', sa.Integer), sa.Column('b', sa.Integer))\n"

CONCURRENTLY = """
with op.get_context().autocommit_block():
    op.create_index('i', 't', ['a'], postgresql_concurrently=True)
"""

BATCH = """
with op.batch_alter_table('t') as batch:
    batch.drop_column('a')
    batch.create_index('i', ['b'])
    batch.alter_column('c', nullable=False, type_=sa.Text())
"""

CASES = {
    "drop-column": (
        "op.drop_column('t', 'a')",
        MADE + "op.drop_column('new', 'a')",
    ),
    "drop-table": (
        "op.drop_table('t')",
        MADE + "op.drop_table('new')",
    ),
    "rename": (
        "op.alter_column('t', 'a', new_column_name='b')",
        "op.alter_column('t', 'a', comment='b')",
    ),
    "add-required-column": (
        "op.add_column('t', sa.Column('a', sa.Integer, nullable=False))",
        "op.add_column('t', sa.Column('a', sa.Integer, nullable=False, server_default='0'))",
    ),
    "change-type": (
        "op.alter_column('t', 'a', type_=sa.String(9))",
        "op.alter_column('t', 'a', existing_type=sa.String(9), nullable=True)",
    ),
    "set-not-null": (
        "op.alter_column('t', 'a', nullable=False)",
        "op.alter_column('t', 'a', nullable=True)",
    ),
    "blocking-index": (
        "op.create_index('i', 't', ['a'])",
        CONCURRENTLY,
    ),
    "validating-constraint": (
        "op.create_check_constraint('c', 't', 'a > 0')",
        "op.create_check_constraint('c', 't', 'a > 0', postgresql_not_valid=True)",
    ),
    "blocking-unique": (
        "op.create_unique_constraint('u', 't', ['a'])",
        MADE + "op.create_unique_constraint('u', 'new', ['a'])",
    ),
    "unscoped-write": (
        "op.execute('UPDATE t SET a = 1')",
        "op.execute('UPDATE t SET a = 1 WHERE id < 1000')",
    ),
}


@pytest.fixture
def linter(directory: Path) -> MigrationManager:
    """A manager that never connects."""
    return MigrationManager(AndamiosEngine("sqlite://", uvloop=False), directory)


async def lint(linter: MigrationManager, backend: str = "postgresql") -> list[LintFinding]:
    """Lint what was written."""
    return await linter.lint(backend=backend)


def test_every_rule_is_tested() -> None:
    """There are ten, each with a case below."""
    assert set(RULES) == set(CASES)
    assert 10 == len(RULES)


@pytest.mark.parametrize("rule", CASES)
async def test_rule(rule: str, linter: MigrationManager, write_script: ScriptWriter) -> None:
    """The bad way is found, with revision, operation and advice; the safe way is not."""
    bad, good = CASES[rule]
    await write_script(good)
    assert [] == await lint(linter)
    revision = await write_script(bad)
    [found] = await lint(linter)
    assert (revision, rule) == (found.revision, found.rule)
    assert f"{revision}.py" == found.path.name
    assert str(found).startswith(f"{revision} [{rule}] ")
    assert len(found.reason) > 40


@pytest.mark.parametrize(
    ("script", "rules"),
    [
        ("op.rename_table('t', 'u')", ["rename"]),
        ("op.drop_index('i', 't')", ["blocking-index"]),
        ("op.create_foreign_key('f', 't', 'u', ['a'], ['b'])", ["validating-constraint"]),
        ("op.execute(sa.text('delete from t'))", ["unscoped-write"]),
        (
            BATCH,
            ["drop-column", "blocking-index", "change-type", "set-not-null"],
        ),
        ("t = op.create_table('t', sa.Column('a', sa.Integer))\nop.bulk_insert(t, [{'a': 1}])", []),
    ],
)
async def test_other_ways_to_write_it(
    script: str, rules: list[str], linter: MigrationManager, write_script: ScriptWriter
) -> None:
    """Batches, texts and the other operations of a rule are read too."""
    await write_script(script)
    assert rules == [found.rule for found in await lint(linter)]


async def test_locks_depend_on_the_backend(
    linter: MigrationManager, write_script: ScriptWriter
) -> None:
    """MySQL builds indexes while others write; SQLite has one writer anyway."""
    await write_script("op.create_index('i', 't', ['a'])")
    await write_script("op.create_foreign_key('f', 't', 'u', ['a'], ['b'])")
    assert ["validating-constraint"] == [each.rule for each in await lint(linter, "mysql")]
    assert [] == await lint(linter, "sqlite")


async def test_a_comment_silences_a_rule(
    linter: MigrationManager, write_script: ScriptWriter
) -> None:
    """Only in its own script, and only that rule."""
    await write_script("op.drop_column('t', 'a')  # andamios: allow drop-column")
    await write_script("# andamios: allow drop-table, rename\nop.drop_column('t', 'a')")
    assert [("r2", "drop-column")] == [(each.revision, each.rule) for each in await lint(linter)]
    assert [] == await linter.lint(since="r2")


async def test_a_script_that_needs_a_database_is_said_to(
    linter: MigrationManager, write_script: ScriptWriter
) -> None:
    """What cannot be read is not passed over in silence."""
    await write_script("op.get_bind().execute(sa.text('SELECT 1')).scalar()")
    assert ["unreadable"] == [found.rule for found in await lint(linter)]
