"""
What a run says: which servers it used, how each backend fared, and what each can do.

Results reach the controller with every test's report, from all workers alike.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from harness.conformance.table import CapabilityTable
from harness.services import ServiceDetails, ServiceName, ServiceUnavailableError
from harness.session import HarnessSession

__all__ = ["RunReport", "header"]


def header(session: HarnessSession) -> list[str]:
    """
    Describe where servers come from.

    Services that ``--harness-require`` names are started here and described in full; the
    others start with the first test that needs them and are described in the summary.
    """
    lines = [f"harness: provider {session.provider}, backends {', '.join(session.backends)}"]
    if not session.is_controller:
        return lines
    for name in session.required:
        lines.append(f"harness: {_describe_or_reason(session, name)}")  # noqa: PERF401
    return lines


def _describe_or_reason(session: HarnessSession, name: str) -> str:
    service: ServiceName = name  # type: ignore[assignment]  # the option was checked
    try:
        return describe(session.service(service))
    except ServiceUnavailableError as error:
        return str(error)


def describe(details: ServiceDetails) -> str:
    """Write one line: service, flavour, version, and where it came from."""
    return (
        f"{details.name}: {details.flavour} {details.version} from {details.provider} "
        f"({details.source})"
    )


class RunReport:
    """
    Collects results in the controller and writes the summary.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self._table = CapabilityTable()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a result; a failing set-up counts, a passing one does not."""
        if report.when != "call" and report.passed:
            return
        labels: dict[str, object] = dict(report.user_properties)
        backend = str(labels.get("backend", "none"))
        self._outcomes[backend][report.outcome] += 1
        if "capability" in labels:
            self._table.add(str(labels["capability"]), backend, report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print servers, results by backend, and the table of capabilities."""
        session = HarnessSession.of(self._config)
        started = session.run.started() if session.has_run else []
        write = terminalreporter.write_line
        if started or session.unavailable or set(self._outcomes) - {"none"}:
            terminalreporter.section("harness")
        for details in started:
            write(describe(details))
        for reason in session.unavailable.values():
            write(reason, yellow=True)
        for backend, counts in sorted(self._outcomes.items()):
            if backend != "none":
                write(f"{backend}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
        self._write_table(terminalreporter, started)

    def _write_table(
        self, terminalreporter: pytest.TerminalReporter, started: list[ServiceDetails]
    ) -> None:
        if not self._table:
            return
        text = self._table.as_text()
        terminalreporter.section("capabilities")
        terminalreporter.write(text)
        folder = self._config.getoption("harness_report")
        if folder:
            path = Path(folder)
            path.mkdir(parents=True, exist_ok=True)
            (path / "capabilities.txt").write_text(text, encoding="utf-8")
            facts = {
                "services": [describe(details) for details in started],
                "capabilities": self._table.as_dict(),
            }
            (path / "capabilities.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
