"""What is kept of a run of trials: JSON, pictures, and a README that says the same."""

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import harness
from harness.__main__ import main
from harness.faults.trials import Strike, Trial, TrialTable
from harness.faults.trials.pace import Pace
from harness.faults.trials.record import BEGIN, END, picture, with_record

KEPT = Path(harness.__file__).parents[1] / "tests" / "faults"

PACE = Pace.of([(0.1, "ok"), (0.2, "ok"), (0.6, "fail"), (1.9, "ok"), (2.0, "unknown")])


def trial(fault: str, backend: str, workload: str, client: str = "andamios") -> Trial:
    return Trial(
        fault,
        backend,
        workload,
        client=client,
        counts={"ok": 3, "fail": 1, "unknown": 1},
        settled={"committed": 2},
        errors={"ConnectionFailedError": 1},
        recovery=0.125,
        is_whole=True,
        strikes=(Strike(fault, 0.5, 1.0),),
        server="Some 1.0",
        pace=PACE,
    )


@pytest.fixture
def table() -> TrialTable:
    """Four trials on two databases."""
    trials = (
        trial("kill", "sqlite", "set"),
        trial("kill", "postgresql", "set"),
        trial("kill", "postgresql", "bank"),
        trial("kill", "postgresql", "set", "a <loop>").but(doubled=2, pace=None),
    )
    return TrialTable(trials, {"begun": "2026-01-01 00:00 UTC", "seed": "7"})


PAGE = f"""\
Before

{BEGIN}
- begun: 2026-01-01 00:00 UTC
- seed: 7

### sqlite

- server: Some 1.0
- andamios on sqlite: 1 fault, 3 acknowledged, 2 COMMITs settled, 1 unknown; 0 lost, 0 doubled, 0 forbidden

![operations before, during and after each fault](faults-sqlite.svg)
"""  # noqa: E501  a line of a list


def test_a_table_comes_back(table: TrialTable) -> None:
    """JSON holds all that a table and its pictures are made of, a line for each trial."""
    text = table.as_json()
    again = TrialTable.from_json(text)

    assert [*table] == [*again]
    assert (table.run, text) == (again.run, again.as_json())
    assert len(text.splitlines()) == len([*table]) + 2


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema_version": 1}', "-"])
def test_another_json_is_refused(text: str) -> None:
    """What is no table of this version is not read as one."""
    with pytest.raises(ValueError):  # noqa: PT011  json has words of its own
        TrialTable.from_json(text)


def test_a_command_keeps_a_run(table: TrialTable, tmp_path: Path) -> None:
    """Table and pictures of a run's JSON go into the folder, in place of what was there."""
    run, folder = tmp_path / "run.json", tmp_path / "kept"
    run.write_text(table.as_json(), encoding="utf-8")
    folder.mkdir()
    readme = folder / "README.md"
    readme.write_text(f"Before\n\n{BEGIN}\nold\n{END}\n\nbehind\n", encoding="utf-8")
    assert 0 == main(["faults", str(folder), "--run", str(run)])

    page = readme.read_text(encoding="utf-8")
    assert page.startswith(PAGE)
    assert page.endswith(f"\n{END}\n\nbehind\n")
    assert "old" not in page
    assert page == with_record(page, table)
    assert run.read_text(encoding="utf-8") == (folder / "faults.json").read_text(encoding="utf-8")
    for backend in ("sqlite", "postgresql"):
        kept = (folder / f"faults-{backend}.svg").read_text(encoding="utf-8")
        assert picture(table, backend) == kept


def test_a_readme_without_marks_stays_as_it_is(
    table: TrialTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says that there is no place for it, and nothing is written."""
    (tmp_path / "README.md").write_text("no marks", encoding="utf-8")
    run = tmp_path / "run.json"
    run.write_text(table.as_json(), encoding="utf-8")

    assert 2 == main(["faults", str(tmp_path), "--run", str(run)])
    assert "there are no marks" in capsys.readouterr().err
    assert {"README.md", "run.json"} == {each.name for each in tmp_path.iterdir()}


def test_a_picture_has_a_lane_for_each_fault_and_client(table: TrialTable) -> None:
    """It is an SVG, with the first workload of each fault, and escapes names."""
    drawn = picture(
        TrialTable([*table, trial("kill", "postgresql", "set", "a <loop>")]), "postgresql"
    )
    root = ET.fromstring(drawn)
    words = [(text.text or "").strip() for text in root.iter("{http://www.w3.org/2000/svg}text")]

    assert ["kill · postgresql · bank", "2.0 s"] == words[-2:]
    drawn = picture(TrialTable([trial("kill", "postgresql", "set", "a <loop>")]), "postgresql")
    assert "set · a &lt;loop&gt;" in drawn


@pytest.fixture
def kept() -> TrialTable:
    """The run that is kept in this repository."""
    path = KEPT / "faults.json"
    if not path.exists():
        pytest.skip("no run is kept yet: python -m harness faults tests/faults")
    return TrialTable.from_json(path.read_text(encoding="utf-8"))


def test_the_readme_says_what_was_found(kept: TrialTable) -> None:
    """Table and pictures are those of the JSON beside them."""
    page = (KEPT / "README.md").read_text(encoding="utf-8")

    assert with_record(page, kept) == page
    for backend in kept.backends():
        drawn = (KEPT / f"faults-{backend}.svg").read_text(encoding="utf-8")
        assert picture(kept, backend) == drawn


def test_what_was_kept_is_a_whole_run(kept: TrialTable) -> None:
    """Each server met a dozen faults and two hundred cut COMMITs, and nothing was lost."""
    ours = [each for each in kept if each.client == "andamios"]
    faults = Counter(backend for backend, _ in {(each.backend, each.fault) for each in ours})
    cut = [each for each in ours if each.fault == "COMMIT cut"]

    assert "failed" not in kept.run["tests"]
    assert {"sqlite", "postgresql", "mysql", "mariadb"} == faults.keys()
    assert all(count >= (4 if backend == "sqlite" else 12) for backend, count in faults.items())
    assert 3 == len(cut)
    assert all(sum(each.settled.values()) >= 200 for each in cut)
    assert {(0, 0, 0)} == {(each.lost, each.doubled, each.forbidden) for each in ours}
