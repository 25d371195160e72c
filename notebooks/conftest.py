"""
Notebooks run on real servers: this hands them over in the environment.

A notebook's kernel is a process of its own and gets no fixtures. The variables are those
that anybody can set for a server of their own.
"""

import os
from collections.abc import Iterator

import pytest

from harness.databases import TestDatabaseManager, run_now
from harness.services import ServiceName, ServiceUnavailableError
from harness.session import HarnessSession

VARIABLES: dict[ServiceName, str] = {
    "postgresql": "ANDAMIOS_POSTGRES_URL",
    "mysql": "ANDAMIOS_MYSQL_URL",
    "redis": "ANDAMIOS_REDIS_URL",
}


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Make a database on each server that the notebooks speak of, before they run."""
    harness = HarnessSession.of(session.config)
    if session.config.option.collectonly:
        return (yield)
    text = "".join(path.read_text(encoding="utf-8") for path in {i.path for i in session.items})
    needed = {name for name, variable in VARIABLES.items() if variable in text}
    harness.start_ahead(needed)
    managers = [manager for name in needed if (manager := _hand_over(harness, name))]
    try:
        return (yield)
    finally:
        for manager in managers:
            run_now(manager.cleanup_test_database(harness.worker))


def _hand_over(harness: HarnessSession, name: ServiceName) -> TestDatabaseManager | None:
    try:
        server = harness.service(name).url()
    except ServiceUnavailableError:
        return None  # reported in the summary; the notebook goes on without it
    manager = TestDatabaseManager(server, f"nb_{harness.run.id}")
    os.environ[VARIABLES[name]] = run_now(manager.create_test_database(harness.worker))
    return manager
