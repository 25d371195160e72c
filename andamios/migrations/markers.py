"""
The table of commit markers, for those whose schema is made by migrations.

``TransactionManager`` settles lost COMMITs with it on MySQL and MariaDB
(:mod:`andamios.core.markers`); other backends need no table, and get none.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy.schema import CreateTable, DropTable

from andamios.core.markers import MARKERS, MARKING_BACKENDS

__all__ = ["create_commit_markers", "drop_commit_markers"]


def create_commit_markers() -> None:
    """
    Make the table; called in the ``upgrade()`` of a migration.

    Example::

        from andamios.migrations import create_commit_markers, drop_commit_markers

        def upgrade() -> None:
            create_commit_markers()

        def downgrade() -> None:
            drop_commit_markers()
    """
    if op.get_context().dialect.name in MARKING_BACKENDS:
        op.execute(CreateTable(MARKERS))


def drop_commit_markers() -> None:
    """Drop the table again; called in the ``downgrade()`` of a migration."""
    if op.get_context().dialect.name in MARKING_BACKENDS:
        op.execute(DropTable(MARKERS))
