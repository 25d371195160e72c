"""The audit trail: in the caller's transaction, sealed once, and any change found."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import select, text, update
from sqlalchemy.orm import Mapped

from andamios import AndamiosEngine, BaseModel, ConfigurationError, DataError, SoftDeleteModel
from andamios.models.actor import acting_as
from andamios.security import AuditHead, AuditLogger, AuditProblem
from andamios.security.audit_tables import LOG, SEALS


class AuditedThing(BaseModel):
    """A model to watch."""

    name: Mapped[str]


class AuditedNote(SoftDeleteModel):
    """A model whose rows are marked instead of deleted."""

    name: Mapped[str]


@pytest_asyncio.fixture(params=[None, "a key of the trail"], ids=["hash", "hmac"])
async def audit(
    engine: AndamiosEngine, request: pytest.FixtureRequest
) -> AsyncIterator[AuditLogger]:
    """A trail of its own tables, with and without a key."""
    logger = AuditLogger(engine, key=request.param)
    await engine.drop_all(logger.metadata)
    await logger.create_tables()
    yield logger
    logger.unwatch()
    await engine.drop_all(logger.metadata)


async def rows(engine: AndamiosEngine) -> list[tuple[str, str, str, str]]:
    """What the log says, oldest first."""
    said = select(LOG.c.user_id, LOG.c.table_name, LOG.c.operation, LOG.c.row_key)
    async with engine.session(read_only=True) as session:
        return [tuple(row) for row in await session.execute(said.order_by(LOG.c.id))]


async def fill(audit: AuditLogger, count: int) -> None:
    """Write rows that differ."""
    for number in range(count):
        await audit.log_data_access(f"u{number}", "patient", "read", row=number)


async def tamper(engine: AndamiosEngine, *statements: str) -> None:
    """Do what somebody with a password for the database can."""
    async with engine.session(is_current=False) as session:
        for statement in statements:
            await session.execute(text(statement))


async def test_joins_the_session_of_the_task(audit: AuditLogger, engine: AndamiosEngine) -> None:
    """A row lives and dies with the transaction of what it tells of."""
    async with engine.session() as session:
        await audit.log_data_access("ann", "patient", "update", row=1)
        await session.rollback()
    async with engine.session():
        await audit.log_data_access(7, "patient", "update", row=2, details={"why": "ü"})
    assert [("7", "patient", "update", "2")] == await rows(engine)
    assert 1 == await audit.seal()


async def test_joins_a_given_session(audit: AuditLogger, engine: AndamiosEngine) -> None:
    """A session that is passed is the one that is used."""
    async with engine.session(is_current=False) as session:
        await audit.log_data_access("ann", "patient", "read", session=session)
        await session.rollback()
    assert [] == await rows(engine)


async def test_reading_session_cannot_take_the_row(
    audit: AuditLogger, engine: AndamiosEngine
) -> None:
    """What was read in a read-only session is logged all the same."""
    async with engine.session(read_only=True):
        await audit.log_data_access("ann", "patient", "read")
    assert [("ann", "patient", "read", None)] == await rows(engine)


async def test_details_must_be_json(audit: AuditLogger) -> None:
    """What cannot be written down is refused, without repeating it."""
    with pytest.raises(DataError, match="no JSON"):
        await audit.log_data_access("ann", "patient", "read", details={"x": {1, 2}})


async def test_sealed_and_unsealed(audit: AuditLogger) -> None:
    """A report counts what is protected and what is not yet."""
    await fill(audit, 5)
    assert (5, 0) == (await audit.seal(batch=2), await audit.seal())
    await fill(audit, 2)
    report = await audit.verify()
    assert (True, 5, 2) == (report.is_intact, report.sealed, report.unsealed)
    assert 5 == report.head.sealed


NEWEST = f"(SELECT * FROM (SELECT max(position) FROM {SEALS}) AS newest)"

FOURTH = f"SELECT hash FROM {SEALS} WHERE position = 4"

ATTACKS = {
    "changed row": ([f"UPDATE {LOG} SET user_id = 'eve' WHERE id = 2"], "changed", 2, 2),
    "changed moment": ([f"UPDATE {LOG} SET at = '2001-01-01' WHERE id = 3"], "changed", 3, 3),
    "removed row": ([f"DELETE FROM {LOG} WHERE id = 3"], "removed", 3, 3),
    "removed row and link": (
        [f"DELETE FROM {LOG} WHERE id = 3", f"DELETE FROM {SEALS} WHERE position = 3"],
        *("removed", 3, None),
    ),
    "swapped rows": (
        [
            f"UPDATE {LOG} SET id = 99 WHERE id = 2",
            f"UPDATE {LOG} SET id = 2 WHERE id = 4",
            f"UPDATE {LOG} SET id = 4 WHERE id = 99",
        ],
        *("reordered", 2, 2),
    ),
    "swapped links": (
        [
            f"UPDATE {SEALS} SET position = 99 WHERE position = 2",
            f"UPDATE {SEALS} SET position = 2 WHERE position = 4",
            f"UPDATE {SEALS} SET position = 4 WHERE position = 99",
        ],
        *("reordered", 2, 4),
    ),
    "changed link": ([f"UPDATE {SEALS} SET hash = 'x' WHERE position = 4"], "changed", 4, 4),
    "newest cut off": (
        [f"DELETE FROM {LOG} WHERE id = 5", f"DELETE FROM {SEALS} WHERE position = {NEWEST}"],
        *("removed", 5, None),
    ),
    "marked row without a link": (
        [
            f"DELETE FROM {SEALS} WHERE position = 5",
            f"UPDATE andamios_audit_head SET sealed = 4, hash = ({FOURTH})",
        ],
        *("removed", 5, 5),
    ),
    "changed link and a second head": (
        [
            f"UPDATE {SEALS} SET hash = 'x' WHERE position = 5",
            "INSERT INTO andamios_audit_head (id, sealed, hash) VALUES (2, 5, 'x')",
        ],
        *("changed", 5, 5),
    ),
    "no head": (["DELETE FROM andamios_audit_head"], "removed", 6, None),
    "all gone": ([f"DELETE FROM {LOG}", f"DELETE FROM {SEALS}"], "removed", 1, None),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_tampering(audit: AuditLogger, engine: AndamiosEngine, attack: str) -> None:
    """Every change of the sealed part is found, with its kind, its place and its row."""
    statements, kind, position, row_id = ATTACKS[attack]
    await fill(audit, 5)
    await audit.seal()
    await tamper(engine, *statements)
    report = await audit.verify()
    assert AuditProblem(kind, position, row_id) == report.problem  # type: ignore[arg-type]
    assert not report.is_intact


COLUMNS = ["user_id", "table_name", "operation", "row_key", "details"]


@pytest.mark.parametrize("column", COLUMNS)
async def test_every_column_is_sealed(
    audit: AuditLogger, engine: AndamiosEngine, column: str
) -> None:
    """No part of a row can be changed."""
    await fill(audit, 1)
    await audit.seal()
    await tamper(engine, f"UPDATE {LOG} SET {column} = 'x'")
    assert AuditProblem("changed", 1, 1) == (await audit.verify()).problem


async def test_head_kept_elsewhere(audit: AuditLogger, engine: AndamiosEngine) -> None:
    """Cutting off the newest rows, and setting the head back, shows against a kept head."""
    await fill(audit, 3)
    await audit.seal()
    shorter = (await audit.verify()).head
    await fill(audit, 1)
    await audit.seal()
    kept = (await audit.verify()).head
    await fill(audit, 1)
    await audit.seal()
    assert (await audit.verify(expected_head=kept)).is_intact
    await tamper(
        engine,
        f"DELETE FROM {LOG} WHERE id > 3",
        f"DELETE FROM {SEALS} WHERE position > 3",
        f"UPDATE andamios_audit_head SET sealed = 3, hash = '{shorter.hash}'",
    )
    assert (await audit.verify()).is_intact
    assert AuditProblem("removed", 4) == (await audit.verify(expected_head=kept)).problem
    other = AuditHead(2, "0" * 64)
    assert AuditProblem("changed", 2, 2) == (await audit.verify(expected_head=other)).problem


async def test_rows_that_were_sealed_again(audit: AuditLogger, engine: AndamiosEngine) -> None:
    """Links cut off, a row changed and sealed anew with the right key show against a kept head."""
    await fill(audit, 3)
    await audit.seal()
    kept = (await audit.verify()).head
    await tamper(
        engine,
        f"DELETE FROM {SEALS}",
        "DELETE FROM andamios_audit_head",
        f"UPDATE {LOG} SET user_id = 'eve' WHERE id = 2",
        f"UPDATE {LOG} SET is_sealed = false",
    )
    assert 3 == await audit.seal()
    assert (await audit.verify()).is_intact
    assert AuditProblem("changed", 3, 3) == (await audit.verify(expected_head=kept)).problem


async def test_a_second_head_stops_nobody(audit: AuditLogger, engine: AndamiosEngine) -> None:
    """A row that somebody adds to the table of the head is not looked at."""
    await fill(audit, 2)
    await audit.seal()
    await tamper(engine, "INSERT INTO andamios_audit_head (id, sealed, hash) VALUES (2, 9, 'x')")
    await fill(audit, 1)
    assert 1 == await audit.seal()
    assert (True, 3) == ((report := await audit.verify()).is_intact, report.sealed)


async def test_another_key_computes_another_chain(engine: AndamiosEngine) -> None:
    """Without the key nobody can write a chain that looks right."""
    audit = AuditLogger(engine, key="right")
    await engine.drop_all(audit.metadata)
    await audit.create_tables()
    await fill(audit, 1)
    await audit.seal()
    report = await AuditLogger(engine, key="wrong").verify()
    await engine.drop_all(audit.metadata)
    assert AuditProblem("changed", 1, 1) == report.problem


async def test_many_writers_and_sealers(audit: AuditLogger, engine: AndamiosEngine) -> None:
    """Every committed row is sealed exactly once; what was rolled back leaves nothing."""
    writers, each = 8, 10

    async def write(writer: int) -> None:
        for number in range(each):
            async with engine.session() as session:
                await audit.log_data_access(writer, "patient", "update", row=number)
                await asyncio.sleep(0.001)
                if number % 5 == 4:
                    await session.rollback()

    async def keep_sealing(done: asyncio.Event) -> None:
        while not done.is_set():
            await audit.seal(batch=7)

    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        sealers = [group.create_task(keep_sealing(done)) for _ in range(2)]
        await asyncio.gather(*(write(writer) for writer in range(writers)))
        done.set()
    assert 2 == len(sealers)
    await audit.seal()
    report = await audit.verify()
    expected = writers * each * 4 // 5
    assert (None, expected, 0) == (report.problem, report.sealed, report.unsealed)
    assert expected == len(await rows(engine))


async def test_watched_models(audit: AuditLogger, engine: AndamiosEngine) -> None:
    """Writes to a watched model are logged with their user and key, in their transaction."""
    audit.watch(AuditedThing, AuditedNote)
    with acting_as("ann"):
        async with engine.session() as session:
            thing, note = AuditedThing(name="a secret name"), AuditedNote(name="n")
            session.add_all([thing, note])
            await session.flush()
            thing.name = "b"
            await session.delete(note)
            await session.flush()
            await session.delete(thing)
        async with engine.session() as session:
            await session.execute(update(AuditedThing).values(name="c"))
            await session.rollback()
        async with engine.session() as session:
            await session.execute(update(AuditedThing).values(name="c"))
    key, other = str(thing.id), str(note.id)
    assert sorted(
        [
            ("ann", "audited_thing", "create", key),
            ("ann", "audited_note", "create", other),
            ("ann", "audited_thing", "update", key),
            ("ann", "audited_note", "delete", other),
            ("ann", "audited_thing", "delete", key),
            ("ann", "audited_thing", "update many", None),
        ],
        key=str,
    ) == sorted(await rows(engine), key=str)


async def test_no_longer_watched(audit: AuditLogger, engine: AndamiosEngine) -> None:
    """After ``unwatch`` nothing is logged by itself, and twice does no harm."""
    audit.watch(AuditedThing)
    audit.unwatch()
    audit.unwatch()
    async with engine.session() as session:
        session.add(AuditedThing(name="a"))
    assert [] == await rows(engine)


def test_tables_are_in_no_model_base() -> None:
    """A user's own metadata, and so their migrations, do not get the trail's tables."""
    assert not AuditLogger.metadata.tables.keys() & BaseModel.metadata.tables.keys()


async def test_another_key_seals_nothing(engine: AndamiosEngine) -> None:
    """A sealer whose key is missing or wrong is told so, and the trail stays whole."""
    right = AuditLogger(engine, key="right")
    await engine.drop_all(right.metadata)
    await right.create_tables()
    await right.log_data_access("ann", "patient", "read")
    await right.seal()
    await right.log_data_access("ann", "patient", "read")
    for key in (None, "wrong"):
        with pytest.raises(ConfigurationError, match="another key"):
            await AuditLogger(engine, key=key).seal()

    assert 1 == (await right.verify()).unsealed
    assert 1 == await right.seal()
    assert (await right.verify()).is_intact
