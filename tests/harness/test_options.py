"""Which server a project wants: image, version and settings, whoever gives it."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness import Run, ServiceOptions, ServiceUnavailableError
from harness.databases import run_now
from harness.services import SERVICES, ProviderError, ServiceName
from harness.settings import USUAL, settings_of

PLUGINS = ("-pharness.plugin", "-ppytest_asyncio.plugin", "-pxdist.plugin", "-pno:cacheprovider")

OVERRIDE = """
    import pytest
    from harness import ServiceOptions

    @pytest.fixture(scope="session")
    def redis_options():
        return ServiceOptions(settings={"databases": "5"})
    """

TESTS = """
    import asyncio, json, pytest
    from pathlib import Path

    def note(file, run, found):
        started = sorted(path.name for path in run.path.glob("*.outcome.json"))
        Path(file).write_text(json.dumps([found, started]))

    @pytest.mark.parametrize("number", range(4))
    async def test_redis(redis_client, harness_session, worker_name, number):
        found = await redis_client.config_get("databases")
        await asyncio.to_thread(
            note, f"{worker_name}-{number}.json", harness_session.run, found
        )
    """

NO_SERVICE = """
    import threading
    from harness.session import HarnessSession

    def test_nothing(request):
        assert not HarnessSession.of(request.config).has_run
        assert not [one for one in threading.enumerate() if "_try" in one.name]
    """


@pytest.fixture
def run() -> Iterator[Run]:
    # Not tmp_path: a server that runs as another user has to get through.
    with tempfile.TemporaryDirectory(prefix="andamios-runs-") as folder:
        Path(folder).chmod(0o711)
        with Run.create(folder) as run:
            yield run


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_project_redefines_the_options(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """Only the server with the project's settings is started, once for all workers."""
    pytester.makeconftest(OVERRIDE)
    found = outcomes(pytester, monkeypatch, TESTS, workers)

    assert 4 == len(found)
    settings, started = zip(*found, strict=True)
    assert all({"databases": "5"} == setting for setting in settings)
    key = ServiceOptions(settings={"databases": "5"}).key
    assert {f"redis-local-{key}.outcome.json"} == set(started[-1])
    assert [] == [
        process for process in psutil.process_iter(["cmdline"]) if mentions(process, pytester.path)
    ]


NOTE_STARTS = """
    import json
    from pathlib import Path
    from harness.session import HarnessSession

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(config):
        if not hasattr(config, "workerinput"):
            run = HarnessSession.of(config).run
            started = sorted(path.name for path in run.path.glob("*.outcome.json"))
            Path("noted-0.json").write_text(json.dumps([len(run.starts()), started]))
    """


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_required_service_has_the_options_of_the_project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """No second one with the usual options is started, even if no test asks for any."""
    pytester.makeconftest(OVERRIDE + NOTE_STARTS)
    source = "def test_nothing(): pass"
    (noted,) = outcomes(pytester, monkeypatch, source, workers, "--harness-require=redis")

    key = ServiceOptions(settings={"databases": "5"}).key
    assert [1, [f"redis-local-{key}.outcome.json"]] == list(noted)


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_no_service_no_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """When no collected test needs a service, nothing begins in the background."""
    source = NO_SERVICE if workers == "-n0" else "def test_nothing(): pass"
    outcomes(pytester, monkeypatch, source, workers)
    assert [] == list((pytester.path / "tmp").glob("*/*.outcome.json"))


