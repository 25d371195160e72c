"""
Unique values of softly deleted rows are free again.

Whatever a :class:`SoftDeleteModel` says is unique (but for its key) is so among live rows:
``unique=True``, a ``UniqueConstraint`` and a unique ``Index`` become an index of the same
name. On PostgreSQL and SQLite it is partial, ``WHERE deleted_at IS NULL``. MySQL and MariaDB
have no such indexes: there the table gets a generated column ``live``, 1 for a live row and
NULL for a deleted one, as a further column of the key, since NULLs are never equal. It exists
in the database only: no model, no ``Table`` and no error names it.

An index with a predicate of its own stays as it is written, as does a deferrable constraint,
and one of a joined child's table, which has no ``deleted_at``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.schema import CreateColumn, CreateIndex

from andamios.errors import ConfigurationError
from andamios.models.base import BaseModel, SoftDeleteModel
from andamios.models.tables import NAMING_CONVENTION

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect
    from sqlalchemy.orm import Mapper

__all__ = ["DELETED_AT", "LIVE", "as_created", "live_indexes"]

LIVE = "live"
"""The generated column."""

LIVE_INDEXES = "andamios_live_indexes"
"""In a table's ``info``, which copies of the table have too: the names of such indexes."""

DELETED_AT = "andamios_deleted_at"
"""In a table's ``info``: the name of the column that marks its rows."""

WITHOUT_PARTIAL = {"mysql", "mariadb"}
PREDICATES = ("postgresql_where", "sqlite_where")
SAME_OPTIONS = {"postgresql_include", "postgresql_nulls_not_distinct"}


def live_indexes(table: sa.Table) -> list[sa.Index]:
    """
    Give the unique indexes that hold among live rows only.

    Example:
        >>> from sqlalchemy import Integer
        >>> from sqlalchemy.orm import mapped_column
        >>> from andamios import SoftDeleteModel
        >>> from andamios.models import live_indexes
        >>> class Mooring(SoftDeleteModel):
        ...     number = mapped_column(Integer, unique=True)
        >>> [index.name for index in live_indexes(Mooring.__table__)]
        ['uq_mooring_number']
    """
    names = table.info.get(LIVE_INDEXES, ())
    found = [index for index in table.indexes if index.name in names]
    return sorted(found, key=lambda index: str(index.name))


