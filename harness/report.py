"""
What a run says: which servers it used, how each backend fared, and what each can do.

Results reach the controller with every test's report, from all workers alike.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.conformance.columns import Column, columns_of
from harness.conformance.page import page
from harness.conformance.table import CapabilityTable
from harness.runs.journal import Start
from harness.services import ServiceDetails
from harness.session import KNOWN_BACKENDS, HarnessSession

__all__ = ["RunReport", "describe", "header", "origin"]

NO_BACKEND = "no backend"
SQLITE = f"sqlite: SQLite {sqlite3.sqlite_version} from this Python"


def header(session: HarnessSession) -> list[str]:
    """
    Describe where servers are to come from.

    None is started here, as only fixtures know which one the project wants; the summary says
    what each turned out to be.
    """
    requires = f", requires {', '.join(session.required)}" if session.required else ""
    backends = ", ".join(session.backends)
    chosen = f"provider {session.provider}, backends {backends}{requires}"
    return [f"harness: {chosen}, seed {session.seed}"]


def describe(details: ServiceDetails) -> str:
    """Write one line: service, flavour, version, and where it came from."""
    return (
        f"{details.name}: {details.flavour} {details.version} from {details.provider} "
        f"({details.source})"
    )


def origin(details: ServiceDetails, starts: Sequence[Start]) -> str:
    """
    Say how a service came to be there.

    Args:
        details: The service.
        starts: Every real start of a server in this run.
    """
    if details.provider == "url":
        return "not ours"
    seconds = [
        f"{start.seconds:.1f} s"
        for start in starts
        if (start.service, start.provider) == (details.name, details.provider)
    ]
    if not seconds:
        return "reused"
    times = "once" if len(seconds) == 1 else f"{len(seconds)} times"
    return f"started {times} in {', '.join(seconds)}"


class RunReport:
    """
    Collects results in the controller and writes the summary.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self._skips: dict[str, Counter[str]] = defaultdict(Counter)
        self._table = CapabilityTable()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a result; a failing set-up counts, a passing one does not."""
        if report.when != "call" and report.passed:
            return
        labels: dict[str, object] = dict(report.user_properties)
        backend = str(labels.get("backend", NO_BACKEND))
        self._outcomes[backend]["xfailed" if hasattr(report, "wasxfail") else report.outcome] += 1
        if report.skipped and isinstance(report.longrepr, tuple):
            _file, _line, reason = report.longrepr
            self._skips[backend][reason.removeprefix("Skipped: ")] += 1
        for label, value in report.user_properties:
            if label == "capability" and "backend" in labels:
                self._table.add(str(value), backend, report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print servers, results by backend, and the table of capabilities."""
        session = HarnessSession.of(self._config)
        started = session.run.started() if session.has_run else []
        backends = [name for name in KNOWN_BACKENDS if name in self._outcomes]
        if started or session.unavailable or backends:
            terminalreporter.section("harness")
            self._write_servers(terminalreporter, started)
            self._write_results(terminalreporter, backends)
            self._write_kept(terminalreporter)
        if self._table:
            terminalreporter.section("capabilities")
            columns = columns_of(self._table.backends, started)
            terminalreporter.write(self._table.as_text(columns))
            self._write_files(columns)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run without a service that it requires, even if no test asked for it."""
        harness = HarnessSession.of(self._config)
        if session.config.option.collectonly:
            return
        fine = {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
        if session.exitstatus in fine and not all(map(harness.has, harness.required)):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_servers(
        self, terminalreporter: pytest.TerminalReporter, started: Sequence[ServiceDetails]
    ) -> None:
        session = HarnessSession.of(self._config)
        starts = session.run.starts() if session.has_run else []
        if "sqlite" in self._outcomes:
            terminalreporter.write_line(SQLITE)
        for details in started:
            terminalreporter.write_line(f"{describe(details)}, {origin(details, starts)}")
        for reason in session.unavailable.values():
            terminalreporter.write_line(reason, yellow=True)

    def _write_results(
        self, terminalreporter: pytest.TerminalReporter, backends: Sequence[str]
    ) -> None:
        for backend in backends:
            terminalreporter.write_line(self._counts(backend))
            for reason, number in self._skips[backend].items():
                terminalreporter.write_line(f"  {number} skipped: {reason}", yellow=True)
        if self._outcomes[NO_BACKEND]:
            terminalreporter.write_line(self._counts(NO_BACKEND))

    def _write_kept(self, terminalreporter: pytest.TerminalReporter) -> None:
        kept = HarnessSession.of(self._config).kept_databases()
        for database in kept:
            terminalreporter.write_line(f"kept for {database.test}: {database.shown}")
        if kept:
            terminalreporter.write_line("python -m harness down drops what is kept")

    def _counts(self, backend: str) -> str:
        counts = (f"{number} {what}" for what, number in self._outcomes[backend].items())
        return f"{backend}: {', '.join(counts)}"

    def _write_files(self, columns: list[Column]) -> None:
        folder = self._config.getoption("harness_report")
        if not folder:
            return
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        facts = json.dumps(self._table.as_dict(columns), indent=2, ensure_ascii=False)
        for name, content in {
            "capabilities.txt": self._table.as_text(columns),
            "capabilities.json": f"{facts}\n",
            "capabilities.html": page(self._table, columns),
        }.items():
            (path / name).write_text(content, encoding="utf-8")
