"""Offline: the SQL of migrations as a text, as `alembic upgrade --sql` writes it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext

from andamios.migrations.running import TRANSACTIONAL, current_heads, upgrades
from andamios.migrations.scripts import explaining

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alembic.runtime.migration import RevisionStep
    from alembic.script import ScriptDirectory
    from sqlalchemy.engine import Connection

__all__ = ["write_sql"]


def write_sql(connection: Connection, scripts: ScriptDirectory, target: str) -> str:
    """
    Write what would run between where the database is and a revision.

    Args:
        connection: Tells where the database is; nothing is changed.
        scripts: The directory.
        target: The last revision.
    """
    buffer = io.StringIO()

    def plan(heads: Sequence[str], _context: Any) -> list[RevisionStep]:
        return upgrades(scripts, heads, target)

    options = {"fn": plan, "as_sql": True, "starting_rev": current_heads(connection)}
    with explaining(scripts), EnvironmentContext(Config(), scripts, **options) as environment:
        environment.configure(
            connection=connection,
            output_buffer=buffer,
            literal_binds=True,
            transaction_per_migration=True,
            transactional_ddl=connection.dialect.name in TRANSACTIONAL,
        )
        with environment.begin_transaction():
            environment.run_migrations()
    return buffer.getvalue()
