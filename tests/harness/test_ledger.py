"""The ledger of databases and the journal of starts: files that many processes append to."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.folders import RunFolderError
from harness.ledger import Ledger
from harness.runs.journal import Journal, Start

ROOT = Path(harness.__file__).parents[1]
WRITE = """
import sys
from pathlib import Path
from harness.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(200):
    ledger.add(f"mysql://u:p@h/{sys.argv[2]}_{number}", sys.argv[2])
    if number % 2:
        ledger.remove(f"mysql://u:p@h/{sys.argv[2]}_{number}")
"""


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    """No line of one process is lost among those of others."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, tmp_path, name],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for name in ("gw0", "gw1", "gw2", "gw3")
    ]
    assert [0] * 4 == [writer.wait(timeout=30) for writer in writers]
    workers = [entry.worker for entry in Ledger(tmp_path).databases()]

    assert {"gw0": 100, "gw1": 100, "gw2": 100, "gw3": 100} == {
        name: workers.count(name) for name in workers
    }


def test_passwords_are_private(tmp_path: Path) -> None:
    """Only this user reads addresses with passwords, and no traceback shows them."""
    ledger = Ledger(tmp_path)
    ledger.add("mysql://u:secret@h/d", "gw0")
    (entry,) = ledger.databases()

    assert 0o600 == stat.S_IMODE((tmp_path / "databases").stat().st_mode)
    assert "secret" not in repr(entry)


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    """A process that was killed while it wrote leaves half a line."""
    ledger = Ledger(tmp_path)
    ledger.add("mysql://h/first", "gw0")
    with (tmp_path / "databases").open("a") as file:
        file.write('\n{"url": "mysql://h/ha')
    ledger.add("mysql://h/last", "gw1")

    assert ["gw0", "gw1"] == [entry.worker for entry in ledger.databases()]


def test_a_closed_run_takes_no_database(tmp_path: Path) -> None:
    """Nobody would drop it; to strike one out does no harm."""
    ledger = Ledger(tmp_path / "gone")
    ledger.remove("mysql://h/d")
    with pytest.raises(RunFolderError, match="is gone: this run is closed"):
        ledger.add("mysql://h/d", "gw0")
    assert [] == ledger.databases()


def test_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with no room is named, with a way out."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    ledger = Ledger(full.parent)
    monkeypatch.setattr(ledger, "_path", full)
    with pytest.raises(RunFolderError, match=r"the disk of /dev is full: .* set TMPDIR"):
        ledger.add("mysql://h/d", "gw0")


def test_starts_are_counted(tmp_path: Path) -> None:
    """Each start is one line, with who did it and how long it took."""
    journal = Journal(tmp_path)
    starts = [Start("redis", "local", 0.25, 17), Start("mysql", "docker", 5.0, 18)]
    for start in starts:
        journal.add(start)
    assert starts == journal.starts()
