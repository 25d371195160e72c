"""The manager: what one does with migrations; a façade over the other files here."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData

from andamios.errors import AndamiosError, MigrationError
from andamios.migrations.comparing import compare, differences
from andamios.migrations.lint import lint_scripts
from andamios.migrations.locks import alembic_alone, only_deployer
from andamios.migrations.offline import write_sql
from andamios.migrations.running import Run, current_heads, downgrades, run_next, upgrades
from andamios.migrations.scripts import create_directory, explaining, load_scripts, read_history
from andamios.migrations.session import migrating_connection
from andamios.models.base import BaseModel

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Sequence

    from alembic.autogenerate import RevisionContext
    from alembic.script import ScriptDirectory
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.orm import DeclarativeBase

    from andamios.core.engine import AndamiosEngine
    from andamios.migrations.lint import LintFinding
    from andamios.migrations.running import Plan
    from andamios.migrations.scripts import MigrationRecord

__all__ = ["MigrationManager"]

ATTEMPTS = 3
"""How often a migration is tried that cannot have its locks."""

PAUSE = 1.0
"""Seconds between two attempts, so that those who wait behind the lock get on."""


class MigrationManager:
    """
    Brings the schema of a database to where the models are, and back.

    Scripts and the table ``alembic_version`` are Alembic's own, so that its command line can
    go on with the same directory and database. On PostgreSQL and MySQL two connections are
    used at once: one of them holds the lock that keeps other deployers out.

    Args:
        engine: The database.
        directory: The folder of the scripts; the first :meth:`generate_migration` makes it.
        metadata: The tables of the models, or the base that has them.
        lock_timeout: How long a statement waits for a lock on PostgreSQL and MySQL, in
            seconds; a migration that left nothing behind is then tried twice more.
        deployer_timeout: How long to wait for somebody else who migrates, in seconds.

    Raises:
        MigrationError: From every method: the scripts are wrong, or one failed.

    Example:
        >>> import tempfile
        >>> import andamios
        >>> from andamios.migrations import MigrationManager
        >>> async def main() -> bool:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         manager = MigrationManager(engine, tempfile.mkdtemp())
        ...         revision = await manager.generate_migration("first", allow_empty=True)
        ...         return await manager.apply_migrations() == [revision]
        >>> andamios.run(main())
        True
    """

    def __init__(
        self,
        engine: AndamiosEngine,
        directory: str | os.PathLike[str],
        *,
        metadata: MetaData | type[DeclarativeBase] = BaseModel.metadata,
        lock_timeout: float = 5.0,
        deployer_timeout: float = 300.0,
    ) -> None:
        self._engine = engine
        self._directory = Path(directory)
        self._metadata = metadata if isinstance(metadata, MetaData) else metadata.metadata
        self._lock_timeout = lock_timeout
        self._deployer_timeout = deployer_timeout

    async def generate_migration(self, message: str, *, allow_empty: bool = False) -> str:
        """
        Write a script with what differs between the models and the database.

        Args:
            message: What changes; becomes part of the file's name.
            allow_empty: Write one even when nothing differs, to be filled in by hand.

        Returns:
            The new revision.

        Raises:
            MigrationError: Nothing differs, no model is known, or the database lacks migrations.
        """
        await asyncio.to_thread(create_directory, self._directory)
        # Until the script is written, so that the next one is not given the same parent.
        async with alembic_alone():
            found = await self._compare(message)
            changes = found.generated_revisions[-1].upgrade_ops_list[-1]
            if not changes.is_empty():
                self._require_tables()
            if changes.is_empty() and not allow_empty:
                raise MigrationError(
                    "Nothing to do: the models and the database agree. Are all models imported? "
                    "allow_empty=True (--empty) writes a script to be filled in by hand."
                )
            await asyncio.to_thread(lambda: list(found.generate_scripts()))
        return str(found.generated_revisions[-1].rev_id)

    async def apply_migrations(
        self,
        target: str = "head",
        *,
        progress: Callable[[MigrationRecord, int, int], object] | None = None,
    ) -> list[str]:
        """
        Run the scripts that the database lacks, each in a transaction of its own.

        An invalid index that an earlier CREATE INDEX CONCURRENTLY left on PostgreSQL is
        dropped before it is created again.

        Args:
            target: The last revision to run; ``"head"`` is the newest, ``"heads"`` all
                branches, ``"+1"`` the next one.
            progress: Called after each with its record, how many are done, and how many
                there are.

        Returns:
            The revisions that were applied, in order.

        Raises:
            MigrationError: One failed; it says which, and what of it stays. Those before it
                stay.
        """
        scripts = await self._load()
        async with only_deployer(self._engine, self._deployer_timeout):
            heads = await self._heads()
            steps = upgrades(scripts, heads, target)
            if not steps:
                return []
            end = target if target == "heads" else steps[-1].revision.revision
            return await self._run(
                scripts, lambda now: upgrades(scripts, now, end), len(steps), progress
            )

    async def rollback_migration(self, revision: str) -> list[str]:
        """
        Undo all migrations after a revision.

        Args:
            revision: The one that the database is at afterwards; ``"base"`` undoes all.

        Returns:
            The revisions that were undone, in order.
        """
        scripts = await self._load()
        async with only_deployer(self._engine, self._deployer_timeout):
            heads = await self._heads()
            if revision != "base":
                with explaining(scripts):
                    revision = scripts.get_revision(revision).revision
            count = len(downgrades(scripts, heads, revision))
            return await self._run(
                scripts, lambda now: downgrades(scripts, now, revision), count, None
            )

    async def history(self) -> list[MigrationRecord]:
        """List all migrations, oldest first."""
        return read_history(await self._load(), await self._heads())

    async def check(self) -> list[str]:
        """
        Compare the models with the database.

        Returns:
            One line a difference; empty when they agree.
        """
        self._require_tables()
        async with self._reading() as connection:
            return await connection.run_sync(differences, self._metadata)

    async def stamp(self, revision: str) -> None:
        """
        Write down that the database is at a revision, without running anything.

        Args:
            revision: For instance ``"head"`` for a database that ``create_all`` made.
        """
        scripts = await self._load()

        def write(connection: Any) -> None:
            MigrationContext.configure(connection).stamp(scripts, revision)

        async with (
            only_deployer(self._engine, self._deployer_timeout),
            self._engine.connections.acquire() as connection,
            connection.begin(),
        ):
            with explaining(scripts):
                await connection.run_sync(write)

    async def lint(self, *, backend: str | None = None, since: str = "base") -> list[LintFinding]:
        """
        Find operations that lock or lose data; needs no database.

        Args:
            backend: ``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``; default: the engine's.
            since: Look only at scripts after this revision.
        """
        scripts = await self._load()
        with explaining(scripts):
            return await asyncio.to_thread(
                lint_scripts, scripts, backend or self._engine.backend, since
            )

    async def sql(self, target: str = "head") -> str:
        """
        Write the SQL that :meth:`apply_migrations` would run, and run nothing.

        What a script reads from the database cannot be foreseen; on SQLite, a table that
        has to be copied is such a case.
        """
        scripts = await self._load()
        async with alembic_alone(), self._reading() as connection:
            return await connection.run_sync(write_sql, scripts, target)

    async def _compare(self, message: str) -> RevisionContext:
        scripts = await self._load()
        # After Alembic everywhere: who has the only connection must not wait for that.
        async with self._reading() as connection:
            self._require_head(scripts, await connection.run_sync(current_heads))
            return await connection.run_sync(compare, scripts, self._metadata, message)

    async def _run(
        self,
        scripts: ScriptDirectory,
        plan: Plan,
        total: int,
        progress: Callable[[MigrationRecord, int, int], object] | None,
    ) -> list[str]:
        done: list[str] = []
        while (found := await self._run_one(scripts, plan)) is not None:
            done.append(found)
            if progress is not None:
                records = read_history(scripts, [found])
                progress(next(r for r in records if r.revision == found), len(done), total)
        return done

    async def _run_one(self, scripts: ScriptDirectory, plan: Plan) -> str | None:
        attempt = 0
        while True:
            run = Run()
            try:
                async with alembic_alone(), self._migrating() as connection:
                    await connection.run_sync(run_next, scripts, plan, run)
            except asyncio.CancelledError as error:
                run.warn(error, self._engine.backend)
                raise
            except Exception as error:
                if run.step is None and isinstance(error, AndamiosError):
                    raise
                attempt += 1
                if attempt == ATTEMPTS or not run.can_repeat(error):
                    raise run.explain(error) from error
                await asyncio.sleep(PAUSE)
            else:
                return run.step.revision.revision if run.step is not None else None

    def _require_tables(self) -> None:
        # Compared with nothing, every table of the database would have to go.
        if not self._metadata.tables:
            raise MigrationError(
                "There is no model to compare with. Import the modules of the models first, or "
                "name them: andamios migrate … --models shop.models."
            )

    async def _load(self) -> ScriptDirectory:
        return await asyncio.to_thread(load_scripts, self._directory)

    async def _heads(self) -> Sequence[str]:
        async with self._reading() as connection:
            return await connection.run_sync(current_heads)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connections.acquire() as connection:
            yield await connection.execution_options(andamios_read_only=True)

    def _migrating(self) -> Any:
        return migrating_connection(
            self._engine, lock_timeout=self._lock_timeout, patience=self._deployer_timeout
        )

    def _require_head(self, scripts: ScriptDirectory, heads: Sequence[str]) -> None:
        if set(heads) != set(scripts.get_heads()):
            raise MigrationError(
                f"The database is at {', '.join(heads) or 'no revision'}, the scripts in "
                f"{self._directory} at {', '.join(scripts.get_heads()) or 'none'}. Run "
                "apply_migrations() first, or stamp() if it has them already."
            )
