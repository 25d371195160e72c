"""
The schema that a chain of scripts makes, read from their operations.

Kept is what decides whether code works with it: tables, columns, and which of those must be
given a value. Types are not, and what plain SQL does is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from alembic.operations import ops
from sqlalchemy import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import MetaData

__all__ = ["ColumnFacts", "Schema", "mismatches", "replay"]


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """
    What a statement needs to know about a column.

    Args:
        is_nullable: Whether it takes NULL.
        has_default: Whether the database fills it when nothing is given.
    """

    is_nullable: bool
    has_default: bool


Schema: TypeAlias = "dict[str, dict[str, ColumnFacts]]"
"""Columns by name, by table; a table in a schema is called ``schema.table``."""


def replay(operations: Iterable[Any]) -> Schema:
    """Build the schema that some operations leave, from an empty database."""
    schema: Schema = {}
    for operation in operations:
        _apply(schema, operation)
    return schema


def _apply(schema: Schema, operation: Any) -> None:
    key = _key(operation)
    match operation:
        case ops.CreateTableOp():
            columns = [each for each in operation.columns if isinstance(each, Column)]
            schema[key] = {column.name: _facts(column) for column in columns}
        case ops.DropTableOp():
            schema.pop(key, None)
        case ops.RenameTableOp():
            new = key.removesuffix(operation.table_name) + operation.new_table_name
            schema[new] = schema.pop(key, {})
        case ops.AddColumnOp():
            schema.setdefault(key, {})[operation.column.name] = _facts(operation.column)
        case ops.DropColumnOp():
            schema.get(key, {}).pop(operation.column_name, None)
        case ops.AlterColumnOp():
            _alter(schema.setdefault(key, {}), operation)


def _alter(columns: dict[str, ColumnFacts], operation: Any) -> None:
    facts = columns.pop(operation.column_name, ColumnFacts(is_nullable=True, has_default=False))
    if operation.modify_nullable is not None:
        facts = replace(facts, is_nullable=operation.modify_nullable)
    if operation.modify_server_default is not False:
        facts = replace(facts, has_default=operation.modify_server_default is not None)
    columns[operation.modify_name or operation.column_name] = facts


def _facts(column: Column[Any]) -> ColumnFacts:
    filled = column.server_default is not None or column.computed is not None
    return ColumnFacts(bool(column.nullable), filled or column.identity is not None)


def _key(operation: Any) -> str:
    schema, table = getattr(operation, "schema", None), getattr(operation, "table_name", "")
    return f"{schema}.{table}" if schema else str(table)


def mismatches(schema: Schema, metadata: MetaData) -> Iterator[str]:
    """
    Find what keeps the models from working with a schema.

    Yields:
        One line for each table or column that is missing, each column that the models do
        not know and the database requires, and each that only the database requires.
    """
    for name, table in metadata.tables.items():
        columns = schema.get(name)
        if columns is None:
            yield f"table {name} is missing"
            continue
        for column in table.columns:
            facts = columns.get(column.name)
            if facts is None:
                yield f"column {name}.{column.name} is missing"
            elif column.nullable and not facts.is_nullable and not facts.has_default:
                yield f"column {name}.{column.name} takes no NULL, which the models may write"
        for unknown in columns.keys() - {column.name for column in table.columns}:
            facts = columns[unknown]
            if not facts.is_nullable and not facts.has_default:
                yield f"column {name}.{unknown} must be given a value, and is in no model"
