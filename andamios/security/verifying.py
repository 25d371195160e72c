"""Verifying: the chain is computed again, and every difference has a name and a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from andamios.security.audit_tables import HEAD, HEAD_ID, LOG, SEALS, row_digest
from andamios.security.chain import AuditHead, AuditProblem, AuditReport, digest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

__all__ = ["Verification"]

BATCH = 1000
"""Rows that are in memory at once."""


class Verification:
    """
    One check of a trail, in one snapshot of it.

    Args:
        session: A transaction that only reads, and that sees one moment.
        key: Of the HMAC.
        expected: A head that was kept elsewhere.
    """

    def __init__(
        self, session: AsyncSession, key: bytes | None, expected: AuditHead | None
    ) -> None:
        self._session = session
        self._key = key
        self._expected = expected
        self._head = AuditHead()

    async def run(self) -> AuditReport:
        """Check link by link, until the end or the first problem."""
        problem = (
            await self._walk()
            or await self._check_expected()
            or await self._check_end()
            or await self._check_marks()
        )
        is_linked = sa.exists().where(SEALS.c.row_id == LOG.c.id)
        count = sa.select(sa.func.count()).select_from(LOG).where(~is_linked)
        unsealed = await self._session.scalar(count) or 0
        return AuditReport(self._head.sealed, unsealed, self._head, problem)

    async def _walk(self) -> AuditProblem | None:
        while rows := await self._next_rows():
            for row in rows:
                problem = await self._check(row)
                if problem is not None:
                    return problem
                self._head = AuditHead(row.position, row.hash)
        return None

    async def _next_rows(self) -> list[sa.Row[Any]]:
        both = sa.select(SEALS, LOG).join_from(SEALS, LOG, LOG.c.id == SEALS.c.row_id, isouter=True)
        later = both.where(SEALS.c.position > self._head.sealed).order_by(SEALS.c.position)
        return list((await self._session.execute(later.limit(BATCH))).all())

    async def _check(self, row: sa.Row[Any]) -> AuditProblem | None:
        position = self._head.sealed + 1
        if row.position != position:
            return AuditProblem("removed", position)
        if row.id is None:
            return AuditProblem("removed", position, row.row_id)
        said = row_digest(row, self._key)
        if said != row.digest:
            moved = await self._session.scalar(
                sa.select(SEALS.c.position).where(SEALS.c.digest == said).limit(1)
            )
            return AuditProblem("changed" if moved is None else "reordered", position, row.row_id)
        if self._link(row) != row.hash:
            kind = await self._kind_of_broken_link(row)
            return AuditProblem("reordered" if kind else "changed", position, row.row_id)
        return None

    def _link(self, seal: sa.Row[Any]) -> str:
        content = [self._head.hash, self._head.sealed + 1, seal.row_id, seal.digest]
        return digest(content, self._key)

    async def _kind_of_broken_link(self, broken: sa.Row[Any]) -> bool:
        """Whether the seal that belongs here stands somewhere else; looks at all of them."""
        result = await self._session.stream(sa.select(SEALS).execution_options(yield_per=BATCH))
        async for seal in result:
            if self._link(seal) in {broken.hash, seal.hash}:
                await result.close()
                return True
        return False

    async def _check_end(self) -> AuditProblem | None:
        head = sa.select(HEAD.c.sealed, HEAD.c.hash).where(HEAD.c.id == HEAD_ID)
        found = (await self._session.execute(head)).one_or_none()
        if found is None:
            return AuditProblem("removed", self._head.sealed + 1) if self._head.sealed else None
        if found.sealed > self._head.sealed:
            return AuditProblem("removed", self._head.sealed + 1)
        if AuditHead(found.sealed, found.hash) != self._head:
            return AuditProblem("changed", self._head.sealed)
        return None

    async def _check_marks(self) -> AuditProblem | None:
        """Look for a row that no sealer will come back to, since it is marked, without a link."""
        is_linked = sa.exists().where(SEALS.c.row_id == LOG.c.id)
        marked = sa.select(LOG.c.id).where(LOG.c.is_sealed.is_(True), ~is_linked)
        row_id = await self._session.scalar(marked.order_by(LOG.c.id).limit(1))
        return row_id and AuditProblem("removed", self._head.sealed + 1, row_id)

    async def _check_expected(self) -> AuditProblem | None:
        """Look for the kept head in this chain, however far it has grown since."""
        if self._expected is None or self._expected.sealed == 0:
            return None
        place = sa.select(SEALS).where(SEALS.c.position == self._expected.sealed)
        seal = (await self._session.execute(place)).one_or_none()
        if seal is None:
            return AuditProblem("removed", self._expected.sealed)
        if seal.hash != self._expected.hash:
            return AuditProblem("changed", self._expected.sealed, seal.row_id)
        return None
