"""
Ten rules for migrations of databases that are in use.

Each is a function: what is wrong with an operation on a backend, or None. A table that the
same script creates is in nobody's use, so that no rule but ``unscoped-write`` is asked then.

The ideas are those of Squawk (squawkhq.com, "Rules"), strong_migrations (its README,
"Checks") and django-migration-linter; the locks are those of PostgreSQL, "ALTER TABLE",
and MySQL, "Online DDL Operations".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from alembic.operations import ops

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[Any, str], str | None]

__all__ = ["RULES", "table_of"]

MYSQL = {"mysql", "mariadb"}

WRITE = re.compile(r"^\s*(?:UPDATE|DELETE\s+FROM)\b", re.IGNORECASE)
WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)


def drop_column(operation: Any, _backend: str) -> str | None:
    """Data is lost, and code that still runs reads the column."""
    if not isinstance(operation, ops.DropColumnOp):
        return None
    return (
        "loses the column's data and breaks code that still reads it. Deploy code that does not "
        "use the column first, then drop it in a later migration"
    )


def drop_table(operation: Any, _backend: str) -> str | None:
    """Data is lost, and code that still runs reads the table."""
    if not isinstance(operation, ops.DropTableOp):
        return None
    return (
        "loses the table's data and breaks code that still reads it. Deploy code that does not "
        "use the table first, rename or dump it, and drop it in a later migration"
    )


def rename(operation: Any, _backend: str) -> str | None:
    """Old code knows only the old name, new code only the new one."""
    is_column = isinstance(operation, ops.AlterColumnOp) and operation.modify_name is not None
    if not is_column and not isinstance(operation, ops.RenameTableOp):
        return None
    return (
        "breaks code that still uses the old name. Keep the name in the database and map it, "
        '(mapped_column("old_name") or __tablename__), or add the new one, write both, copy, and '
        "drop the old one later"
    )


def add_required_column(operation: Any, _backend: str) -> str | None:
    """It fails when there are rows, and old code cannot insert."""
    if not isinstance(operation, ops.AddColumnOp):
        return None
    column = operation.column
    if column.nullable or column.server_default is not None or column.computed is not None:
        return None
    return (
        "fails on a table with rows, and code that does not know the column cannot insert. Give it "
        "a server_default, or add it nullable, fill it in batches, and set NOT NULL later"
    )


def change_type(operation: Any, backend: str) -> str | None:
    """The table is rewritten under a lock."""
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_type is None:
        return None
    effect = "rewrites the table while nobody can read or write it"
    if backend in MYSQL:
        effect = "copies the table while nobody can write it"
    return (
        f"{effect}, and values may not fit. Add a column of the new type, write both, copy in "
        "batches, and drop the old one later. (A longer VARCHAR is harmless: allow it.)"
    )


def set_not_null(operation: Any, backend: str) -> str | None:
    """All rows are read under a lock."""
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_nullable is not False:
        return None
    if backend == "postgresql":
        return (
            "reads all rows while nobody can read or write the table. Add CHECK (column IS NOT "
            "NULL) NOT VALID, validate it in another migration, then set NOT NULL, which uses it"
        )
    return "rebuilds the table and fails if a row has NULL. Fill the column in batches first"


def blocking_index(operation: Any, backend: str) -> str | None:
    """Nobody can write while the index is built or dropped."""
    if backend != "postgresql":
        return None
    if not isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp):
        return None
    if operation.kw.get("postgresql_concurrently"):
        return None
    return (
        "blocks writes to the table until it is done. Inside `with "
        "op.get_context().autocommit_block():` pass postgresql_concurrently=True"
    )


def validating_constraint(operation: Any, backend: str) -> str | None:
    """All rows are checked under a lock."""
    if not isinstance(operation, ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp):
        return None
    if operation.kw.get("postgresql_not_valid"):
        return None
    if backend == "postgresql":
        return (
            "checks all rows while nobody can write. Pass postgresql_not_valid=True, and run "
            "ALTER TABLE … VALIDATE CONSTRAINT … in a migration of its own"
        )
    if backend in MYSQL:
        return (
            "copies the table while nobody can write it, and fails if a row breaks it. Look for "
            "such rows first, and run it when little is written"
        )
    return None


def blocking_unique(operation: Any, backend: str) -> str | None:
    """An index is built while nobody can read or write."""
    if backend != "postgresql":
        return None
    if not isinstance(operation, ops.CreateUniqueConstraintOp | ops.CreatePrimaryKeyOp):
        return None
    return (
        "builds an index while nobody can read or write the table. Create a unique index "
        "concurrently, then ALTER TABLE … ADD CONSTRAINT … UNIQUE USING INDEX …"
    )


def unscoped_write(operation: Any, _backend: str) -> str | None:
    """Every row is changed, in one long transaction."""
    if not isinstance(operation, ops.ExecuteSQLOp):
        return None
    statement = str(operation.sqltext)
    if not WRITE.match(statement) or WHERE.search(statement):
        return None
    return (
        "changes every row in one transaction, whose locks last until it ends. Write in batches "
        "of keys, outside of the migration of the schema"
    )


RULES: dict[str, Rule] = {
    "drop-column": drop_column,
    "drop-table": drop_table,
    "rename": rename,
    "add-required-column": add_required_column,
    "change-type": change_type,
    "set-not-null": set_not_null,
    "blocking-index": blocking_index,
    "validating-constraint": validating_constraint,
    "blocking-unique": blocking_unique,
    "unscoped-write": unscoped_write,
}
"""By the name that a comment uses to silence them."""


def table_of(operation: Any) -> str | None:
    """Name the table that an operation changes."""
    for name in ("table_name", "source_table"):
        found = getattr(operation, name, None)
        if found is not None:
            return str(found)
    return None
