"""The table of capabilities, and the line that describes a service."""

import dataclasses
import json
import sqlite3
import xml.etree.ElementTree as ET
from importlib.metadata import version
from typing import Any

import pytest

from harness.conformance.columns import Column, columns_of
from harness.conformance.gaps import GAPS, Gap, gap_of
from harness.conformance.page import page
from harness.conformance.table import CapabilityTable
from harness.report import describe, origin
from harness.runs.journal import Start
from harness.services import ServiceDetails
from harness.session import KNOWN_BACKENDS

MYSQL = ServiceDetails(
    "mysql",
    "127.0.0.1",
    3306,
    password="secret",
    flavour="MySQL",
    version="9.7.1",
    provider="local",
    source="apt package",
)

COLUMNS = [
    Column("sqlite", "aiosqlite", "0.22.1", "SQLite", "3.40.1", "python"),
    Column("mysql", "aiomysql", "0.3.2", "MySQL", "9.7.1", "local"),
]


def report(outcome: Any, *, xfail: bool = False) -> pytest.TestReport:
    """Make a report as pytest would."""
    made = pytest.TestReport("test_a.py::test_b", ("file", 1, "t"), {}, outcome, None, "call")
    if xfail:
        made.wasxfail = "the reason"
    return made


PASSED, FAILED, SKIPPED = report("passed"), report("failed"), report("skipped")
EXPECTED, UNEXPECTED = report("skipped", xfail=True), report("passed", xfail=True)


def filled() -> CapabilityTable:
    """Give a table with every kind of result, names and reasons that need care included."""
    table = CapabilityTable()
    table.add("group: what", "mysql", PASSED)
    table.add("group: what", "sqlite", EXPECTED)
    table.add("group: more", "mysql", SKIPPED)
    hostile = report("skipped", xfail=True)
    hostile.wasxfail = '<script>"&'
    table.add("<b>: & more", "mysql", hostile)
    table.add("<b>: & more", "sqlite", FAILED)
    return table


