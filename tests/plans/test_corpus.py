"""The short way and SQLAlchemy's give the same: values, types, states, and errors."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import MetaData

from andamios import AndamiosEngine
from andamios.core.listening import all_statements_seen
from harness.conformance.models import CONFORMANCE_METADATA
from tests.plans.cases import Case
from tests.plans.changes import CHANGES
from tests.plans.corpus import READS, read_cases
from tests.plans.counting import ran
from tests.plans.models import PlansBase
from tests.plans.portraits import answer_of, deep_portrait, difference, portrait, rough_portrait
from tests.plans.rows import fill


@pytest.fixture(scope="session")
def db_metadata() -> MetaData:
    """The tables of the conformance suite, and those of odd models."""
    joined = MetaData(naming_convention=CONFORMANCE_METADATA.naming_convention)
    for metadata in (CONFORMANCE_METADATA, PlansBase.metadata):
        for table in metadata.tables.values():
            table.to_metadata(joined)
    return joined


@pytest.mark.parametrize("topic", READS)
@pytest.mark.isolation("own")
async def test_reads(engine: AndamiosEngine, topic: str, request: pytest.FixtureRequest) -> None:
    """Every query finds the same both ways, also when its plan is known already."""
    await fill(engine)
    cases = list(READS[topic]())
    differences = [found for case in cases for found in await _compared(engine, case)]
    _count(request, cases, differences)


@pytest.mark.isolation("own")
async def test_reads_in_sessions(engine: AndamiosEngine, request: pytest.FixtureRequest) -> None:
    """In a session, too, and the objects that it has stay the same ones."""
    await fill(engine)
    cases = [case for case in read_cases() if case.name.partition(": ")[2] in {"", "execute"}]
    differences = [found for case in cases for found in await _compared_inside(engine, case)]
    _count(request, cases, differences)


def _count(request: pytest.FixtureRequest, cases: list[Case], differences: list[str]) -> None:
    """Note how many there were, for the report of the run, and fail if any differed."""
    request.node.user_properties += [("both ways", len(cases)), ("differences", len(differences))]
    assert not differences, "\n\n".join([f"{len(differences)} of {len(cases)}", *differences[:40]])


async def _compared_inside(engine: AndamiosEngine, case: Case) -> list[str]:
    with ran() as short:
        first = await _inside(engine, case)
    with ran() as long, all_statements_seen():
        wanted = await _inside(engine, case)
    return [
        *_told(case, "", wanted, first),
        *_took(case, wanted, short.statements, long.statements),
    ]


async def _inside(engine: AndamiosEngine, case: Case) -> Any:
    async def twice(session: Any) -> Any:
        return [await case.ask(session), await case.ask(session)]

    async with engine.session() as session:
        shown = (await answer_of(twice, session))[1]
        await session.rollback()
    return shown


@pytest_asyncio.fixture
async def twins(twin_databases: list[str]) -> AsyncIterator[list[AndamiosEngine]]:
    """An engine for each of the two."""
    engines = [AndamiosEngine(url, uvloop=False) for url in twin_databases]
    yield engines
    for engine in engines:
        await engine.close()


@pytest.mark.parametrize("topic", CHANGES)
async def test_writes(
    twins: list[AndamiosEngine], topic: str, request: pytest.FixtureRequest
) -> None:
    """Every write does the same both ways, gives the same, and leaves the same."""
    cases = list(CHANGES[topic]())
    differences = [found for case in cases for found in await _written(twins, case)]
    _count(request, cases, differences)
    one, other = [await _rows(engine) for engine in twins]
    assert one == other


async def _written(twins: list[AndamiosEngine], case: Case) -> list[str]:
    with ran() as short:
        found, first = await answer_of(case.ask, twins[0])
    with ran() as long, all_statements_seen():
        expected, wanted = await answer_of(case.ask, twins[1])
    told = [*_told(case, "", wanted, first), *_took(case, wanted, short.writes, long.statements)]
    if not told:
        told += _told(case, " deep", deep_portrait(expected), deep_portrait(found))
    return told


async def _rows(engine: AndamiosEngine) -> Any:
    tables = [*CONFORMANCE_METADATA.sorted_tables, *PlansBase.metadata.sorted_tables]
    async with engine.connections.acquire() as connection:
        return {
            table.name: portrait(
                [dict(row) for row in (await connection.execute(query)).mappings()]
            )
            for table in tables
            if (query := table.select().order_by(*table.primary_key)) is not None
        }


async def _compared(engine: AndamiosEngine, case: Case) -> list[str]:
    """Ask both ways, and then once more by the plan; tell what differs."""
    with ran() as short:
        found, first = await answer_of(case.ask, engine)
    with ran() as long, all_statements_seen():
        expected, wanted = await answer_of(case.ask, engine)
    told = [
        *_told(case, "", wanted, first),
        *_took(case, wanted, short.statements, long.statements),
    ]
    if case.is_deep and not told:
        told += _told(case, " again", wanted, (await answer_of(case.ask, engine))[1])
        told += _told(case, " deep", deep_portrait(expected), deep_portrait(found))
        one, other = await rough_portrait(engine, expected), await rough_portrait(engine, found)
        told += _told(case, " in a session", one, other)
    return told


def _told(case: Case, when: str, wanted: object, given: object) -> Iterator[str]:
    if wanted != given:
        yield f"{case.name}{when}\n{difference(wanted, given)}"


def _took(case: Case, wanted: Any, short: list[str], long: list[str]) -> Iterator[str]:
    if long:
        yield f"{case.name}: the long way was the short one"
    if case.way == "short" and wanted[0] == "gave" and not short:
        yield f"{case.name}: it did not take the short way"
    if case.way == "long" and short:
        yield f"{case.name}: it took the short way"
