"""Parts of settling: what is concluded from what was seen, old markers, and poolers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from andamios import AndamiosEngine
from andamios.core.markers import MARKING_BACKENDS
from andamios.resilience import TransactionManager
from andamios.resilience.settling import markers
from andamios.resilience.settling.markers import markers_of
from andamios.resilience.settling.mysql import new_marker
from andamios.resilience.settling.postgresql import History, Life, Seen, Trace, judge
from harness.faults import FaultProxy
from tests.resilience.models import ResNote

if TYPE_CHECKING:
    from andamios import AsyncSession
    from tests.resilience.conftest import NoteReader

CLEAN, CRASHED_BEFORE, CRASHED_AFTER = Life("1", None), Life("2", "999"), Life("2", "1001")
BEGUN_AGAIN = Life("3", None)
HERE, ELSEWHERE, COUNTED_ANEW = History("c", "s"), History("d", "s"), History("c", "t")


@pytest.mark.parametrize(
    ("status", "life", "history", "is_committed", "is_final"),
    [
        ("committed", CLEAN, HERE, True, True),
        ("aborted", CLEAN, HERE, False, True),
        ("in progress", CLEAN, HERE, None, False),
        ("committed", CLEAN, COUNTED_ANEW, True, True),
        (None, CLEAN, HERE, None, False),
        ("forgotten", CLEAN, HERE, None, True),
        ("committed", CLEAN, ELSEWHERE, None, True),
        ("committed", CRASHED_BEFORE, COUNTED_ANEW, False, True),
        ("committed", CRASHED_AFTER, COUNTED_ANEW, True, True),
        ("in progress", CRASHED_AFTER, COUNTED_ANEW, False, True),
        ("aborted", BEGUN_AGAIN, HERE, False, True),
        ("committed", BEGUN_AGAIN, HERE, True, True),
        ("committed", BEGUN_AGAIN, COUNTED_ANEW, None, True),
    ],
)
def test_judgement(
    status: str | None,
    life: Life,
    history: History,
    is_committed: bool | None,
    is_final: bool,
) -> None:
    """What was seen of a transaction at place 1000 of a life that began clean."""
    found = judge(Trace("7", 1000, CLEAN, HERE), Seen(status, life, history))
    assert (is_committed, is_final) == (found.is_committed, found.is_final)


def test_without_counts_nothing_is_concluded() -> None:
    """A server that does not tell since when it counts proves no clean restart."""
    nothing = History(None, None)
    found = judge(Trace("7", 1000, CLEAN, nothing), Seen("committed", BEGUN_AGAIN, nothing))
    assert found.is_committed is None


async def count(engine: AndamiosEngine) -> int:
    async with engine.session(read_only=True, is_current=False) as session:
        return int(await session.scalar(text("SELECT count(*) FROM andamios_commits")) or 0)


async def test_old_markers_are_removed(
    engine: AndamiosEngine,
    manager: TransactionManager,
    notes: NoteReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those older than a day go, in batches and beside the work; younger ones stay."""
    if engine.backend not in MARKING_BACKENDS:
        pytest.skip("has no markers")
    monkeypatch.setattr(markers, "PURGE_EVERY", 3)
    monkeypatch.setattr(markers, "BATCH", 500)
    await manager.prepare()
    day = 24 * 3600
    async with engine.session() as session:
        await session.execute(text("DELETE FROM andamios_commits"))
        for age in (2 * day, day + 60, day - 60):
            prefix = int((time.time() - age) * 1000).to_bytes(6).hex()
            await session.execute(
                text(
                    f"INSERT INTO andamios_commits VALUES (X'{prefix}{new_marker()[12:]}', 1, 1,"
                    f" NOW(6) - INTERVAL {age} SECOND)"
                )
            )

    async def work(session: AsyncSession) -> None:
        session.add(ResNote(text="one"))

    for _ in range(3):
        await manager.run(work)
    known = markers_of(engine)
    assert known is not None
    assert known.purging is not None
    await known.purging
    assert 4 == await count(engine)
    assert ["one"] * 3 == await notes()


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_behind_a_pooler(pgbouncer: str, notes: NoteReader, moment: str) -> None:
    """PgBouncer gives the looks whichever connection is free, which is all they need."""
    calls = 0
    async with FaultProxy.to(pgbouncer) as proxy, AndamiosEngine(proxy.url, uvloop=False) as pooled:

        async def work(session: AsyncSession) -> int:
            nonlocal calls
            calls += 1
            session.add(ResNote(text="one"))
            await session.flush()
            if calls == 1:
                proxy.cut(b"COMMIT", moment)  # type: ignore[arg-type]
            return calls

        manager = TransactionManager(pooled)
        assert (2 if moment == "before" else 1) == await manager.run(work)
        async with manager.lock("job", timeout=5):
            pass
    assert ["one"] == await notes()
