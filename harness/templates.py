"""
Templates: the tables of a test database made once and then copied.

PostgreSQL copies a sealed database faster than it makes tables, and SQLite a file. A
template is known by a digest of the statements that made it, so that one of yesterday's
tables is never taken for today's.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import create_mock_engine, text

from andamios import AndamiosEngine, AndamiosError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sqlalchemy import MetaData
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncConnection

    from harness.ledger import Ledger

__all__ = [
    "Owner",
    "Schema",
    "clone",
    "copy_file",
    "is_template",
    "plain",
    "remove_files",
    "unseal",
]

KEPT_TEMPLATES = 5
"""On a server that outlives its runs; older ones are dropped when another is made."""

LOCK_LIMIT = "60s"
"""How long one worker waits for another one to make a template."""


@dataclass(frozen=True)
class Schema:
    """
    What is to be in a new database.

    Args:
        digest: Letters and digits that differ when the content does.
        create: Makes it in the empty database at a URL.

    Example:
        >>> from sqlalchemy import MetaData
        >>> from harness.templates import Schema
        >>> Schema.of(MetaData(), "sqlite://") == Schema.of(MetaData(), "sqlite://")
        False
        >>> Schema.of(MetaData(), "sqlite://").digest == Schema.of(MetaData(), "sqlite://").digest
        True
    """

    digest: str
    create: Callable[[str], Coroutine[Any, Any, None]]

    @classmethod
    def of(cls, metadata: MetaData, url: str) -> Self:
        """
        Describe the tables of a MetaData.

        Args:
            metadata: The tables, and whatever its events create beside them.
            url: A URL of the backend that they are for.
        """
        statements: list[str] = [importlib.metadata.version("andamios")]

        def note(statement: Any, *_: Any, **__: Any) -> None:
            statements.append(str(statement.compile(dialect=mock.dialect)))

        mock = create_mock_engine(url, note)
        metadata.create_all(mock, checkfirst=False)
        digest = hashlib.sha256("\n".join(statements).encode()).hexdigest()[:16]

        async def create(address: str) -> None:
            engine = AndamiosEngine(address, uvloop=False, pool_size=1)
            try:
                await engine.create_all(metadata)
            finally:
                await engine.close()

        return cls(digest, create)


@dataclass(frozen=True)
class Owner:
    """Whose templates are used: on which server, with which prefix, written down where."""

    server: URL
    prefix: str
    ledger: Ledger | None


def plain(name: str) -> str:
    """Write the statement that makes an empty database on PostgreSQL."""
    # Text sorts by code point, as on the other backends, whatever the machine's locale.
    return (
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' "
        "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
    )


def is_template(name: str) -> bool:
    """Tell by its name whether a database is a template of ours."""
    return "_template_" in name


def unseal(name: str) -> str:
    """Write the statements that let a template be dropped."""
    return (
        f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_database WHERE datname = '{name}') "
        f"THEN ALTER DATABASE {name} IS_TEMPLATE false; END IF; END $$"
    )


async def clone(connection: AsyncConnection, owner: Owner, schema: Schema, name: str) -> None:
    """
    Make a database on PostgreSQL by copying the template of a schema, made if need be.

    Args:
        connection: To the server, outside of a transaction.
        owner: Whose template.
        schema: What is in it.
        name: Of the new database.
    """
    template = f"{owner.prefix}_template_{schema.digest}"
    create = text(f"CREATE DATABASE {name} TEMPLATE {template}{await _strategy(connection)}")
    await _ensure(connection, owner, schema, template)
    try:
        await connection.execute(create)
    except AndamiosError:
        if await _is_sealed(connection, template):
            raise
        # Another run has made newer ones meanwhile, and dropped this one as old.
        await _ensure(connection, owner, schema, template)
        await connection.execute(create)


async def _is_sealed(connection: AsyncConnection, template: str) -> bool:
    query = text("SELECT datistemplate FROM pg_database WHERE datname = :name")
    return bool(await connection.scalar(query, {"name": template}))


async def _ensure(connection: AsyncConnection, owner: Owner, schema: Schema, template: str) -> None:
    if await _is_sealed(connection, template):
        return
    # Held by this connection, so that it ends with us, however we end.
    await connection.execute(text(f"SET lock_timeout = '{LOCK_LIMIT}'"))
    lock = {"name": owner.prefix}
    await connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), lock)
    try:
        if await _is_sealed(connection, template):
            return
        address = owner.server.set(database=template).render_as_string(hide_password=False)
        if owner.ledger is not None:
            owner.ledger.add(address, "template")
        # What is there without a seal is what somebody did not finish.
        await connection.execute(text(f"DROP DATABASE IF EXISTS {template} WITH (FORCE)"))
        await connection.execute(text(plain(template)))
        await schema.create(address)
        await connection.execute(
            text(f"ALTER DATABASE {template} IS_TEMPLATE true ALLOW_CONNECTIONS false")
        )
        await _drop_old(connection, owner.prefix)
    finally:
        await connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), lock)


async def _drop_old(connection: AsyncConnection, prefix: str) -> None:
    query = text(
        "SELECT datname FROM pg_database WHERE starts_with(datname, :prefix) AND datistemplate "
        "ORDER BY oid DESC OFFSET :kept"
    )
    values = {"prefix": f"{prefix}_template_", "kept": KEPT_TEMPLATES}
    for name in (await connection.scalars(query, values)).all():
        await connection.execute(text(unseal(name)))
        await connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


async def _strategy(connection: AsyncConnection) -> str:
    """Copy files where that is the fastest: PostgreSQL 15 or newer that never waits for a disk."""
    version = await connection.scalar(text("SHOW server_version_num"))
    fsync = await connection.scalar(text("SHOW fsync"))
    return " STRATEGY FILE_COPY" if int(version) >= 150000 and fsync == "off" else ""  # noqa: PLR2004


async def copy_file(url: URL, schema: Schema, prefix: Path) -> None:
    """
    Make an SQLite file by copying the template of a schema, made if need be.

    Args:
        url: Of the new database.
        schema: What is in it.
        prefix: What the template's path begins with. Its folder is one process's own.
    """
    template = prefix.with_name(f"{prefix.name}_template_{schema.digest}.db")
    if not await asyncio.to_thread(template.exists):
        draft = template.with_suffix(".draft")
        await asyncio.to_thread(remove_files, str(draft))
        await schema.create(url.set(database=str(draft)).render_as_string(hide_password=False))
        await asyncio.to_thread(draft.rename, template)
    await asyncio.to_thread(shutil.copyfile, template, str(url.database))


def remove_files(database: str) -> None:
    """Remove an SQLite database with the files beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
