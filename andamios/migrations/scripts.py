"""
The scripts: a directory of migration files, and how one revision follows another.

The directory is Alembic's: ``versions/`` and ``script.py.mako``. One that ``alembic init``
made works as well; its ``env.py`` and ``alembic.ini`` are not needed and not read.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from andamios.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.script import Script

__all__ = [
    "MigrationRecord",
    "create_directory",
    "explaining",
    "load_scripts",
    "read_history",
    "scripts_in_order",
]

TEMPLATE = '''"""${message}"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Bring the schema to this revision."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Bring the schema back to the revision before."""
    ${downgrades if downgrades else "pass"}
'''


@dataclass(frozen=True, slots=True)
class MigrationRecord:
    """
    One migration, as the directory and the database know it.

    Args:
        revision: Its id.
        down_revision: The one before; None for the first, several for a merge.
        message: What it was generated with.
        is_applied: Whether the database has it.
        is_head: Whether none follows it.
        path: Its file.
    """

    revision: str
    down_revision: str | tuple[str, ...] | None
    message: str
    is_applied: bool
    is_head: bool
    path: Path


def create_directory(directory: Path) -> None:
    """Make what is missing of a directory for scripts; what is there stays."""
    (directory / "versions").mkdir(parents=True, exist_ok=True)
    template = directory / "script.py.mako"
    if not template.exists():
        template.write_text(TEMPLATE, encoding="utf-8")


def load_scripts(directory: Path) -> ScriptDirectory:
    """
    Read and import all scripts, which blocks: call it in a thread.

    Raises:
        MigrationError: There is no such directory, or a script cannot be imported.
    """
    if not directory.is_dir():
        raise MigrationError(
            f"There is no directory of migrations at {directory}. Generating a migration makes it."
        )
    scripts = ScriptDirectory(str(directory), messaging_opts={"quiet": True})
    with explaining(scripts):
        try:
            # Loads every file now, so that nothing reads files on the event loop later.
            list(scripts.walk_revisions())
        except (CommandError, RevisionError):
            raise
        except Exception as error:
            raise MigrationError(
                f"A migration in {directory} cannot be imported: {type(error).__name__}. "
                "Its traceback is this error's cause."
            ) from error
    return scripts


def scripts_in_order(scripts: ScriptDirectory) -> list[Script]:
    """List the scripts, oldest first."""
    return list(reversed(list(scripts.walk_revisions())))


@contextmanager
def explaining(scripts: ScriptDirectory) -> Iterator[None]:
    """
    Turn Alembic's errors about revisions into ours.

    Raises:
        MigrationError: What is wrong with the revision, and which there are.
    """
    try:
        yield
    except (CommandError, RevisionError) as error:
        raise MigrationError(f"{error}. {_known(scripts)}") from error


def read_history(scripts: ScriptDirectory, heads: Sequence[str]) -> list[MigrationRecord]:
    """
    Put scripts and database side by side, oldest first.

    Args:
        scripts: The directory.
        heads: The revisions that the database is at.
    """
    with explaining(scripts):
        applied = {each.revision for each in scripts.iterate_revisions(tuple(heads), "base")}
    return [
        MigrationRecord(
            revision=each.revision,
            down_revision=_plain(each.down_revision),
            message=each.doc or "",
            is_applied=each.revision in applied,
            is_head=each.is_head,
            path=Path(each.path),
        )
        for each in scripts_in_order(scripts)
    ]


def _plain(down: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    return down if down is None or isinstance(down, str) else tuple(down)


def _known(scripts: ScriptDirectory) -> str:
    try:
        known = [each.revision for each in scripts_in_order(scripts)]
    except (CommandError, RevisionError):
        return f"Look at the scripts in {scripts.dir}"
    return f"Revisions in {scripts.dir}, oldest first: {', '.join(known) or 'none'}"
