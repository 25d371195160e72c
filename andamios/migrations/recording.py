"""
Reading a script without a database: its operations are written down instead of run.

``upgrade()`` runs against an ``op`` that keeps what it is asked to do. Only the script's own
name ``op`` is replaced, in a module that was loaded for this purpose, so that migrations
which run at the same time do not notice.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import alembic.op
from alembic.operations import BatchOperations, Operations
from alembic.operations import ops as alembic_ops
from alembic.runtime.migration import MigrationContext
from alembic.util import load_python_file

from andamios.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.operations.ops import MigrateOperation
    from alembic.script import Script

__all__ = ["record_operations"]


class RecordingOperations(Operations):
    """Alembic's operations, kept in a list."""

    def __init__(self, migration_context: MigrationContext) -> None:
        super().__init__(migration_context)
        self.recorded: list[MigrateOperation] = []

    def invoke(self, operation: MigrateOperation) -> Any:
        """Keep an operation; scripts use the table that creating one gives."""
        self.recorded.append(operation)
        if isinstance(operation, alembic_ops.CreateTableOp):
            return operation.to_table(self.migration_context)
        return None

    @contextmanager
    def batch_alter_table(
        self, table_name: str, schema: str | None = None, *_args: Any, **_options: Any
    ) -> Iterator[BatchOperations]:
        """Keep the operations of a batch, each with the table it is about."""
        # The batch only asks it for the names; the operations come here.
        impl: Any = _BatchTarget(table_name, schema)
        batch = _RecordingBatch(self.migration_context, impl=impl)
        batch.recorded = self.recorded
        yield batch


class _RecordingBatch(BatchOperations):
    recorded: list[MigrateOperation]

    def invoke(self, operation: MigrateOperation) -> Any:
        self.recorded.append(operation)


class _BatchTarget:
    def __init__(self, table_name: str, schema: str | None) -> None:
        self.table_name = table_name
        self.schema = schema


def record_operations(script: Script, backend: str) -> list[MigrateOperation]:
    """
    List what the ``upgrade()`` of a script does; blocks, since it reads the file.

    Args:
        script: The script.
        backend: Whose SQL it is written for, as far as it asks.

    Raises:
        MigrationError: It cannot be read without a database.
    """
    path = Path(script.path)
    module = load_python_file(path.parent, path.name)
    context = MigrationContext.configure(
        dialect_name=backend, opts={"as_sql": True, "output_buffer": io.StringIO()}
    )
    operations = RecordingOperations(context)
    for key, value in list(vars(module).items()):
        if value is alembic.op:
            setattr(module, key, operations)
    try:
        module.upgrade()
    except Exception as error:
        raise MigrationError(
            f"Migration {script.revision} in {script.path} cannot be read without a database: "
            f"{type(error).__name__}"
        ) from error
    return operations.recorded
