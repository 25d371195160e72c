"""
Notebooks run on real servers: this hands them over in the environment.

A notebook's kernel is a process of its own and gets no fixtures. The variables are those
that anybody can set for a server of their own.
"""

import os
from collections.abc import Iterator

import pytest
from nbformat import NotebookNode
from nbmake.nb_result import NotebookError
from nbmake.nb_run import NotebookRun

from harness.databases import TestDatabaseManager, run_now
from harness.services import ServiceName, ServiceOptions, ServiceUnavailableError
from harness.session import HarnessSession

VARIABLES: dict[ServiceName, str] = {
    "postgresql": "ANDAMIOS_POSTGRES_URL",
    "mysql": "ANDAMIOS_MYSQL_URL",
    "redis": "ANDAMIOS_REDIS_URL",
}


def pytest_configure() -> None:
    """
    Let a notebook that raises an ExceptionGroup fail.

    IPython prints groups as plain text, in which nbmake finds no error (1.5.5).
    """
    find = NotebookRun._get_error  # noqa: SLF001  there is no hook

    def find_or_make(run: NotebookRun, notebook: NotebookNode) -> NotebookError:
        return find(run, notebook) or _last_words(notebook)

    NotebookRun._get_error = find_or_make  # noqa: SLF001


def _last_words(notebook: NotebookNode) -> NotebookError:
    ran = [cell for cell in notebook.cells if cell.get("outputs")]
    text = "".join(output.get("text", "") for output in ran[-1].outputs) if ran else ""
    where = notebook.cells.index(ran[-1]) if ran else 0
    return NotebookError("A cell raised an ExceptionGroup", text, where)


MANAGERS = pytest.StashKey[dict[ServiceName, TestDatabaseManager]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Start the servers that the notebooks speak of, before they run."""
    harness = HarnessSession.of(session.config)
    if session.config.option.collectonly:
        return (yield)
    text = "".join(path.read_text(encoding="utf-8") for path in {i.path for i in session.items})
    needed = {name for name, variable in VARIABLES.items() if variable in text}
    harness.start_ahead(dict.fromkeys(needed, ServiceOptions()))
    managers = {name: made for name in needed if (made := _manager(harness, name)) is not None}
    session.config.stash[MANAGERS] = managers
    try:
        return (yield)
    finally:
        for manager in managers.values():
            run_now(manager.cleanup_test_database(harness.worker))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give each notebook empty databases, whatever the one before left in them."""
    worker = HarnessSession.of(item.config).worker
    for name, manager in item.config.stash[MANAGERS].items():
        os.environ[VARIABLES[name]] = run_now(manager.create_test_database(worker))


def _manager(harness: HarnessSession, name: ServiceName) -> TestDatabaseManager | None:
    try:
        server = harness.service(name).url()
    except ServiceUnavailableError:
        return None  # reported in the summary; the notebook goes on without it
    return harness.databases(server)
