"""
Running scripts: one migration, in one transaction, with the version read inside it.

Reading the version inside the transaction is what lets two deployers meet: whoever comes
second finds the step done. MySQL commits at every DDL statement, so that there a failing
migration leaves something behind; what that is, is written down while it runs.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.exc import CompileError, NoSuchTableError

from andamios.errors import AndamiosError, DeadlockError, MigrationError
from andamios.migrations.collations import keeping_collations
from andamios.migrations.repair import drop_invalid
from andamios.migrations.scripts import explaining
from andamios.migrations.session import broken_references, check_references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alembic.runtime.migration import RevisionStep
    from alembic.script import ScriptDirectory
    from sqlalchemy.engine import Connection

    Plan = Callable[[Sequence[str]], list[RevisionStep]]

__all__ = ["Run", "current_heads", "downgrades", "run_next", "upgrades"]

TRANSACTIONAL = {"sqlite", "postgresql"}
"""Where DDL can be rolled back; SQLite among them, since our engine begins explicitly."""

UNDER_WAY = " The statement that was under way may be carried out all the same."

log = logging.getLogger("andamios.migrations")

FIRST_WORD = re.compile(r"(?:\s|/\*.*?\*/|(?:--|#)[^\n]*\n)*(\w+)", re.DOTALL)
"""The first word behind comments."""

DDL = {"alter", "create", "drop", "rename", "truncate"}


def current_heads(connection: Connection) -> tuple[str, ...]:
    """Read the revisions that a database is at; empty when none was applied."""
    return MigrationContext.configure(connection).get_current_heads()


def upgrades(scripts: ScriptDirectory, heads: Sequence[str], target: str) -> list[RevisionStep]:
    """Plan the steps from where the database is up to a revision."""
    with explaining(scripts):
        found = list(scripts.iterate_revisions(target, tuple(heads), implicit_base=True))
    make = MigrationStep.upgrade_from_script
    return [make(scripts.revision_map, each) for each in reversed(found)]


def downgrades(scripts: ScriptDirectory, heads: Sequence[str], target: str) -> list[RevisionStep]:
    """Plan the steps from where the database is down to a revision."""
    with explaining(scripts):
        found = scripts.iterate_revisions(tuple(heads), target, select_for_downgrade=True)
        make = MigrationStep.downgrade_from_script
        return [make(scripts.revision_map, each) for each in found]


@dataclass
class Run:
    """
    What is known about a migration while it runs.

    Args:
        step: The migration; None as long as none was found that is to run.
        kept: Statements that are committed, whatever comes next.
        open: Statements that a rollback still undoes.
    """

    step: RevisionStep | None = None
    kept: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def note(self, connection: Connection, statement: str) -> None:
        """Write down a statement that succeeded."""
        if self.step is None:
            return
        self.open.append(statement)
        autocommits = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if autocommits or (_is_ddl(statement) and connection.dialect.name not in TRANSACTIONAL):
            self.commit()

    def commit(self) -> None:
        """Remember that all statements so far stay."""
        self.kept += self.open
        self.open = []

    def explain(self, error: BaseException) -> MigrationError:
        """Say which migration failed, where, why, and what of it stays."""
        script = self.step.revision if self.step is not None else None
        revision, path = getattr(script, "revision", None), getattr(script, "path", None)
        where = f"Migration {revision} in {path}" if script is not None else "Migrating"
        # Of these it is known that they quote no values.
        is_safe = isinstance(error, AndamiosError | CommandError | CompileError | NoSuchTableError)
        reason = f"{error}".rstrip(".") if is_safe else type(error).__name__
        ddl = [" ".join(each.split()) for each in self.kept if _is_ddl(each)]
        left = "Nothing of it stays."
        if self.kept:
            shown = "; ".join(ddl) or "changes of rows"
            left = f"These statements stay, and running it again repeats them: {shown}."
        return MigrationError(
            f"{where} failed: {reason}. {left}",
            revision=revision,
            path=path,
            statement=getattr(error, "statement", None),
            code=getattr(error, "code", None),
        )

    def warn(self, error: BaseException, backend: str) -> None:
        """Log what stays of a migration that was cancelled: nobody is given an error then."""
        if self.step is not None:
            goes_on = "" if backend in TRANSACTIONAL else UNDER_WAY
            log.warning("%s%s", self.explain(error), goes_on)

    def can_repeat(self, error: BaseException) -> bool:
        """Whether it failed for want of a lock, and left nothing behind."""
        return isinstance(error, DeadlockError) and not self.kept


def _is_ddl(statement: str) -> bool:
    found = FIRST_WORD.match(statement)
    return found is not None and found[1].lower() in DDL


def run_next(connection: Connection, scripts: ScriptDirectory, plan: Plan, run: Run) -> bool:
    """
    Run the first step of a plan, if there is one, in a transaction of its own.

    Args:
        connection: With the settings for migrating.
        scripts: The directory.
        plan: Gives the steps for the revisions that the database is at.
        run: Is filled in.

    Returns:
        Whether there was a step.
    """
    before: set[tuple[Any, ...]] = set()

    def first(heads: Sequence[str], _context: Any) -> list[RevisionStep]:
        steps = plan(heads)[:1]
        before.update(broken_references(connection) if steps else ())
        run.step = steps[0] if steps else None
        return steps

    with EnvironmentContext(Config(), scripts, fn=first) as environment:
        environment.configure(
            connection=connection,
            transactional_ddl=connection.dialect.name in TRANSACTIONAL,
            on_version_apply=lambda ctx, **_: check_references(ctx.connection, before),
        )
        with _noting(connection, run), keeping_collations(), environment.begin_transaction():
            environment.run_migrations()
    return run.step is not None


@contextmanager
def _noting(connection: Connection, run: Run) -> Iterator[None]:
    def note(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        run.note(connection, statement)

    def repair(_connection: Any, statement: Any, *_others: Any) -> None:
        step, run.step = run.step, None  # what repairs is no part of the migration
        drop_invalid(connection, statement)
        run.step = step

    def commit(_connection: Any) -> None:
        run.commit()

    listeners: dict[str, Callable[..., None]] = {
        "after_cursor_execute": note,
        "before_execute": repair,
        "commit": commit,
    }
    for name, listener in listeners.items():
        event.listen(connection, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners.items():
            event.remove(connection, name, listener)
