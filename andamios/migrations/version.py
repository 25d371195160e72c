"""The version of a schema: which one a database has, and which ones the code works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import MetaData

from andamios.errors import MigrationError
from andamios.migrations.recording import record_operations
from andamios.migrations.replay import mismatches, replay
from andamios.migrations.running import current_heads
from andamios.migrations.scripts import explaining, load_scripts
from andamios.models.base import BaseModel

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from alembic.script import ScriptDirectory
    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import DeclarativeBase

    from andamios.core.engine import AndamiosEngine

__all__ = ["EnvironmentVersion", "SchemaVersion"]


@dataclass(frozen=True, slots=True)
class EnvironmentVersion:
    """
    Where the database of one environment is.

    Args:
        name: For instance ``"production"``.
        version: Its revision; None when no migration was applied.
        behind: How many scripts it lacks; None when the directory does not know its
            revision.
        is_known: Whether the directory has its revision; if not, it is ahead of this code, or
            belongs to another one.
    """

    name: str
    version: str | None
    behind: int | None
    is_known: bool


class SchemaVersion:
    """
    The version of a schema, and whether the running code fits it.

    Args:
        engine: The database.
        directory: The folder of the migrations.
        metadata: The tables that the running code uses, or the base that has them.

    Example:
        >>> import tempfile
        >>> import andamios
        >>> from andamios.migrations import MigrationManager, SchemaVersion
        >>> async def main() -> bool:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         directory = tempfile.mkdtemp()
        ...         manager = MigrationManager(engine, directory)
        ...         revision = await manager.generate_migration("first", allow_empty=True)
        ...         await manager.apply_migrations()
        ...         return await SchemaVersion(engine, directory).get_current_version() == revision
        >>> andamios.run(main())
        True
    """

    def __init__(
        self,
        engine: AndamiosEngine,
        directory: str | os.PathLike[str],
        *,
        metadata: MetaData | type[DeclarativeBase] = BaseModel.metadata,
    ) -> None:
        self._engine = engine
        self._directory = Path(directory)
        self._metadata = metadata if isinstance(metadata, MetaData) else metadata.metadata

    async def get_current_version(self) -> str | None:
        """
        Read the revision that the database is at.

        Returns:
            The revision; None when no migration was applied.

        Raises:
            MigrationError: It is at several, since the scripts have branches.
        """
        return await _version(self._engine)

    async def validate_compatibility(self, target_version: str) -> bool:
        """
        Whether the models work with a schema and with the one before it.

        That is what a deployment without a pause needs: old and new schema meet the same
        code while it is rolled out. See :meth:`incompatibilities`.

        Args:
            target_version: A revision, or ``"head"``.

        Raises:
            MigrationError: No such revision, or a script cannot be read without a database.
        """
        return not await self.incompatibilities(target_version)

    async def incompatibilities(self, target_version: str) -> list[str]:
        """
        Say what keeps the models from working with a schema or with the one before it.

        Both are rebuilt from the operations in the scripts. Compared are tables, columns and
        which of them must be given a value. Not compared are types, constraints and what
        scripts do in plain SQL. Before the first migration there is no schema to work with.

        Args:
            target_version: A revision, or ``"head"``.

        Returns:
            One line a reason, with the revision; empty when both work.
        """
        scripts = await asyncio.to_thread(load_scripts, self._directory)
        return await asyncio.to_thread(
            _incompatibilities, scripts, target_version, self._metadata, self._engine.backend
        )

    async def compare(self, environments: Mapping[str, AndamiosEngine]) -> list[EnvironmentVersion]:
        """
        Put the versions of several databases side by side.

        Args:
            environments: Engines by name.

        Returns:
            One entry an environment, in the order given.
        """
        scripts = await asyncio.to_thread(load_scripts, self._directory)
        versions = await asyncio.gather(*(_version(each) for each in environments.values()))
        return [
            _environment(name, version, scripts)
            for name, version in zip(environments, versions, strict=True)
        ]


async def _version(engine: AndamiosEngine) -> str | None:
    async with engine.connections.acquire() as plain:
        connection = await plain.execution_options(andamios_read_only=True)
        return await connection.run_sync(_read_version)


def _read_version(connection: Connection) -> str | None:
    heads = current_heads(connection)
    if len(heads) > 1:
        raise MigrationError(
            f"The database is at several revisions: {', '.join(heads)}. Merge the branches with "
            "`alembic merge heads`."
        )
    return heads[0] if heads else None


def _incompatibilities(
    scripts: ScriptDirectory, target: str, metadata: MetaData, backend: str
) -> list[str]:
    with explaining(scripts):
        wanted = scripts.get_revisions(target)
        before = [
            down for each in wanted for down in scripts.get_revisions(each.down_revision or ())
        ]
    found: list[str] = []
    for each in (*wanted, *before):
        if each is not None:
            chain = reversed(list(scripts.iterate_revisions(each.revision, "base")))
            operations = [op for part in chain for op in record_operations(part, backend)]
            lines = mismatches(replay(operations), metadata)
            found += [f"{each.revision}: {line}" for line in lines]
    return found


def _environment(name: str, version: str | None, scripts: ScriptDirectory) -> EnvironmentVersion:
    try:
        missing = list(scripts.iterate_revisions("heads", version or "base"))
    except (CommandError, RevisionError):
        return EnvironmentVersion(name, version, behind=None, is_known=False)
    return EnvironmentVersion(name, version, behind=len(missing), is_known=True)
