"""The README's program runs as printed, and prints what it says beside each line."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_program_prints_what_its_comments_say(tmp_path: Path) -> None:
    """Every print has the result behind it as a comment."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    program = next(
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "run(" in block
    )
    expected = re.findall(r"print\(.*\)  # (.*)$", program, re.MULTILINE)
    assert expected
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ("", expected) == (done.stderr, done.stdout.splitlines())


def test_the_lines_name_environments_that_exist() -> None:
    """Both lines of the README run an environment of tox.ini."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    named = re.findall(r"^python3 -m venv .* tox run -e (\w+)$", readme, re.MULTILINE)
    named += re.findall(r"\.venv/bin/tox run -e (\w+)$", readme, re.MULTILINE)
    assert {"tour", "tests"} <= set(named)
    assert all(f"[testenv:{name}]" in tox for name in named)
