"""
The programs of both READMEs run as printed, and print what they say beside each line.

In that of the harness, and in the section of the other one that is about it, a block begins
with the name of its file; the files of a section are one small project.
"""

import inspect
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

import harness.plugin
from harness.__main__ import _parser
from harness.fixtures.services import SERVICE_OF, ServiceStarter
from harness.providers import URL_VARIABLES
from harness.session import HarnessSession

ROOT = Path(__file__).parents[1]


README = (ROOT / "README.md").read_text(encoding="utf-8")
HARNESS = (ROOT / "harness" / "README.md").read_text(encoding="utf-8")
FILES = re.compile(r"```(?:python|ini)\n# (\S+\.(?:py|ini))(?:, continued)?\n(.*?)```", re.DOTALL)


def files_of(section: str) -> dict[str, str]:
    """Give the files of a section by name."""
    files: dict[str, str] = defaultdict(str)
    for name, text in FILES.findall(section):
        files[name] += text
    return files


PROJECTS = {
    section.partition("\n")[0].lower().replace(" ", "-"): files
    for section in re.split(r"^##+ ", README + HARNESS, flags=re.MULTILINE)
    if (files := files_of(section))
}
ALONE = {
    "another-server": "postgresql",
    "other-models": "sqlite",
    "break-servers": "postgresql",
    "faults-that-a-seed-decides": "mysql",
    "trials": "postgresql",
}
PLUGINS = ("-ppytest_asyncio.plugin", "-pharness.plugin", "-pno:cacheprovider")
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


def run_tests(
    projects: Mapping[str, Mapping[str, str]], folder: Path, *options: str, **variables: str
) -> tuple[str, set[str]]:
    """Run tests of the README, each project in its folder; give failures, and who passed."""
    (folder / "tmp").mkdir()
    for project, files in projects.items():
        for name, text in files.items():
            place = folder / ("" if name == "pytest.ini" else project) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    shared = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-mpytest", *PLUGINS, "-v", "--import-mode=importlib", *options],
        cwd=folder,
        env=os.environ | shared | {"TMPDIR": str(folder / "tmp")} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    passed = re.findall(r"^(\S+)/test_\S+ (?:PASSED|XFAIL)", done.stdout, re.MULTILINE)
    return "" if done.returncode == 0 else done.stdout, set(passed)


def test_tests_pass(backend: str, start_service: ServiceStarter, tmp_path: Path) -> None:
    """Every test that is printed passes on every backend, and none is left out."""
    together = {name: files for name, files in PROJECTS.items() if name not in ALONE}
    options = ["--harness-backends", backend]
    variables = {}
    if backend in SERVICE_OF:
        service = start_service(SERVICE_OF[backend])
        options.append("--harness-provider=url")
        variables[URL_VARIABLES[service.name]] = service.url()
    said, passed = run_tests(together, tmp_path, *options, **variables)

    skipped = {"break-connections"} if backend == "sqlite" else set()
    # It is for PostgreSQL, on machines where a PgBouncer can be had.
    skipped |= {"through-pgbouncer"} - passed
    assert ("", together.keys() - skipped) == (said, passed)


@pytest.mark.parametrize("project", ALONE)
def test_tests_of_a_root_pass(
    project: str, tmp_path: Path, harness_session: HarnessSession
) -> None:
    """What is for a root folder, or breaks its server, is a project of its own."""
    backend, provider = ALONE[project], harness_session.provider
    if backend in SERVICE_OF and provider == "url":
        pytest.skip("asks for a server with other settings, which somebody else's cannot get")
    files = dict(PROJECTS[project]) | {"pytest.ini": PROJECTS["start"]["pytest.ini"]}
    options = f"--harness-backends={backend}", f"--harness-provider={provider}"

    assert ("", {project}) == run_tests({project: files}, tmp_path, *options)


def test_all_of_the_harness_is_described() -> None:
    """Each fixture, option and variable stands in its README, and no others do."""
    table = HARNESS.partition("## Fixtures")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    options = set(re.findall(r'"(--harness-[a-z-]+)"', inspect.getsource(harness.plugin)))

    assert set(harness.plugin.__all__) == {name for row in rows for name in re.findall(r"\w+", row)}
    assert options == set(re.findall(r"--harness-[a-z-]+", HARNESS))
    assert all(variable in HARNESS for variable in URL_VARIABLES.values())


def test_commands_are_understood() -> None:
    """Each command of the harness that is printed can be typed."""
    commands = re.findall(r"^(?:eval \"\$\()?python -m harness ([^\n#)]*)", HARNESS, re.MULTILINE)

    assert len(commands) > 5
    for command in commands:
        assert _parser().parse_args(command.split()).run
