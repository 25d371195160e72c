"""
The pytest plugin: options, the life of a run, fixtures, and what is reported at the end.

Installed with ``pip install 'andamios[harness]'``; pytest finds it by its entry point.
"""

import os
import secrets
from collections.abc import Generator
from typing import Any

import pytest

from harness.conformance.gaps import Gap, GapHooks, declared_gaps, expect, gap_of
from harness.faults.trials.report import TrialReport
from harness.fixtures.cache import cache_manager
from harness.fixtures.database import (
    FAILED,
    backend,
    clean_database,
    database_manager,
    database_server,
    db_metadata,
    db_schema,
    model_base,
    own_database,
    test_database,
    worker_database,
)
from harness.fixtures.engine import engine, engine_options, joined_stack
from harness.fixtures.faults import fault_proxy
from harness.fixtures.isolation import default_isolation, isolation
from harness.fixtures.pgbouncer import (
    pgbouncer,
    pgbouncer_server,
    pgbouncer_settings,
    start_pgbouncer,
)
from harness.fixtures.queries import check_limits, max_queries, query_log
from harness.fixtures.redis import (
    redis_address,
    redis_client,
    redis_database,
    redis_prefix,
)
from harness.fixtures.repository import reference_tables, user_repository
from harness.fixtures.service_faults import (
    FAULTS_SEEN,
    fault_schedule,
    fault_seed,
    fault_servers,
    service_faults,
    sqlite_faults,
)
from harness.fixtures.services import (
    harness_session,
    mariadb_options,
    mysql_options,
    postgresql_options,
    redis_options,
    service_options,
    services_ahead,
    start_service,
    worker_name,
)
from harness.fixtures.session import db_session
from harness.fixtures.threads import ended_threads
from harness.loops import LOOPS, register_loops
from harness.options import check_contradictions
from harness.report import RunReport, header
from harness.services import SERVICES
from harness.session import BACKENDS, KNOWN_BACKENDS, PGBOUNCER, RUN_PATH, HarnessSession

__all__ = [
    "backend",
    "cache_manager",
    "clean_database",
    "database_manager",
    "database_server",
    "db_metadata",
    "db_schema",
    "db_session",
    "default_isolation",
    "ended_threads",
    "engine",
    "engine_options",
    "fault_proxy",
    "fault_schedule",
    "fault_seed",
    "fault_servers",
    "harness_session",
    "isolation",
    "joined_stack",
    "mariadb_options",
    "max_queries",
    "model_base",
    "mysql_options",
    "own_database",
    "pgbouncer",
    "pgbouncer_server",
    "pgbouncer_settings",
    "postgresql_options",
    "query_log",
    "redis_address",
    "redis_client",
    "redis_database",
    "redis_options",
    "redis_prefix",
    "reference_tables",
    "service_faults",
    "service_options",
    "services_ahead",
    "sqlite_faults",
    "start_pgbouncer",
    "start_service",
    "test_database",
    "user_repository",
    "worker_database",
    "worker_name",
]