@pytest.mark.parametrize(
    ("reports", "cell"),
    [
        ([PASSED], "yes"),
        ([SKIPPED], "-"),
        ([PASSED, SKIPPED], "yes"),
        ([SKIPPED, PASSED], "yes"),
        ([PASSED, FAILED, PASSED], "FAILED"),
        ([EXPECTED], "no"),
        ([UNEXPECTED], "FAILED"),
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

    assert {"group: what": {"sqlite": cell}} == table.as_dict(COLUMNS)["table"]


def test_text() -> None:
    """A line a capability, a column a backend in their usual order, a line a reason."""
    assert [
        "                sqlite     mysql",
        "                SQLite     MySQL",
        "                3.40.1     9.7.1",
        "             aiosqlite  aiomysql",
        "                0.22.1     0.3.2",
        "<b>: & more     FAILED        no",
        "group: more          -         -",
        "group: what         no       yes",
        "FAILED: <b>: & more on sqlite: test_a.py::test_b",
        'no: <b>: & more on mysql: <script>"&',
        "no: group: what on sqlite: the reason",
    ] == filled().as_text(COLUMNS).splitlines()


def test_text_is_narrow() -> None:
    """With all backends and long names and reasons it still fits 120 columns, and is whole."""
    table = CapabilityTable()
    name, long = "group: " + "word " * 30, report("skipped", xfail=True)
    long.wasxfail = "because " * 40
    for backend in KNOWN_BACKENDS:
        table.add(name, backend, long)
    lines = table.as_text(columns_of(KNOWN_BACKENDS, [])).splitlines()

    assert 120 >= max(map(len, lines))
    # In the table and in the line with the reason.
    assert 60 == sum(line.count("word") for line in lines)
    assert 40 == sum(line.count("because") for line in lines)


def test_data() -> None:
    """The data say their schema, what the columns were, each result and each reason."""
    facts = json.loads(json.dumps(filled().as_dict(COLUMNS)))

    assert 1 == facts["schema_version"]
    assert {
        "driver": "aiomysql",
        "driver_version": "0.3.2",
        "flavour": "MySQL",
        "version": "9.7.1",
        "provider": "local",
    } == facts["backends"]["mysql"]
    assert {"yes": 0, "no": 1, "FAILED": 1, "-": 1} == facts["counts"]["sqlite"]
    assert {"sqlite": "no", "mysql": "yes"} == facts["table"]["group: what"]
    assert {
        "capability": "group: what",
        "backends": ["sqlite"],
        "result": "no",
        "reason": "the reason",
    } in facts["reasons"]


def test_one_reason_for_several_backends() -> None:
    """What two backends lack for the same reason is said once."""
    table = CapabilityTable()
    for backend in ("mysql", "sqlite"):
        table.add("group: what", backend, EXPECTED)

    assert ["sqlite", "mysql"] == table.as_dict(COLUMNS)["reasons"][0]["backends"]
    assert 1 == table.as_text(COLUMNS).count("the reason")


def test_page() -> None:
    """One well-formed page: groups, columns, counts, and a reason beside each no."""
    written = page(filled(), COLUMNS)
    document = ET.fromstring(written)
    cells = {cell.get("title"): cell for cell in document.iter("td") if cell.get("title")}
    reasons = {item.get("id"): "".join(item.itertext()) for item in document.iter("li")}

    assert ["<b>", "group"] == [
        th.text for th in document.iter("th") if th.get("scope") == "rowgroup"
    ]
    assert "mysqlMySQL 9.7.1aiomysql 0.3.2" in [
        "".join(th.itertext()) for th in document.iter("th")
    ]
    assert "1 no1 failed1 not run" in ["".join(td.itertext()) for td in document.iter("td")]
    link = cells["the reason"].find(".//a")
    assert link is not None
    assert "group: what on sqlite: the reason" == reasons[str(link.get("href"))[1:]]
    assert '<b>: & more on mysql: <script>"&' in reasons.values()
    assert "<script>" not in written
    assert "http" not in written
    assert "prefers-color-scheme: dark" in written
    assert "@media print" in written


def test_empty() -> None:
    """A run without capabilities has no table."""
    assert not CapabilityTable()


def test_columns() -> None:
    """A column says which package talks to which server; two drivers can share a server."""
    sqlite, mysql, other = columns_of(["sqlite", "mysql", "mysql+asyncmy"], [MYSQL])

    assert ("aiosqlite", version("aiosqlite")) == (sqlite.driver, sqlite.driver_version)
    assert ("SQLite", sqlite3.sqlite_version) == (sqlite.flavour, sqlite.version)
    assert ("aiomysql", "MySQL", "9.7.1", "local") == (
        mysql.driver,
        mysql.flavour,
        mysql.version,
        mysql.provider,
    )
    assert ("asyncmy", version("asyncmy")) == (other.driver, other.driver_version)
    assert (mysql.flavour, mysql.version) == (other.flavour, other.version)


def test_columns_without_a_server() -> None:
    """A backend that did not run has no version, and a package that is missing has none."""
    (column,) = columns_of(["mysql+no-such-driver"], [])

    assert Column("mysql+no-such-driver", "no-such-driver", "", "", "", "") == column


def test_declared_gaps() -> None:
    """Each gap is declared once, for backends that exist, with a reason."""
    pairs = [(gap.capability, backend) for gap in GAPS for backend in gap.backends]

    assert len(pairs) == len(set(pairs))
    assert {backend for _, backend in pairs} <= set(KNOWN_BACKENDS)
    assert all(gap.reason for gap in GAPS)


def test_gaps_hold_for_the_backends_they_name() -> None:
    """What a driver or a flavour lacks says nothing about its kin."""
    gap = Gap("group: what", ("mysql", "mariadb"), "the reason")

    assert gap == gap_of("group: what", "mariadb", [gap])
    assert gap_of("group: what", "mysql+asyncmy", [gap]) is None
    assert gap_of("group: more", "mysql", [gap]) is None


def test_description() -> None:
    """One line says which server it was; no password."""
    assert "mysql: MySQL 9.7.1 from local (apt package)" == describe(MYSQL)


@pytest.mark.parametrize(
    ("provider", "starts", "expected"),
    [
        ("local", [Start("mysql", "local", 1.234, 1)], "started once in 1.2 s"),
        ("local", [Start("mysql", "local", 1, 1)] * 2, "started 2 times in 1.0 s, 1.0 s"),
        ("local", [Start("redis", "local", 1, 1)], "reused"),
        ("docker", [Start("mysql", "local", 1, 1)], "reused"),
        ("url", [], "not ours"),
    ],
)
def test_origin(provider: Any, starts: list[Start], expected: str) -> None:
    """Each service says whether it was started for this run."""
    assert expected == origin(dataclasses.replace(MYSQL, provider=provider), starts)
