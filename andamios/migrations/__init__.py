"""Migrations: Alembic's, async end to end."""
