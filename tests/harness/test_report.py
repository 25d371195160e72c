"""The table of capabilities, and the line that describes a service."""

from typing import Any

import pytest

from harness.conformance import gaps
from harness.conformance.gaps import GAPS, Gap
from harness.conformance.table import CapabilityTable
from harness.report import describe
from harness.services import ServiceDetails
from harness.session import BACKENDS

GAP = Gap("group: what", "sqlite", "the reason")


def report(outcome: Any, *, xfail: bool = False) -> pytest.TestReport:
    """Make a report as pytest would."""
    made = pytest.TestReport("id", ("file", 1, "test"), {}, outcome, None, "call")
    if xfail:
        made.wasxfail = "the reason"
    return made


PASSED, FAILED, SKIPPED = report("passed"), report("failed"), report("skipped")
EXPECTED = report("skipped", xfail=True)


@pytest.mark.parametrize(
    ("reports", "cell"),
    [
        ([PASSED], "yes"),
        ([SKIPPED], "-"),
        ([PASSED, SKIPPED], "yes"),
        ([SKIPPED, PASSED], "yes"),
        ([PASSED, FAILED, PASSED], "FAILED"),
        ([EXPECTED], "no"),
        ([EXPECTED, PASSED], "no"),
        ([FAILED, EXPECTED], "FAILED"),
        ([EXPECTED, FAILED], "FAILED"),
    ],
)
def test_cells(reports: list[pytest.TestReport], cell: str) -> None:
    """The worst of several results is shown, in whatever order they arrive."""
    table = CapabilityTable()
    for item in reports:
        table.add("group: what", "sqlite", item)

    assert {"group: what": {"sqlite": cell}} == table.as_dict()["table"]


def test_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line a capability, a column a backend in their usual order, a note a gap."""
    monkeypatch.setattr(gaps, "GAPS", (GAP, Gap("group: other", "mysql", "not in this run")))
    table = CapabilityTable()
    table.add("group: what", "mysql", PASSED)
    table.add("group: what", "sqlite", EXPECTED)
    table.add("group: more", "mysql", SKIPPED)

    assert [
        "                sqlite      mysql",
        "group: more          -          -",
        "group: what         no        yes",
        "no: group: what on sqlite: the reason",
    ] == table.as_text().splitlines()


def test_empty() -> None:
    """A run without capabilities has no table."""
    assert not CapabilityTable()


def test_declared_gaps() -> None:
    """Each gap is declared once, for a backend that exists, with a reason."""
    assert len(GAPS) == len({(gap.capability, gap.backend) for gap in GAPS})
    assert {gap.backend for gap in GAPS} <= set(BACKENDS)
    assert all(gap.reason for gap in GAPS)


def test_description() -> None:
    """One line says which server it was; no password."""
    details = ServiceDetails(
        "mysql",
        "127.0.0.1",
        3306,
        password="secret",
        flavour="MariaDB",
        version="10.11.6",
        provider="local",
        source="apt package",
    )

    assert "mysql: MariaDB 10.11.6 from local (apt package)" == describe(details)
