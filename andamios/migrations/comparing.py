"""
Comparing models with a database, and writing the difference down as a script.

Types are compared as Alembic does, except for those that mean something else on one
backend. Scripts name the types of :mod:`andamios.models`, so that one script makes the
right column on every backend; ``batch_alter_table`` is used for the same reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from alembic.autogenerate import RevisionContext, produce_migrations
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Numeric
from sqlalchemy import types as sa_types
from sqlalchemy.dialects import postgresql

from andamios.core.sqlite_types import REAL_DIGITS, RowId
from andamios.models.types import Duration, UTCDateTime
from andamios.models.unique import as_created

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Column, MetaData
    from sqlalchemy.engine import Connection

__all__ = ["compare", "differences"]


OWN = "andamios_"
"""How the names of Andamios' own tables begin."""


def render_item(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """Write types of ours and of applications into a script, with what they import."""
    if kind != "type":
        return False
    if isinstance(item, RowId):
        return "sa.Integer()"
    if type(item) in {UTCDateTime, Duration}:
        context.imports.add(f"from andamios.models import {type(item).__name__}")
        return f"{type(item).__name__}()"
    if type(item) is postgresql.JSONB:
        # Its repr names a Text that the script does not import.
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return f"postgresql.JSONB(none_as_null={item.none_as_null})"
    module = type(item).__module__
    if not module.startswith("sqlalchemy."):
        context.imports.add(f"import {module}")
    return False


def compare_type(
    context: MigrationContext, _found: Column[Any], column: Column[Any], type_: Any, _wanted: Any
) -> bool | None:
    """Accept the TEXT in which SQLite keeps long decimals; None leaves it to Alembic."""
    is_long = isinstance(column.type, Numeric) and (column.type.precision or 0) > REAL_DIGITS
    if context.dialect.name == "sqlite" and is_long and isinstance(type_, sa_types.Text):
        return False
    return None


def include_object(*compared: Any) -> bool:
    """Leave alone Andamios' own tables, which its parts make, unless models name them."""
    _found, name, kind, is_reflected, model = compared
    is_unknown = kind == "table" and is_reflected and model is None
    return not (is_unknown and str(name).startswith(OWN))


COMPARING: dict[str, Any] = {"compare_type": compare_type, "include_object": include_object}

OPTIONS: dict[str, Any] = {**COMPARING, "render_item": render_item, "render_as_batch": True}


def differences(connection: Connection, metadata: MetaData) -> list[str]:
    """Say what would have to change in the database, one line a change."""
    metadata = as_created(metadata, connection.dialect.name)
    options = {"target_metadata": metadata, **COMPARING}
    context = MigrationContext.configure(connection, opts=options)
    found = produce_migrations(context, metadata).upgrade_ops
    diffs = found.as_diffs() if found is not None else []
    return [line for diff in diffs for line in _lines(diff)]


def compare(
    connection: Connection, scripts: ScriptDirectory, metadata: MetaData, message: str
) -> RevisionContext:
    """
    Find the operations that would make the database what the models say.

    Returns:
        What ``generate_scripts`` can write to a file.
    """
    arguments = dict.fromkeys(("rev_id", "splice", "branch_label", "version_path", "depends_on"))
    arguments |= {"message": message, "head": "head", "sql": False}
    revision = RevisionContext(Config(), scripts, arguments)

    def collect(heads: Any, context: MigrationContext) -> list[Any]:
        revision.run_autogenerate(heads, context)
        return []

    metadata = as_created(metadata, connection.dialect.name)
    options = {**OPTIONS, "connection": connection, "target_metadata": metadata}
    with EnvironmentContext(Config(), scripts, fn=collect, dont_mutate=True) as environment:
        environment.configure(**options)
        environment.run_migrations()
    for script in revision.generated_revisions:
        for container in (*script.upgrade_ops_list, *script.downgrade_ops_list):
            _leave_indexes_to_tables(container)
            _leave_notes_out(container)
    return revision


def _leave_indexes_to_tables(container: ops.OpContainer) -> None:
    """Drop no index just before its table: MySQL refuses that where a foreign key needs it."""
    dropped = {(each.schema, each.table_name) for each in container.ops if _drops(each)}
    for each in container.ops:
        if isinstance(each, ops.ModifyTableOps) and (each.schema, each.table_name) in dropped:
            each.ops = [op for op in each.ops if not isinstance(op, ops.DropIndexOp)]
    container.ops = [op for op in container.ops if not _is_empty(op)]


def _leave_notes_out(container: ops.OpContainer) -> None:
    """Write down no ``info`` of ours, which says something to models and nothing to a database."""
    for each in container.ops:
        if isinstance(each, ops.CreateTableOp):
            each.info = {key: each.info[key] for key in each.info if not str(key).startswith(OWN)}


def _drops(operation: Any) -> TypeGuard[ops.DropTableOp]:
    return isinstance(operation, ops.DropTableOp)


def _is_empty(operation: Any) -> bool:
    return isinstance(operation, ops.ModifyTableOps) and not operation.ops


def _lines(diff: Any) -> list[str]:
    if isinstance(diff, list):
        return [line for each in diff for line in _lines(each)]
    kind, *facts = diff
    action, _, what = kind.partition("_")
    if action == "modify":
        _schema, table, column, _existing, old, new = facts
        return [
            f"column {table}.{column}: {what} is {old!r} in the database, {new!r} in the models"
        ]
    side = "is missing in the database" if action == "add" else "is in no model"
    return [f"{_named(what, facts)} {side}"]


def _named(what: str, facts: list[Any]) -> str:
    if what == "column":
        _schema, table, column = facts
        return f"column {table}.{column.name}"
    item = facts[0]
    table = getattr(item, "table", None)
    names = {"fk": "foreign key", "constraint": "constraint"}
    owner = f" of {table.name}" if table is not None and what != "table" else ""
    return f"{names.get(what, what)} {getattr(item, 'name', item)}{owner}"
