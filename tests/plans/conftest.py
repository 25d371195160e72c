"""Fixtures for what is done both ways."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.databases import run_now
from harness.isolation.worker import WorkerDatabase
from harness.templates import Schema


@pytest.fixture
def twin_databases(worker_database: WorkerDatabase, db_schema: Schema) -> Iterator[list[str]]:
    """The URLs of two databases of one kind."""
    made = [run_now(worker_database.copy(db_schema)) for _ in range(2)]
    yield [url for _, url in made]
    for name, _ in made:
        run_now(worker_database.drop(name))


@pytest.fixture
def refuse_the_long_way(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Fail where a query, or a stream, gives up the short way."""

    def refused(*_: Any) -> None:
        pytest.fail("It took the long way")

    monkeypatch.setattr("andamios.queries.builder.read", refused)
    monkeypatch.setattr("andamios.queries.streaming.read_scope", refused)
    return monkeypatch