def as_created(metadata: sa.MetaData, backend: str) -> sa.MetaData:
    """
    Give the tables as they are in a database, with ``live`` where it exists.

    Args:
        metadata: The tables of the models.
        backend: ``postgresql``, ``sqlite``, ``mysql`` or ``mariadb``.

    Returns:
        The same object where nothing differs.
    """
    tables = [table for table in metadata.tables.values() if live_indexes(table)]
    if not tables or backend not in WITHOUT_PARTIAL:
        return metadata
    copy = sa.MetaData(schema=metadata.schema, naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        _as_created(table, copy)
    return copy


@event.listens_for(SoftDeleteModel, "after_mapper_constructed", propagate=True)
def _free_when_deleted(mapper: Mapper[Any], _model: type[Any]) -> None:
    table = mapper.local_table
    marks = mapper.columns.get("deleted_at")
    # A family that shares a table comes here once for each class, with new columns.
    if not isinstance(table, sa.Table) or marks is None or marks.table is not table:
        return
    table.info[DELETED_AT] = marks.name
    for item in [*table.constraints, *table.indexes]:
        if isinstance(item, sa.UniqueConstraint | sa.Index) and _is_limited(item):
            _limit(item, table)


def _is_limited(item: sa.UniqueConstraint | sa.Index) -> bool:
    if isinstance(item, sa.UniqueConstraint):
        return not item.deferrable
    return bool(item.unique) and all(item.dialect_kwargs.get(name) is None for name in PREDICATES)


def _limit(item: sa.UniqueConstraint | sa.Index, table: sa.Table) -> None:
    """Put a partial index in the place of a constraint, which cannot be one, or of an index."""
    is_index = isinstance(item, sa.Index)
    parts = list(item.expressions if isinstance(item, sa.Index) else item.columns)
    given = {
        key: value
        for key, value in item.dialect_kwargs.items()
        if value is not None and (is_index or key in SAME_OPTIONS)
    }
    items: set[Any] = table.indexes if is_index else table.constraints
    items.discard(item)
    if len(parts) == 1 and isinstance(parts[0], sa.Column) and parts[0].unique:
        # Copies of the table would make it again from these.
        parts[0].unique = None
        parts[0].index = None if is_index else parts[0].index
    marks: sa.ColumnClause[Any] = sa.column(str(table.info[DELETED_AT]))
    predicate = marks.is_(None)
    options: dict[str, Any] = given | dict.fromkeys(PREDICATES, predicate)
    name = item.name if isinstance(item.name, str) else _name(table, parts)
    sa.Index(name, *parts, unique=True, **options)
    table.info[LIVE_INDEXES] = {*table.info.get(LIVE_INDEXES, ()), name}


def _can_be_partial(*_: Any, dialect: Dialect, **_options: Any) -> bool:
    return dialect.name not in WITHOUT_PARTIAL


def _name(table: sa.Table, columns: list[Any]) -> str:
    names = "_".join(column.name for column in columns)
    return NAMING_CONVENTION["uq"] % {"table_name": table.name, "column_0_N_name": names}


# On every table, since copies by to_metadata() have no listeners of their own.
@event.listens_for(sa.Table, "before_create")
def _keep_for_later(table: sa.Table, _connection: Connection, **_: Any) -> None:
    """Leave these indexes out on MySQL until there is the column."""
    if DELETED_AT in table.info:
        for index in live_indexes(table):
            index.ddl_if(callable_=_can_be_partial)


@event.listens_for(sa.Table, "after_create")
def _add_live(table: sa.Table, connection: Connection, **_: Any) -> None:
    if DELETED_AT not in table.info or connection.dialect.name not in WITHOUT_PARTIAL:
        return
    if not live_indexes(table):
        return
    dialect = connection.dialect
    created = _as_created(table, sa.MetaData())
    name = dialect.identifier_preparer.format_table(table)
    column = str(CreateColumn(created.c[_live_name(table)]).compile(dialect=dialect))
    statement = f"ALTER TABLE {name} ADD COLUMN {column}".replace("%", "%%")
    connection.execute(sa.DDL(statement))  # type: ignore[no-untyped-call]
    for index in live_indexes(created):
        connection.execute(CreateIndex(index))


def _as_created(table: sa.Table, metadata: sa.MetaData) -> sa.Table:
    created = table.to_metadata(metadata)
    limited = live_indexes(created)
    if not limited:
        return created
    marks: sa.ColumnClause[Any] = sa.column(str(table.info[DELETED_AT]))
    value = sa.case((marks.is_(None), sa.literal_column("1")))
    live = sa.Column(_live_name(table), sa.SmallInteger, sa.Computed(value))
    created.append_column(live)
    for index in limited:
        created.indexes.discard(index)
        options = {key: value for key, value in index.dialect_kwargs.items() if value is not None}
        parts = [*index.expressions, live]
        sa.Index(index.name, *parts, unique=True, **options)
    return created


def _live_name(table: sa.Table) -> str:
    return LIVE if LIVE not in table.c else f"{LIVE}_row"


@event.listens_for(BaseModel, "mapper_configured", propagate=True)
def _refuse_references(mapper: Mapper[Any], model: type[Any]) -> None:
    """A value that is unique among live rows is no key that a foreign key can refer to."""
    tables = {mapper.local_table, *(item.secondary for item in mapper.relationships)}
    for table in tables:
        if not isinstance(table, sa.Table):
            continue
        for key in table.foreign_key_constraints:
            target = _target(key)
            if target is not None and _is_live_only(target, [e.column for e in key.elements]):
                raise ConfigurationError(
                    f"A foreign key of {model.__name__} refers to a unique column of "
                    f"{target.name}, whose values are free again when a row is softly deleted. "
                    "Refer to its primary key."
                )


def _target(key: sa.ForeignKeyConstraint) -> sa.Table | None:
    try:
        return key.referred_table
    except sa.exc.NoReferenceError:
        return None  # a table that is mapped later, or elsewhere


def _is_live_only(table: sa.Table, columns: list[sa.Column[Any]]) -> bool:
    wanted = set(columns)
    if wanted == set(table.primary_key.columns):
        return False
    return any(wanted == set(index.columns) for index in live_indexes(table))
