"""The short way and SQLAlchemy's give the same for whatever models and values there are."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andamios import AndamiosEngine
from tests.plans.generated import Model, Trial, models


async def test_made_up_models(twin_databases: list[str], request: pytest.FixtureRequest) -> None:
    """Rows are stored, changed, deleted and found both ways, on two databases."""
    # Hypothesis is no coroutine: it has a thread and an event loop of its own.
    asked, short = await asyncio.to_thread(_run, twin_databases)
    request.node.user_properties.append(("both ways", asked))
    assert short > asked / 2


def _run(urls: list[str]) -> tuple[int, int]:
    trials: list[Trial] = []
    with asyncio.Runner() as runner:
        engines = [AndamiosEngine(url, uvloop=False, pool_size=2) for url in urls]

        @given(models(), st.data())
        def behave_alike(model: Model, data: st.DataObject) -> None:
            trials.append(Trial(model, *engines))
            runner.run(_attempt(trials[-1], data))

        try:
            behave_alike()
        finally:
            for engine in engines:
                runner.run(engine.close())
    return sum(trial.asked for trial in trials), sum(trial.short for trial in trials)


async def _attempt(trial: Trial, data: st.DataObject) -> None:
    engines = [trial.here, trial.there]
    for engine in engines:
        await engine.create_all(trial.model.base)
    try:
        await trial.create(data)
        for _ in range(data.draw(st.integers(3, 8), label="steps")):
            await trial.step(data)
    finally:
        for engine in engines:
            async with engine.connections.acquire() as connection, connection.begin():
                await connection.run_sync(trial.model.base.metadata.drop_all)
