"""MariaDB and MySQL: two services, of which nobody gives one for the other."""

import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import Run, ServiceDetails, ServiceOptions, ServiceUnavailableError
from harness.local import mariadb, mysql_server, places
from harness.local.packages import program, unpacked
from harness.services import ProviderError, ServiceName

Both = Callable[[ServiceName], ServiceDetails]


@pytest.fixture
def run() -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="andamios-runs-") as folder:
        Path(folder).chmod(0o711)
        with Run.create(folder) as run:
            yield run


@pytest.fixture
def start(run: Run, monkeypatch: pytest.MonkeyPatch) -> Both:
    for name in ("MYSQL", "MARIADB"):
        monkeypatch.delenv(f"ANDAMIOS_{name}_URL", raising=False)

    def start(service: ServiceName) -> ServiceDetails:
        try:
            return run.service(service)
        except ServiceUnavailableError as error:
            pytest.skip(str(error))

    return start


def test_each_is_what_it_is_called(start: Both) -> None:
    """The names are kept apart in details and addresses."""
    one, other = start("mysql"), start("mariadb")
    assert ("MySQL", "MariaDB") == (one.flavour, other.flavour)
    assert one.url().startswith("mysql://")
    assert other.url().startswith("mariadb://")
    assert other.version.split(".")[0] in {"10", "11", "12"}


@pytest.mark.parametrize(
    ("asked", "there", "message"),
    [
        ("mysql", "mariadb", "ANDAMIOS_MYSQL_URL leads to MariaDB: .*in ANDAMIOS_MARIADB_URL"),
        ("mariadb", "mysql", "ANDAMIOS_MARIADB_URL leads to MySQL: .*in ANDAMIOS_MYSQL_URL"),
    ],
)
def test_an_address_of_the_other(
    run: Run,
    start: Both,
    monkeypatch: pytest.MonkeyPatch,
    asked: ServiceName,
    there: ServiceName,
    message: str,
) -> None:
    """A server of the other kind is refused, and the right variable named."""
    address = start(there).url()
    monkeypatch.setenv(f"ANDAMIOS_{asked.upper()}_URL", address)
    with pytest.raises(ServiceUnavailableError, match=message) as caught:
        run.service(asked)
    assert "\n" not in str(caught.value)


def test_an_address_of_its_own(run: Run, start: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable of MariaDB works like the others, whichever scheme stands in it."""
    url = start("mariadb").url()
    monkeypatch.setenv("ANDAMIOS_MARIADB_URL", url.replace("mariadb://", "mysql://"))
    found = run.service("mariadb")
    assert ("url", url) == (found.provider, found.url())


def test_an_image_of_the_other(run: Run) -> None:
    """A container that holds the other server is refused, and removed."""
    options = ServiceOptions(image="andamios/mysql")
    with pytest.raises(ServiceUnavailableError) as caught:
        run.service("mariadb", "docker", options)
    if "ended at once" not in str(caught.value) and "found MySQL" not in str(caught.value):
        pytest.skip(str(caught.value))


@pytest.fixture
def mysqld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `mysqld` on the PATH that is MariaDB's server, as older systems have it."""
    try:
        root = unpacked(mariadb.PACKAGES)
        command = program(root, "usr/sbin/mariadbd", private=[])
    except ProviderError as error:
        pytest.skip(str(error))
    usr = root / "usr"
    (tmp_path / "bin").mkdir()
    (tmp_path / "share").symlink_to(usr / "share")
    places_of_files = f"--basedir={usr} --lc-messages-dir={usr}/share/mysql"
    script = tmp_path / "bin" / "mysqld"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@" {places_of_files}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    monkeypatch.setattr(mysql_server, "_PLACES", "")
    return script


def test_a_mysqld_that_is_mariadb(run: Run, monkeypatch: pytest.MonkeyPatch, mysqld: Path) -> None:
    """What an installed server is decides, not what its program is called."""
    assert f"binary {mysqld}" == run.service("mariadb", "local").source

    monkeypatch.setitem(places.STARTERS, "mysql", mysql_server.installed)
    with pytest.raises(ServiceUnavailableError, match=r"found MariaDB \d.*, not MySQL \(binary"):
        run.service("mysql", "local")
