"""The README's programs run as printed, and print what they say beside each line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PROGRAMS = [block for block in BLOCKS if "andamios.run(" in block]


def run(program: str, folder: Path) -> tuple[str, list[str]]:
    """Run a program in a folder of its own; give what it said wrong, and its lines."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stderr, done.stdout.splitlines()


@pytest.mark.parametrize("program", PROGRAMS, ids=["first", "systems"])
def test_a_program_prints_what_its_comments_say(program: str, tmp_path: Path) -> None:
    """Every print has the result behind it as a comment."""
    expected = re.findall(r"print\(.*\)  # (.*)$", program, re.MULTILINE)

    assert expected
    assert ("", expected) == run(program, tmp_path)


def test_the_app_serves(tmp_path: Path) -> None:
    """The FastAPI app of the README answers, and refuses a second town of the same name."""
    app = next(block for block in BLOCKS if "FastAPI(" in block)
    use = """
import andamios
import httpx

async def main():
    served = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=served, base_url="http://towns") as client,
    ):
        for _ in range(2):
            answer = await client.post("/towns", json={"name": "Lima"})
            print(answer.status_code, answer.json().get("name"))
        print((await client.get("/health/ready")).status_code)

andamios.run(main())
"""

    assert ("", ["201 Lima", "409 None", "200"]) == run(app + use, tmp_path)


def test_the_lines_name_environments_that_exist() -> None:
    """Both lines of the README run an environment of tox.ini."""
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    named = re.findall(r"^python3 -m venv .* tox run -e (\w+)$", README, re.MULTILINE)
    named += re.findall(r"\.venv/bin/tox run -e (\w+)$", README, re.MULTILINE)
    assert {"tour", "tests"} <= set(named)
    assert all(f"[testenv:{name}]" in tox for name in named)
