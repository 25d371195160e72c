"""
The table of capabilities as one HTML page that needs nothing else.

Words carry the results; colours only repeat them, in light, in dark and on paper.
"""

import platform
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

import sqlalchemy

import andamios
from harness.conformance.columns import Column
from harness.conformance.table import (
    FAILED,
    NO,
    RESULTS,
    UNKNOWN,
    YES,
    CapabilityTable,
    Cell,
    Note,
)

__all__ = ["page"]

STYLE = """
:root { color-scheme: light dark; --ink: #1d2833; --paper: #fff; --faint: #5b6a78; --line: #d4dbe1;
  --band: #f1f4f6; --yes: #1a6b3c; --no: #8a5300; --failed: #b3152b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --paper: #14191e; --faint: #9aa8b5;
  --line: #35404a; --band: #1e252c; --yes: #6fcf97; --no: #f0b35a; --failed: #ff8091; } }
@media print { :root { --ink: #000; --paper: #fff; --faint: #444; --line: #999; --band: #eee;
  --yes: #000; --no: #000; --failed: #000; } body { margin: 0; font-size: 9pt; }
  thead { position: static !important; } tr { break-inside: avoid; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
p { color: var(--faint); }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  font-weight: normal; vertical-align: top; }
thead { position: sticky; top: 0; background: var(--paper); }
thead th b { display: block; }
thead th small { display: block; color: var(--faint); }
tbody th[colspan] { background: var(--band); font-weight: 600; padding-top: .5rem; }
td { white-space: nowrap; }
td.yes, .count .yes { color: var(--yes); }
td.no, .count .no { color: var(--no); font-weight: 600; }
td.failed, .count .failed { color: var(--failed); font-weight: 700; }
td.unknown { color: var(--faint); }
.count span { display: block; }
td a { color: inherit; }
li:target { font-weight: 600; }
code { overflow-wrap: anywhere; }
"""

CLASSES = {YES: "yes", NO: "no", FAILED: "failed", UNKNOWN: "unknown"}

WORDS = {YES: "yes", NO: "no", FAILED: "failed", UNKNOWN: "not run"}


def page(table: CapabilityTable, columns: Sequence[Column]) -> str:
    """
    Write the page.

    Args:
        table: The results.
        columns: What each backend was, in the order of the table's backends.

    Returns:
        A whole HTML document.
    """
    notes = table.notes()
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>',
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>Capabilities</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        "<h1>Capabilities</h1>",
        f"<p>What tests showed that each backend can do. {escape(_tools())}</p>",
        "<table>\n<thead>",
        *_heads(table, columns),
        "</thead>",
        *_bodies(table, notes),
        "</table>",
        *_reasons(notes),
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _tools() -> str:
    return (
        f"Andamios {andamios.__version__}, SQLAlchemy {sqlalchemy.__version__}, "
        f"Python {platform.python_version()}."
    )


def _heads(table: CapabilityTable, columns: Sequence[Column]) -> Iterator[str]:
    yield '<tr><th scope="col">capability</th>'
    for column in columns:
        server = escape(f"{column.flavour} {column.version}".strip())
        driver = escape(f"{column.driver} {column.driver_version}".strip())
        yield (
            f'<th scope="col"><b>{escape(column.backend)}</b>'
            f"<small>{server}</small><small>{driver}</small></th>"
        )
    yield '</tr>\n<tr class="count"><th scope="row">in all</th>'
    for count in table.counts().values():
        words = (
            f'<span class="{CLASSES[result]}">{count[result]} {WORDS[result]}</span>'
            for result in RESULTS
            if count[result]
        )
        yield f"<td>{''.join(words)}</td>"
    yield "</tr>"


def _bodies(table: CapabilityTable, notes: Sequence[Note]) -> Iterator[str]:
    width = len(table.backends) + 1
    for group, rows in groupby(table.rows(), key=lambda row: _parts(row[0])[0]):
        yield f'<tbody>\n<tr><th colspan="{width}" scope="rowgroup">{escape(group)}</th></tr>'
        for capability, cells in rows:
            written = "".join(_cell(capability, cell, notes) for cell in cells)
            yield f'<tr><th scope="row">{escape(_parts(capability)[1])}</th>{written}</tr>'
        yield "</tbody>"


def _parts(capability: str) -> tuple[str, str]:
    """Part a name into its group and the rest."""
    group, found, rest = capability.partition(": ")
    return (group, rest) if found else ("other", capability)


def _cell(capability: str, cell: Cell, notes: Sequence[Note]) -> str:
    title = f' title="{escape(cell.reason)}"' if cell.reason else ""
    mark = ""
    for number, note in enumerate(notes, 1):
        if (note.capability, note.cell) == (capability, cell):
            mark = f' <sup><a href="#reason-{number}">{number}</a></sup>'
    return f'<td class="{CLASSES[cell.result]}"{title}>{WORDS[cell.result]}{mark}</td>'


def _reasons(notes: Sequence[Note]) -> Iterator[str]:
    if not notes:
        return
    yield "<h2>Reasons</h2>\n<ol>"
    for number, note in enumerate(notes, 1):
        where = escape(f"{note.capability} on {', '.join(note.backends)}")
        yield f'<li id="reason-{number}"><i>{where}:</i> {escape(note.cell.reason)}</li>'
    yield "</ol>"