def outcomes(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    workers: str,
    *more: str,
) -> list[tuple[dict[str, str], list[str]]]:
    """Run pytest on some tests, and give what they wrote down."""
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    (pytester.path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(pytester.path / "tmp"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("ANDAMIOS_REDIS_URL", raising=False)
    pytester.makepyfile(source)
    options = (*PLUGINS, "--harness-provider=local", workers, *more)
    if workers == "-n0":
        result = pytester.runpytest_inprocess(*options)
    else:
        result = pytester.runpytest_subprocess(*options, timeout=120)
    assert pytest.ExitCode.OK == result.ret
    return [json.loads(path.read_text()) for path in sorted(pytester.path.glob("*-*.json"))]


def mentions(process: psutil.Process, folder: Path) -> bool:
    """Tell whether a process has to do with a folder."""
    return str(folder) in " ".join(process.info["cmdline"] or ())


def test_options_are_what_they_say() -> None:
    """Equal options have one key, others another; the defaults have none."""
    options = ServiceOptions(version="18", settings={"a": "1", "b": "2"})
    same = ServiceOptions(version="18", settings={"b": "2", "a": "1"})
    assert (options, options.key, hash(options)) == (same, same.key, hash(same))
    others = (ServiceOptions(), ServiceOptions(version="18"), ServiceOptions(image="18"))
    assert 4 == len({one.key for one in (options, *others)})
    assert "" == ServiceOptions().key


@pytest.mark.parametrize(
    ("wanted", "version", "fits"),
    [
        (None, "18.6", True),
        ("18", "18.6", True),
        ("18.6", "18.6", True),
        ("1", "18.6", False),
        ("18.6.1", "18.6", False),
        ("9.7", "9.7.4", True),
        ("9.7", "9.71.4", False),
    ],
)
def test_a_version_is_compared_part_by_part(wanted: str | None, version: str, fits: bool) -> None:
    """The beginning of a version is enough, though not that of a number in it."""
    assert fits is ServiceOptions(version=wanted).fits(version)


def test_settings_are_laid_over_the_usual_ones() -> None:
    """A name may be written with dashes or underscores; what isn't named stays."""
    options = ServiceOptions(settings={"max_connections": "7", "sql_mode": "ANSI"})
    expected = USUAL["mysql"] | {"max-connections": "7", "sql-mode": "ANSI"}
    assert expected == settings_of("mysql", options)
    assert "7" == settings_of("postgresql", options)["max_connections"]


@pytest.mark.parametrize("name", ["port", "listen_addresses", "bind-address", "requirepass"])
def test_settings_that_are_the_harness_own(name: str) -> None:
    """A server that listens elsewhere would be waited for in vain."""
    with pytest.raises(ProviderError, match=f"{name} is the harness's own: leave it out"):
        settings_of("redis", ServiceOptions(settings={name: "1"}))


SETTINGS: dict[ServiceName, tuple[str, str]] = {
    "postgresql": ("SHOW max_connections", "max_connections"),
    "mysql": ("SELECT @@max_connections", "max_connections"),
    "mariadb": ("SELECT @@max_connections", "max_connections"),
    "redis": ("", "maxclients"),
}


@pytest.mark.parametrize("provider", ["docker", "local"])
@pytest.mark.parametrize("service", SERVICES)
def test_servers_run_with_the_settings(run: Run, service: ServiceName, provider: str) -> None:
    """Every provider hands a project's settings to the server."""
    query, setting = SETTINGS[service]
    try:
        details = run.service(service, provider, ServiceOptions(settings={setting: "41"}))
    except ServiceUnavailableError as error:
        pytest.skip(str(error))
    assert "41" == run_now(answer(details.url(), query, setting))


async def answer(url: str, query: str, setting: str) -> str:
    """Ask a server for a setting."""
    if url.startswith("redis"):
        from redis.asyncio import Redis  # noqa: PLC0415

        async with Redis.from_url(url) as client:
            return str((await client.config_get(setting))[setting])
    from sqlalchemy import text  # noqa: PLC0415

    from andamios import AndamiosEngine  # noqa: PLC0415

    async with (
        AndamiosEngine(url, uvloop=False) as engine,
        engine.connections.acquire() as connection,
    ):
        return str(await connection.scalar(text(query)))


BAD_SETTINGS: dict[ServiceName, str] = {
    "postgresql": "unrecognized configuration parameter",
    "mysql": "unknown variable",
    "mariadb": "unknown variable",
    "redis": "[Bb]ad directive|[Cc]onfiguration",
}


@pytest.mark.parametrize("provider", ["docker", "local"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_setting_that_no_server_has(run: Run, service: ServiceName, provider: str) -> None:
    """The server's own words, without the time before and the farewell after them."""
    with pytest.raises(ServiceUnavailableError) as caught:
        run.service(service, provider, ServiceOptions(settings={"nonsense": "1"}))
    if "ended at once" not in str(caught.value):
        pytest.skip(str(caught.value))
    assert caught.match(f"ended at once: .*({BAD_SETTINGS[service]})")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("service", SERVICES)
def test_a_version_that_nobody_has(run: Run, service: ServiceName) -> None:
    """The error says what was found instead; no other version is taken for it."""
    with pytest.raises(ServiceUnavailableError, match=r"local: .*, not 3\.1.* ask for") as caught:
        run.service(service, "local", ServiceOptions(version="3.1"))
    assert "\n" not in str(caught.value)


def test_an_image_needs_an_engine(run: Run) -> None:
    """What can't be honoured is an error, so that tests never pass on another server."""
    with pytest.raises(ServiceUnavailableError, match="only a container engine runs the image"):
        run.service("redis", "local", ServiceOptions(image="redis:7"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ServiceOptions(image="redis:7"), "a server that runs already takes no image"),
        (ServiceOptions(settings={"save": ""}), "a server that runs already takes no settings"),
        (ServiceOptions(version="3"), r"found \w+ [\d.]+, not 3 \(ANDAMIOS_REDIS_URL\)"),
    ],
)
def test_an_address_with_options(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: ServiceOptions, message: str
) -> None:
    """A server of somebody else is as it is: the error names the variable to unset."""
    monkeypatch.setenv("ANDAMIOS_REDIS_URL", run.service("redis", "local").url())
    with pytest.raises(ServiceUnavailableError, match=f"{message}.*unset ANDAMIOS_REDIS_URL"):
        run.service("redis", "auto", options)
