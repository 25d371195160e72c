"""The command line, on SQLite and a few rows."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def speed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as people do."""
    command = [sys.executable, "-m", "benchmarks.speed", "--json", str(folder / "run.json")]
    few = ["--backend", "sqlite", "--rows", "400", "--rounds", "2"]
    return subprocess.run(
        [*command, *few, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_figures_are_printed_and_written(tmp_path: Path) -> None:
    """A table for people, JSON for programs, with the versions of what was measured."""
    done = speed(tmp_path, "--system", "andamios", "--operation", "get", "--operation", "bulk")
    assert 0 == done.returncode, done.stderr
    assert "| operation | sqlite | Andamios | target |" in done.stdout
    written = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert ["get", "bulk"] == [each["operation"] for each in written["measured"]]
    assert [["sqlite", "andamios"]] * 2 == [list(each["figures"]) for each in written["measured"]]
    assert {"journal_mode": "wal", "synchronous": "2"}.items() <= written["servers"][
        "sqlite"
    ].items()
    assert "andamios" in written["versions"]


def test_gate_measures_only_what_has_a_target(tmp_path: Path) -> None:
    """Of these two, counting has no target on SQLite."""
    speed(tmp_path, "--gate", "--operation", "get", "--operation", "count")
    written = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert ["get"] == [each["operation"] for each in written["measured"]]


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    """With those that there are."""
    done = speed(tmp_path, "--operation", "gett")
    assert 2 == done.returncode
    assert "gett" in done.stderr
