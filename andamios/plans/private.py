"""What of SQLAlchemy is used here though it is private; a test for each says what breaks."""

from __future__ import annotations

__all__ = ["PRIVATE_NAMES"]

PRIVATE_NAMES: dict[str, tuple[str, ...]] = {
    "sqlalchemy.sql.elements.ClauseElement": ("_generate_cache_key",),
    "sqlalchemy.engine.base.Connection": ("_handle_dbapi_exception",),
    "sqlalchemy.engine.default.DefaultDialect": ("_json_serializer", "_on_connect_isolation_level"),
    "sqlalchemy.orm.identity._WeakInstanceDict": ("_add_unpresent",),
    "sqlalchemy.orm.instrumentation.ClassManager": ("_state_constructor",),
    "sqlalchemy.orm.session.Session": ("_is_clean", "_register_persistent", "_transaction"),
    "sqlalchemy.orm.session.SessionTransaction": ("_connections",),
    "sqlalchemy.orm.state.InstanceState": ("_commit_all",),
    "sqlalchemy.pool.base.Pool": ("_invalidate",),
    "sqlalchemy.connectors.asyncio.AsyncAdapt_dbapi_connection": ("_handle_exception",),
    "sqlalchemy.dialects.postgresql.asyncpg.AsyncAdapt_asyncpg_connection": (
        "_prepare",
        "_start_transaction",
        "_transaction",
    ),
    "sqlalchemy.dialects.postgresql.asyncpg.PGDialect_asyncpg": (
        "_invalidate_schema_cache",
        "_invalidate_schema_cache_asof",
    ),
}
"""The private names, by the class that has them."""
