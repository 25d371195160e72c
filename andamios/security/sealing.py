"""
Sealing: rows that are committed become links of the chain.

Writers do not wait for each other, and rows are committed in another order than their
numbers say. So the sealer gives them positions afterwards. Whoever holds the row of the
head seals; it is locked for one batch, and comes free with its transaction, also when the
sealer dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.errors import AndamiosError, ConfigurationError, DuplicateError
from andamios.security.audit_tables import HEAD, HEAD_ID, LOG, SEALS, row_digest
from andamios.security.chain import GENESIS, digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from andamios.core.engine import AndamiosEngine

__all__ = ["seal_batch", "start_chain"]


async def start_chain(engine: AndamiosEngine) -> None:
    """Write the head of an empty chain, if there is none."""
    try:
        async with engine.session(is_current=False) as session:
            if await session.scalar(sa.select(HEAD.c.id).where(HEAD.c.id == HEAD_ID)) is None:
                if await session.scalar(sa.select(SEALS.c.position).limit(1)) is not None:
                    raise AndamiosError(
                        "The head of the audit trail is gone, and its links are not. Somebody "
                        "removed it: nothing more is sealed."
                    )
                await session.execute(HEAD.insert().values(id=HEAD_ID, sealed=0, hash=GENESIS))
    except DuplicateError:
        pass  # another process was faster


async def seal_batch(engine: AndamiosEngine, key: bytes | None, size: int) -> int:
    """
    Seal what is committed, oldest number first.

    Args:
        engine: Where the tables are.
        key: Of the HMAC.
        size: Rows at most.

    Returns:
        How many rows were sealed.
    """
    # READ COMMITTED: on MySQL, locks on gaps would make writers wait.
    async with engine.session(isolation="READ COMMITTED", is_current=False) as session:
        head = (
            await session.execute(sa.select(HEAD).where(HEAD.c.id == HEAD_ID).with_for_update())
        ).one()
        await _require_key(session, head, key)
        is_linked = sa.exists().where(SEALS.c.row_id == LOG.c.id)
        waiting = sa.select(LOG).where(LOG.c.is_sealed.is_(False), ~is_linked)
        rows = (await session.execute(waiting.order_by(LOG.c.id).limit(size))).all()
        if rows:
            await _link(session, rows, head, key)
        return len(rows)


async def _require_key(session: AsyncSession, head: sa.Row[Any], key: bytes | None) -> None:
    """Refuse to go on with a chain that another key began: it would count as broken for good."""
    last = sa.select(SEALS).order_by(SEALS.c.position.desc()).limit(2)
    links = (await session.execute(last)).all()
    if not links or links[0].position != head.sealed:
        return  # broken already, which verify() says
    link, before = links[0], links[1].hash if len(links) > 1 else GENESIS
    if digest([before, link.position, link.row_id, link.digest], key) != link.hash:
        raise ConfigurationError(
            "This audit trail was sealed with another key than this one, or its end was changed. "
            "Nothing was sealed. Pass the right key; if verify() then finds a problem, keep the "
            "database as it is and look into it."
        )


async def _link(
    session: AsyncSession, rows: Sequence[sa.Row[Any]], head: sa.Row[Any], key: bytes | None
) -> None:
    seals: list[dict[str, Any]] = []
    last: str = head.hash
    for position, row in enumerate(rows, head.sealed + 1):
        said = row_digest(row, key)
        last = digest([last, position, row.id, said], key)
        seals.append({"position": position, "row_id": row.id, "digest": said, "hash": last})
    await session.execute(SEALS.insert(), seals)
    sealed = LOG.update().where(LOG.c.id.in_([row.id for row in rows]))
    await session.execute(sealed.values(is_sealed=True))
    grown = HEAD.update().where(HEAD.c.id == HEAD_ID)
    await session.execute(grown.values(sealed=seals[-1]["position"], hash=last))
