"""What of SQLAlchemy is used here though it is private; a test for each says what breaks."""

from __future__ import annotations

__all__ = ["PRIVATE_NAMES"]

PRIVATE_NAMES: dict[str, tuple[str, ...]] = {
    "sqlalchemy.sql.elements.ClauseElement": ("_generate_cache_key",),
    "sqlalchemy.pool.base._ConnectionFairy": ("_checkin", "_connection_record"),
    "sqlalchemy.pool.base.Pool": ("_invalidate",),
    "sqlalchemy.connectors.asyncio.AsyncAdapt_dbapi_connection": ("_handle_exception",),
    "sqlalchemy.dialects.postgresql.asyncpg.AsyncAdapt_asyncpg_connection": ("_prepare",),
    "sqlalchemy.dialects.postgresql.asyncpg.PGDialect_asyncpg": (
        "_invalidate_schema_cache",
        "_invalidate_schema_cache_asof",
    ),
}
"""The private names, by the class that has them."""
