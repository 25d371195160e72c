"""The short way and SQLAlchemy's give the same: values, types, states, and errors."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import MetaData

from andamios import AndamiosEngine
from andamios.core.listening import all_statements_seen
from harness.conformance.models import CONFORMANCE_METADATA
from tests.plans.corpus import READS, Case, fill
from tests.plans.counting import Ran, ran
from tests.plans.models import PlansBase
from tests.plans.portraits import answer_of, deep_portrait, rough_portrait


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
    request.node.user_properties.append(("both ways", len(cases)))
    assert not differences, "\n\n".join([f"{len(differences)} of {len(cases)}", *differences[:40]])


async def _compared(engine: AndamiosEngine, case: Case) -> list[str]:
    """Ask both ways, and then once more by the plan; tell what differs."""
    with ran() as short:
        found, first = await answer_of(case.ask, engine)
    with ran() as long, all_statements_seen():
        expected, wanted = await answer_of(case.ask, engine)
    told = [*_told(case, "", wanted, first), *_took(case, wanted, short, long)]
    if case.is_deep and not told:
        told += _told(case, " again", wanted, (await answer_of(case.ask, engine))[1])
        told += _told(case, " deep", deep_portrait(expected), deep_portrait(found))
        one, other = await rough_portrait(engine, expected), await rough_portrait(engine, found)
        told += _told(case, " in a session", one, other)
    return told


def _told(case: Case, when: str, wanted: object, given: object) -> Iterator[str]:
    if wanted != given:
        one, other = _first_difference(wanted, given)
        yield f"{case.name}{when}\n  long:  {one!r:.400}\n  short: {other!r:.400}"


def _first_difference(one: object, other: object) -> tuple[object, object]:
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            if left != right:
                return _first_difference(left, right)
    return one, other


def _took(case: Case, wanted: Any, short: Ran, long: Ran) -> Iterator[str]:
    if long.statements:
        yield f"{case.name}: the long way was the short one"
    if case.way == "short" and wanted[0] == "gave" and not short.statements:
        yield f"{case.name}: it did not take the short way"
    if case.way == "long" and short.statements:
        yield f"{case.name}: it took the short way"
