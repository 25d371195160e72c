"""Migrations: Alembic's, async end to end."""

from andamios.errors import MissingDependencyError

try:
    from andamios.migrations.lint import LintFinding
    from andamios.migrations.manager import MigrationManager
    from andamios.migrations.markers import create_commit_markers, drop_commit_markers
    from andamios.migrations.scripts import MigrationRecord
    from andamios.migrations.version import EnvironmentVersion, SchemaVersion
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "alembic":
        raise
    raise MissingDependencyError("alembic", "migrations") from error

__all__ = [
    "EnvironmentVersion",
    "LintFinding",
    "MigrationManager",
    "MigrationRecord",
    "SchemaVersion",
    "create_commit_markers",
    "drop_commit_markers",
]
