"""The pytest plugin, seen from outside: small runs of pytest, each a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from andamios import AndamiosEngine
from harness.databases import run_now
from harness.fixtures.services import ServiceStarter
from harness.providers import URL_VARIABLES
from harness.runs.kept import KeptRun
from harness.services import ServiceName

PLUGINS = ("-pharness.plugin", "-ppytest_asyncio.plugin", "-pxdist.plugin", "-pno:cacheprovider")

Inner = Callable[..., pytest.RunResult]

NOBODY = "mysql://127.0.0.1:1"

ONE_EACH = """
    import pytest

    @pytest.mark.capability("group: what")
    async def test_backend(engine, backend):
        assert backend in {"sqlite", "postgresql", "mysql"}
    """

# A worker that had ended before the other began would leave its database to it.
REDIS_TWICE = """
    import asyncio
    import pytest
    from pathlib import Path

    async def meet():
        async with asyncio.timeout(60):
            while len(list(Path().glob("number-*.txt"))) < 2:
                await asyncio.sleep(0.01)

    @pytest.mark.parametrize("number", range(4))
    async def test_redis(redis_client, redis_database, start_service, worker_name, number):
        Path(f"{worker_name}-{number}.txt").write_text(str(start_service("redis").port))
        Path(f"number-{worker_name}.txt").write_text(redis_database)
        await meet()
        assert [] == await redis_client.keys()
        await redis_client.set("left", "behind")
    """


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """Run pytest on some tests, with runs kept in a folder of its own and no addresses set."""
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    (pytester.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(pytester.path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("POSTGRES", "MYSQL", "MARIADB", "REDIS"):
        monkeypatch.delenv(f"ANDAMIOS_{name}_URL", raising=False)

    # Other plugins of this environment take seconds to import.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        options = (*PLUGINS, *options)
        if any(option.startswith("-n") for option in options):
            return pytester.runpytest_subprocess(*options, timeout=120)
        # This process serves as well, and has imported everything.
        return pytester.runpytest_inprocess("-n0", *options)

    return run


def runs_left(pytester: pytest.Pytester) -> list[Path]:
    """Give the folders of runs that are still there."""
    folders = (pytester.path / "tmp").glob("andamios-harness-*/*")
    return [folder for folder in folders if folder.is_dir()]


def processes_of(pytester: pytest.Pytester) -> list[str]:
    """Give the processes that have to do with the inner run."""
    folder = str(pytester.path)
    commands = (" ".join(found.info["cmdline"] or ()) for found in psutil.process_iter(["cmdline"]))
    return [command for command in commands if folder in command]


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("--harness-backends=sqlite,oracle", "sqlite, postgresql, mysql, mysql+asyncmy, mariadb"),
        ("--harness-require=oracle", "postgresql, mysql, mariadb, redis, pgbouncer"),
    ],
)
def test_unknown_names(inner: Inner, option: str, known: str) -> None:
    """A name that is misspelt is answered by one line, before any test runs."""
    result = inner(ONE_EACH, option)
    flag = option.partition("=")[0]

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    assert [f"ERROR: {flag}: unknown name oracle; known: {known}"] == [
        line for line in result.errlines if line
    ]


def test_unknown_provider(inner: Inner) -> None:
    """An unknown provider is refused in the same way."""
    result = inner(ONE_EACH, "--harness-provider=podman")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*--harness-provider*invalid choice: 'podman'*"])


def test_one_backend_starts_no_server(inner: Inner, pytester: pytest.Pytester) -> None:
    """SQLite needs no server, so that none is started, nor anything left."""
    source = f"""{ONE_EACH}
    def test_nothing_started(harness_session):
        assert [] == harness_session.run.started()
    """
    result = inner(source, "--harness-backends=sqlite")

    result.assert_outcomes(passed=2, deselected=4)
    result.stdout.fnmatch_lines(
        ["*harness: provider auto, backends sqlite, seed *", "sqlite: 1 passed"]
    )
    result.stdout.no_fnmatch_line("* from docker*")
    assert [] == runs_left(pytester)


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_skips_say_why(inner: Inner, workers: str) -> None:
    """A backend that cannot be had is skipped, and the summary tells the reason."""
    result = inner(ONE_EACH, "--harness-provider=url", workers)

    result.assert_outcomes(passed=1, skipped=2)
    reason = "postgresql is not available | url: ANDAMIOS_POSTGRES_URL is not set"
    result.stdout.fnmatch_lines([f"*1 skipped: {reason}"])
    result.stdout.re_match_lines([r"group: what +yes +- +-$"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--harness-keep --harness-provider=url", "--harness-keep contradicts"),
        ("--harness-require=mysql --harness-backends=sqlite", "--harness-backends=sqlite: name"),
        (
            "--harness-require=redis,mysql --harness-provider=url",
            "ANDAMIOS_REDIS_URL, ANDAMIOS_MYSQL_URL not set",
        ),
    ],
)
def test_contradictions(inner: Inner, options: str, says: str) -> None:
    """Options that contradict each other are answered by one line, before any test runs."""
    result = inner(ONE_EACH, *options.split())
    (line,) = [line for line in result.errlines if line]

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    assert says in line


def test_required_backends_fail(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is required and cannot be had fails in every test, and is told in the end."""
    monkeypatch.setenv("ANDAMIOS_MYSQL_URL", NOBODY)
    result = inner(ONE_EACH, "--harness-provider=url", "--harness-require=mysql")

    result.assert_outcomes(passed=1, skipped=1, errors=1)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(
        [
            "harness: provider url, backends sqlite, postgresql, mysql, requires mysql, seed *",
            "*mysql is not available*(required by --harness-require)",
            "mysql is not available | url: * let nobody in: * (unset ANDAMIOS_MYSQL_URL *",
        ]
    )
    result.stdout.re_match_lines([r"group: what +yes +- +FAILED$"])


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_required_and_not_used(inner: Inner, monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    """A run without a service that it requires fails, though no test asked for it."""
    monkeypatch.setenv("ANDAMIOS_REDIS_URL", "redis://127.0.0.1:1")
    options = ("--harness-provider=url", "--harness-require=redis", workers)
    result = inner("def test_nothing(): pass", *options)

    result.assert_outcomes(passed=1)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines(["redis is not available | url: redis at 127.0.0.1:1 let nobody*"])


def test_two_workers_start_a_server_once(inner: Inner, pytester: pytest.Pytester) -> None:
    """Both workers use one server, each its own database; afterwards nothing is left."""
    result = inner(REDIS_TWICE, "--harness-provider=local", "-n2")
    files = list(pytester.path.glob("gw*.txt"))

    result.assert_outcomes(passed=4)
    assert {"gw0", "gw1"} == {file.name[:3] for file in files}
    assert 1 == len({file.read_text() for file in files})
    assert 2 == len({file.read_text() for file in pytester.path.glob("number-*.txt")})
    assert [] == runs_left(pytester)
    assert [] == processes_of(pytester)


ENGINE_TWICE = """
    import pytest
    from pathlib import Path
    from sqlalchemy import text

    @pytest.mark.isolation("committing")
    @pytest.mark.parametrize("number", range(4))
    async def test_engine(engine, harness_session, worker_name, number):
        async with engine.session() as session:
            await session.execute(text("CREATE TABLE IF NOT EXISTS left_behind (id INT)"))
        Path(f"{worker_name}-{number}.txt").write_text(harness_session.run.id)
    """

LIST_DATABASES = {
    "postgresql": "SELECT datname FROM pg_database",
    "mysql": "SELECT schema_name FROM information_schema.schemata",
}


@pytest.mark.parametrize("name", ["postgresql", "mysql"])
def test_no_database_is_left_on_a_server_of_others(
    inner: Inner,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    start_service: ServiceStarter,
    name: ServiceName,
) -> None:
    """On a server that goes on running, each worker removes its own database."""
    url = start_service(name).url()
    monkeypatch.setenv(URL_VARIABLES[name], url)
    result = inner(ENGINE_TWICE, f"--harness-backends={name}", "-n2")
    (run_id,) = {file.read_text() for file in pytester.path.glob("gw*.txt")}

    result.assert_outcomes(passed=4)
    assert [] == [found for found in run_now(databases(url, name)) if run_id in found]


async def databases(url: str, name: ServiceName) -> list[str]:
    """Give the names of the databases on a server."""
    async with (
        AndamiosEngine(url, uvloop=False) as engine,
        engine.connections.acquire() as connection,
    ):
        return list(await connection.scalars(text(LIST_DATABASES[name])))


KILLED = """
    import os
    import pytest
    from pathlib import Path

    @pytest.mark.parametrize("number", range(6))
    async def test_redis(redis_client, harness_session, number):
        if number == 2:
            os._exit(1)
        Path(f"{number}.txt").write_text(str(len(harness_session.run.starts())))
    """


def test_a_killed_worker_leaves_one_start_and_nothing_behind(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """The worker that takes its place uses the same server, and the count stays right."""
    result = inner(KILLED, "--harness-provider=local", "-n2")

    result.assert_outcomes(passed=5, failed=1)
    assert ["1"] * 5 == [file.read_text() for file in pytester.path.glob("*.txt")]
    assert [] == runs_left(pytester)
    assert [] == processes_of(pytester)


KEEPING = """
    from pathlib import Path

    async def test_redis(redis_client, start_service, harness_session):
        await redis_client.set("left", "behind")
        facts = [start_service("redis").port, len(harness_session.run.starts())]
        Path(f"{harness_session.run.id}.txt").write_text(" ".join(map(str, facts)))
    """


@pytest.fixture
def kept_end(pytester: pytest.Pytester) -> Iterator[None]:
    """Stop what is kept by runs inside the test."""
    yield
    for folder in (pytester.path / "tmp").glob("andamios-harness-*"):
        KeptRun(folder).stop()


@pytest.mark.usefixtures("kept_end")
@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_second_run_uses_kept_servers(
    inner: Inner, pytester: pytest.Pytester, workers: str
) -> None:
    """The first starts one, the second none; only the kept run is left."""
    for _ in range(2):
        inner(KEEPING, "--harness-provider=local", "--harness-keep", workers).assert_outcomes(
            passed=1
        )
    facts = [file.read_text().split() for file in pytester.path.glob("*.txt")]

    assert 1 == len({port for port, _starts in facts})
    assert ["0", "1"] == sorted(starts for _port, starts in facts)
    assert ["kept"] == [path.name for path in runs_left(pytester)]


@pytest.mark.usefixtures("kept_end")
def test_two_runs_at_once_share_kept_servers(inner: Inner, pytester: pytest.Pytester) -> None:
    """One of them starts the server; both end well, and leave only the kept run."""
    inner(KEEPING, "--collect-only")
    command = [sys.executable, "-m", "pytest", *PLUGINS, "--harness-provider=local"]
    runs = [
        subprocess.Popen(
            [*command, "--harness-keep", "-n2"],
            cwd=pytester.path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=120)[0] for run in runs]
    facts = [file.read_text().split() for file in pytester.path.glob("*.txt")]

    assert [0, 0] == [run.returncode for run in runs], outputs
    assert 1 == len({port for port, _starts in facts})
    assert ["0", "1"] == sorted(starts for _port, starts in facts)
    assert ["kept"] == [path.name for path in runs_left(pytester)]


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_run_folder_that_cannot_be_had(
    inner: Inner, pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """The run ends at once, with one line that names the folder."""
    folder = pytester.path / "tmp" / f"andamios-harness-{os.getuid()}"
    folder.touch()
    result = inner(KEEPING, *workers)
    line = next(line for line in result.outlines if str(folder) in line)

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    assert f"harness: {folder} can't be used (File exists): set TMPDIR" in line


def test_nothing_is_left_after_an_interruption(inner: Inner, pytester: pytest.Pytester) -> None:
    """Ctrl-C in the middle of a test ends the server too."""
    source = """
    import os, signal, time

    def test_interrupted(start_service):
        start_service("redis")
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    """
    result = inner(source, "--harness-provider=local", "-n0")

    assert pytest.ExitCode.INTERRUPTED == result.ret
    assert [] == runs_left(pytester)
    assert [] == processes_of(pytester)


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_required_services_are_described(inner: Inner, workers: str) -> None:
    """The summary says where a required service came from, its flavour and its version."""
    source = "def test_nothing(): pass"
    result = inner(source, "--harness-provider=local", "--harness-require=redis", workers)

    assert pytest.ExitCode.OK == result.ret
    result.stdout.re_match_lines(
        [r"redis: (Redis|Valkey) \d+\.\d+\.\d+ from local \(.+\), started once in .+ s"]
    )


GAPS = """
    from harness.conformance.gaps import Gap

    def pytest_andamios_gaps():
        yield Gap("group: missing", ("sqlite",), "SQLite has no such thing")
    """

CAPABILITIES = """
    import pytest

    @pytest.mark.capability("group: there")
    def test_there(backend): pass

    @pytest.mark.capability("group: broken")
    def test_broken(backend): assert "this" == "that"

    @pytest.mark.capability("group: broken")
    def test_broken_in_part(backend): pass

    @pytest.mark.capability("group: missing")
    def test_missing(backend): assert not GAP
    """


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_table(inner: Inner, pytester: pytest.Pytester, workers: str) -> None:
    """The table says what passed, failed, and is declared missing, on screen and in files."""
    pytester.makeconftest(GAPS)
    result = inner(
        CAPABILITIES.replace("GAP", "True"),
        "--harness-backends=sqlite",
        "--harness-report=reports",
        workers,
    )
    facts = json.loads((pytester.path / "reports/capabilities.json").read_text())

    result.assert_outcomes(passed=2, failed=1, xfailed=1, deselected=16 if workers == "-n0" else 0)
    result.stdout.re_match_lines(
        [
            "group: broken +FAILED$",
            "group: missing +no$",
            "group: there +yes$",
            "no: group: missing on sqlite: SQLite has no such thing",
        ]
    )
    assert {"sqlite": "FAILED"} == facts["table"]["group: broken"]
    assert "SQLite" == facts["backends"]["sqlite"]["flavour"]
    assert {"group: broken", "group: missing"} == {
        reason["capability"] for reason in facts["reasons"]
    }
    for name in ("capabilities.txt", "capabilities.html"):
        assert "SQLite has no such thing" in (pytester.path / "reports" / name).read_text()


def test_a_closed_gap_fails_the_run(inner: Inner, pytester: pytest.Pytester) -> None:
    """A declared gap whose test passes has to be taken off the list."""
    pytester.makeconftest(GAPS)
    source = CAPABILITIES.replace("GAP", "False")
    result = inner(source, "--harness-backends=sqlite", "-k", "missing")

    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.re_match_lines(
        [r"group: missing +FAILED$", r"FAILED: group: missing on sqlite: .*\[XPASS\(strict\)\].*"]
    )


@pytest.mark.parametrize("backends", ["'postgres'", "('postgres', 'sqlite')"])
def test_a_gap_of_an_unknown_backend(
    inner: Inner, pytester: pytest.Pytester, backends: str
) -> None:
    """A gap that would never hold is refused by one line."""
    pytester.makeconftest(GAPS.replace('("sqlite",)', backends))
    result = inner(CAPABILITIES)

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["ERROR: pytest_andamios_gaps: 'group: missing' names unknown*"])
    assert [] == runs_left(pytester)


def test_what_has_no_backend(inner: Inner) -> None:
    """Tests without a backend are counted, and say nothing in the table."""
    source = f"""{ONE_EACH}
    @pytest.mark.capability("group: elsewhere")
    def test_without(): pass

    def test_skipped(): pytest.skip("not today")
    """
    result = inner(source, "--harness-backends=sqlite")

    result.stdout.fnmatch_lines(["sqlite: 1 passed", "no backend: 1 passed, 1 skipped"])
    result.stdout.no_fnmatch_line("*group: elsewhere*")


def test_silence(inner: Inner) -> None:
    """A run that has nothing to do with databases is told nothing about them."""
    result = inner("def test_nothing(): pass")

    result.stdout.no_fnmatch_line("*no backend*")


WHO_IMPORTS = """
    import sys, threading

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "harness.containers.docker":
                imported_by.append(threading.current_thread() is threading.main_thread())

    imported_by = []
    sys.meta_path.insert(0, Finder())

    def test_ahead(redis_client):
        assert [True] == imported_by
    """


def test_no_thread_imports(inner: Inner) -> None:
    """
    The engine's library is imported where no filter of warnings changes meanwhile.

    In a thread, pytest's own change of them made an error of a warning, which left the
    library half imported, and the container engine out of reach.
    """
    pytest.importorskip("harness.containers.docker", exc_type=ImportError)
    result = inner(WHO_IMPORTS, "-n1")

    assert 0 == result.ret
    result.stdout.fnmatch_lines(["*1 passed*"])
