"""The audit trail: who did what to which table, in a form that shows every later change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from andamios.core.current import current_session
from andamios.errors import ConfigurationError, DataError, SessionTaskError
from andamios.security.audit_tables import LOG, METADATA
from andamios.security.sealing import seal_batch, start_chain
from andamios.security.verifying import Verification
from andamios.security.watching import Watch, entry, is_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import MetaData
    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.core.engine import AndamiosEngine
    from andamios.security.chain import AuditHead, AuditReport

__all__ = ["AuditLogger"]


class AuditLogger:
    """
    Writes who did what, seals it into a hash chain, and checks the chain.

    Args:
        engine: Where the trail is kept.
        key: Makes the chain one that only its holder can compute (HMAC-SHA256). Without one,
            whoever may write to the database can compute it anew. With and without one,
            links that were cut off, and rows that were sealed again after it, show only
            against a head that is kept elsewhere: ``verify(expected_head=…)``.

    Example:
        >>> import andamios
        >>> from andamios.security import AuditLogger
        >>> async def main() -> tuple[bool, int]:
        ...     async with andamios.AndamiosEngine("sqlite://") as engine:
        ...         audit = AuditLogger(engine)
        ...         await audit.create_tables()
        ...         await audit.log_data_access("ann", "patient", "read", row=7)
        ...         await audit.seal()
        ...         report = await audit.verify()
        ...         return report.is_intact, report.sealed
        >>> andamios.run(main())
        (True, 1)
    """

    metadata: MetaData = METADATA
    """The tables, for migrations; they are in no model's MetaData."""

    def __init__(
        self, engine: AndamiosEngine, *, key: str | bytes | SecretStr | None = None
    ) -> None:
        self._engine = engine
        text = key.get_secret_value() if isinstance(key, SecretStr) else key
        self._key = text.encode() if isinstance(text, str) else text
        self._watch = Watch(engine)
        if self._key == b"":
            raise ConfigurationError("The key of an audit trail is empty; None means no key.")

    async def create_tables(self) -> None:
        """Create the tables of the trail, if they are not there."""
        await self._engine.create_all(self.metadata)

    async def log_data_access(
        self,
        user_id: str | int | None,
        table: str,
        operation: str,
        *,
        row: object = None,
        details: Mapping[str, Any] | None = None,
        session: AsyncSession | None = None,
    ) -> None:
        """
        Add a row to the trail, which is kept or lost together with what it tells of.

        It joins the given session, or else the session of this task if that writes to the
        same engine; otherwise it is committed by itself.

        Args:
            user_id: Who; kept as text.
            table: Where.
            operation: What, in at most 64 characters, such as ``read``.
            row: The key of the row, kept as text.
            details: What else is to be known, as JSON. No secrets: it cannot be removed.
            session: Whose transaction to join.

        Raises:
            DataError: ``details`` is no JSON, or a text is too long.
        """
        values = entry(user_id, table, operation)
        values |= {"row_key": None if row is None else str(row), "details": _json(details)}
        joined = session or self._session_of_this_task()
        if joined is not None:
            await joined.execute(LOG.insert(), values)
            return
        async with self._engine.session(is_current=False) as own:
            await own.execute(LOG.insert(), values)

    def watch(self, *models: type[Any]) -> None:
        """
        Log every create, update and delete of these models by itself.

        Rows are named by key, without values, and the user is the one of ``acting_as``.
        Set-based writes are one row each, such as ``update many``. Reads, Core statements on
        tables and ``text()`` are not seen.

        Args:
            models: Mapped classes; subclasses are meant too.
        """
        self._watch.add(*models)

    def unwatch(self) -> None:
        """Log no model by itself any longer."""
        self._watch.stop()

    async def seal(self, *, batch: int = 1000) -> int:
        """
        Link all committed rows that are not sealed yet; call it every few seconds.

        Any number of sealers may run: they take turns.

        Args:
            batch: Rows a transaction.

        Returns:
            How many rows were sealed.

        Raises:
            ConfigurationError: The chain was begun with another key.
        """
        await start_chain(self._engine)
        total = 0
        while sealed := await seal_batch(self._engine, self._key, batch):
            total += sealed
            if sealed < batch:
                break
        return total

    async def verify(self, *, expected_head: AuditHead | None = None) -> AuditReport:
        """
        Compute the chain again and compare.

        Args:
            expected_head: ``head`` of an earlier report, kept where those who write to the
                database cannot reach it. It shows that the newest links were cut off, and
                what was changed after that, which nothing in the database can.

        Returns:
            What was found; the first problem, if any. With another key than the sealer's,
            the first link counts as changed.
        """
        # One moment, while others go on writing and sealing.
        async with self._engine.session(
            read_only=True, isolation="REPEATABLE READ", is_current=False
        ) as session:
            return await Verification(session, self._key, expected_head).run()

    def _session_of_this_task(self) -> AsyncSession | None:
        try:
            session = current_session()
        except SessionTaskError:
            return None
        inner = session.sync_session
        if not is_on(inner, self._engine):
            return None
        is_reading = inner.get_bind().get_execution_options().get("andamios_read_only")
        return None if is_reading else session

    def __repr__(self) -> str:
        return f"AuditLogger({self._engine!r})"


def _json(details: Mapping[str, Any] | None) -> str | None:
    if details is None:
        return None
    try:
        return json.dumps(dict(details), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError):
        raise DataError("The details of an audit row are no JSON.") from None
