"""Random sequences of operations, on a repository and on a dict."""

import asyncio
from functools import partial

import pytest
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import MetaData

from andamios import AndamiosEngine
from tests.conformance.machine import MachineCrate, RepositoryMachine


@pytest.fixture(scope="session")
def db_metadata() -> MetaData:
    """The machine's table."""
    return MachineCrate.metadata


@pytest.mark.capability("repositories: any sequence of operations leaves what a dict would hold")
async def test_repository_is_a_dict(own_database: str) -> None:
    """Whatever is done, table and dict hold the same, in pages and by filters too."""
    # Hypothesis is no coroutine: the machine has a thread and an event loop of its own.
    await asyncio.to_thread(_run_machine, own_database)


def _run_machine(url: str) -> None:
    with asyncio.Runner() as runner:
        engine = AndamiosEngine(url, uvloop=False, pool_size=2)
        try:
            run_state_machine_as_test(partial(RepositoryMachine, runner, engine))
        finally:
            runner.run(engine.close())
