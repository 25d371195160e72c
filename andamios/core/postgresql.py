"""
What PostgreSQL needs: COMMITs that mean it, and statements for many rows that can be cancelled.

asyncpg sends a large ``executemany`` in several writes, and a cancellation that arrives
between two of them is lost: the task then waits for ever (``bind_execute_many`` in
asyncpg 0.32). So inserts of many rows are one statement with many rows in it, and what
still is an ``executemany`` is cut into pieces that fit one write.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from andamios.core.cancels import Cancels
from andamios.core.commits import refuse_silent_rollbacks
from andamios.core.hosts import Hosts, UnfitError, drop_standbys, take_hosts
from andamios.core.json import loads
from andamios.core.listening import listen
from andamios.core.poolers import recognise_poolers
from andamios.core.strict import make_strict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["prepare", "read_json_at_once", "target"]

JSONB_VERSION = b"\x01"
"""With which PostgreSQL's binary form of a document begins ("jsonb_recv")."""

ONE_WRITE = 64 * 1024
"""Bytes; half of what asyncpg sends at once, since sizes are estimated."""

LIMIT = 60.0
"""Seconds for connecting to a single host; asyncpg's own."""

FIXED_SIZE = 32
"""Bytes; more than a number, a moment or a UUID takes."""


def target(url: URL) -> tuple[URL, dict[str, Any]]:
    """Give the URL, and what connects to whichever of its hosts will do."""
    if url.get_driver_name() != "asyncpg":
        return url, {}
    url, arguments = take_hosts(url, os.environ.get("PGTARGETSESSIONATTRS"))
    return url, arguments | {"async_creator_fn": Hosts(_open, "timeout", limit=LIMIT).connect}


async def _open(role: str, options: dict[str, Any]) -> Any:
    asyncpg: Any = importlib.import_module("asyncpg")
    if role != "any":
        options = options | {"target_session_attrs": role}
    try:
        return await asyncpg.connect(**options)
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise UnfitError(f"it is not {role}") from error


def prepare(engine: AsyncEngine) -> None:
    """Register what an engine on PostgreSQL needs."""
    dialect = engine.sync_engine.dialect
    make_strict(dialect)
    refuse_silent_rollbacks(engine.sync_engine)
    drop_standbys(dialect)
    if dialect.driver == "asyncpg":
        recognise_poolers(dialect)
        Cancels().watch(engine.sync_engine)
        dialect.use_insertmanyvalues_wo_returning = True
        listen(engine.sync_engine, "do_executemany", _execute_in_pieces)


def read_json_at_once(engine: AsyncEngine) -> None:
    """Read documents out of the bytes that asyncpg has, without a text between."""
    dialect: Any = engine.sync_engine.dialect
    if dialect.driver == "asyncpg":
        dialect.setup_asyncpg_jsonb_codec = _read_jsonb


async def _read_jsonb(connection: Any) -> None:
    await connection.driver_connection.set_type_codec(
        "jsonb",
        encoder=lambda text: JSONB_VERSION + text.encode(),
        decoder=lambda data: loads(data[1:]),
        schema="pg_catalog",
        format="binary",
    )


def _execute_in_pieces(cursor: Any, statement: str, rows: Sequence[Any], context: Any) -> bool:
    options = context.root_connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return False  # one executemany is all or nothing; several would not be
    for piece in pieces(rows):
        cursor.executemany(statement, piece)
    return True


def pieces(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut rows of parameters into parts that fit one write."""
    begin = size = 0
    for end, row in enumerate(rows):
        size += sum(_size(value) for value in row)
        if size > ONE_WRITE and end > begin:
            yield rows[begin:end]
            begin, size = end, sum(_size(value) for value in row)
    yield rows[begin:]


def _size(value: object) -> int:
    if isinstance(value, str):
        return FIXED_SIZE + 4 * len(value)  # bytes in UTF-8, at most
    return FIXED_SIZE + len(value) if isinstance(value, bytes) else FIXED_SIZE