# Its failing asserts are to show values, like those of any test.
pytest.register_assert_rewrite(
    "harness.conformance.repository", "harness.conformance.rows", "harness.conformance.suite"
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let projects declare gaps of their own tests."""
    pluginmanager.add_hookspecs(GapHooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each begins with ``--harness``."""
    group = parser.getgroup("harness", "real databases for tests (andamios)")
    group.addoption(
        "--harness-provider",
        choices=("auto", "docker", "local", "url"),
        default="auto",
        help="where servers come from: a container engine, this machine, or addresses in "
        "ANDAMIOS_POSTGRES_URL and so on; auto takes the first that works",
    )
    group.addoption(
        "--harness-require",
        metavar="NAMES",
        default="",
        help="services that must be there: tests that need one fail instead of being skipped "
        f"({', '.join((*SERVICES, PGBOUNCER))})",
    )
    group.addoption(
        "--harness-backends",
        metavar="NAMES",
        default="",
        help=f"run on these backends, of {', '.join(KNOWN_BACKENDS)} "
        f"(default: {', '.join(BACKENDS)})",
    )
    group.addoption(
        "--harness-keep",
        action="store_true",
        help="use servers that go on running for the next run: python -m harness status, down",
    )
    group.addoption(
        "--harness-keep-failed",
        action="store_true",
        help="keep the databases of tests that fail, ten at most, and the servers they are on",
    )
    group.addoption(
        "--harness-report",
        metavar="FOLDER",
        default=None,
        help="write the tables of capabilities and faults to this folder, as text, JSON and HTML",
    )
    group.addoption(
        "--harness-loop",
        choices=LOOPS,
        default=None,
        help="the event loop that tests run on, or both, each test twice "
        "(default: what pytest-asyncio chooses)",
    )
    group.addoption(
        "--harness-seed",
        type=int,
        default=None,
        metavar="NUMBER",
        help="draw faults by this seed, to repeat those of another run (default: another each run)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, check options, and leave the event loop to the tests."""
    config.addinivalue_line(
        "markers", "capability(name): what a test shows a backend can do; fills the table"
    )
    config.addinivalue_line(
        "markers",
        "isolation(tier): keep this test from others by 'rolled_back' (one transaction), "
        "'committing' (rows are deleted after it) or an 'own' database",
    )
    if config.getoption("harness_seed") is None:
        # Set before workers get their options, so that all have the same one.
        config.option.harness_seed = secrets.randbelow(1_000_000)
    _check_names(config, "harness_require", (*SERVICES, PGBOUNCER))
    _check_names(config, "harness_backends", KNOWN_BACKENDS)
    check_contradictions(config)
    register_loops(config, config.getoption("harness_loop"))
    # Engines that tests build would otherwise choose the loop of the whole process.
    os.environ.setdefault("ANDAMIOS_UVLOOP", "0")
    if HarnessSession.of(config).is_controller:
        config.pluginmanager.register(RunReport(config), "andamios-harness-report")
        config.pluginmanager.register(TrialReport(config), "andamios-harness-trials")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which run it takes part in."""
    node.workerinput[RUN_PATH] = str(HarnessSession.of(node.config).run.path)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop everything that the run started, also after an interruption."""
    HarnessSession.of(config).close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say where servers come from, and which ones are required."""
    return header(HarnessSession.of(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out backends that were not asked for, and label each test for the report."""
    wanted = HarnessSession.of(config).backends
    gaps = declared_gaps(config)
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        name = _backend_of(item)
        (kept if name is None or name in wanted else left_out).append(item)
        _label(item, name, gaps)
    # Who named no backends left none out.
    if left_out and config.getoption("harness_backends"):
        config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test failed, for fixtures that keep what it left."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        if FAULTS_SEEN in item.stash:
            text = "\n".join(str(seen) for seen in item.stash[FAULTS_SEEN])
            report.sections.append(("faults", text))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Hold the test to the number of statements that it set itself."""
    result = yield
    check_limits(item)
    return result


def _backend_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("backend") if callspec is not None else None


def _label(item: pytest.Item, backend_name: str | None, gaps: tuple[Gap, ...]) -> None:
    if backend_name is not None:
        item.user_properties.append(("backend", backend_name))
    for marker in item.iter_markers("capability"):
        capability = marker.args[0]
        item.user_properties.append(("capability", capability))
        gap = gap_of(capability, backend_name or "", gaps)
        if gap is not None:
            expect(item, gap)


def _check_names(config: pytest.Config, option: str, known: tuple[str, ...]) -> None:
    names = [name.strip() for name in config.getoption(option).split(",") if name.strip()]
    unknown = sorted(set(names) - set(known))
    if unknown:
        flag = f"--{option.replace('_', '-')}"
        raise pytest.UsageError(
            f"{flag}: unknown name {', '.join(unknown)}; known: {', '.join(known)}"
        )
