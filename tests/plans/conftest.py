"""Fixtures for what is done both ways."""

from collections.abc import Iterator

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
