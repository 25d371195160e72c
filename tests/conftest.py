"""
What holds for every test: shared modules are importable, and nobody blocks the event loop.

Tests are no package of the project, so that the folder above them is put on the path here,
and ``from tests.models import domain`` works however pytest was started.
"""

import signal
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Generator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would the programs that tests stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A project of its own, which runs with its own configuration (tox run -e downstream), and what
# only type checkers read (tox run -e types).
collect_ignore = ["downstream", "typing"]

SQLITE_URL = ("sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args")
PGPASS = ("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
PYDANTIC_PLUGINS = ("pydantic/plugin/_loader.py", "get_plugins")
ASYNCPG_DEFAULTS = ("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
ASYNCMY_VERSION = ("asyncmy/version.py", "<module>")
REDIS_VERSION = ("redis/utils.py", "get_lib_version")

# What libraries may do on the loop: it happens once, and reads local files at most.
EXEMPT = {
    "os.path.abspath": [SQLITE_URL, ASYNCPG_DEFAULTS],
    "os.getcwd": [SQLITE_URL],
    "os.stat": [PYDANTIC_PLUGINS, ASYNCPG_DEFAULTS, ASYNCMY_VERSION, REDIS_VERSION],
    "os.listdir": [PYDANTIC_PLUGINS],
    "io.TextIOWrapper.read": [PYDANTIC_PLUGINS, ASYNCMY_VERSION, REDIS_VERSION],
    "io.BufferedReader.read": [PYDANTIC_PLUGINS],
}


class _Tested:
    """The thread that runs tests; servers are started in others, on loops of their own."""

    thread: int = 0


def _guard() -> BlockBuster:
    guard = BlockBuster()
    for function in guard.functions.values():
        function.can_block_predicate = _elsewhere_or(function.can_block_predicate)
    for call, places in EXEMPT.items():
        for file, name in places:
            guard.functions[call].can_block_in(file, name)
    return guard


def _elsewhere_or(allowed: Callable[..., bool]) -> Callable[..., bool]:
    def can_block(*args: Any, **options: Any) -> bool:
        return threading.get_ident() != _Tested.thread or allowed(*args, **options)

    return can_block


GUARD = _guard()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """
    Fail a test that blocks the event loop; costs a tenth of a millisecond.

    Around the call alone: fixtures start servers, and pytest itself reads files, also one
    that runs inside a test.
    """
    if "pytester" in pyfuncitem.fixturenames:
        return (yield)
    _Tested.thread = threading.get_ident()
    GUARD.activate()
    try:
        result: Any = yield
    finally:
        GUARD.deactivate()
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases were compared on the short way and SQLAlchemy's, on each backend."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for report in chain(*terminalreporter.stats.values()):
        labels = dict(getattr(report, "user_properties", ()))
        if "both ways" in labels and report.when == "call":
            told[labels["backend"]]["cases"] += labels["both ways"]
            told[labels["backend"]]["differences"] += labels.get("differences", 0)
    for backend, counts in sorted(told.items()):
        terminalreporter.write_line(
            f"equality: {counts['cases']:,} cases both ways on {backend}, "
            f"{counts['differences']:,} differences"
        )


@pytest.fixture(scope="session")
def default_isolation() -> str:
    """Real transactions: most of what is tested here is what they do."""
    return "committing"


# What CI runs; `--hypothesis-profile=nightly` takes more and longer sequences.
_USUAL = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", _USUAL, max_examples=15, stateful_step_count=25)
settings.register_profile("nightly", _USUAL, max_examples=500, stateful_step_count=60)
settings.load_profile("ci")
