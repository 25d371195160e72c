"""
A test run: what was started for it, once, however many processes take part.

The controller makes a run directory; workers join it by its path. Whoever needs a
service first starts it under a file lock and writes down the outcome, good or bad; all
others read that. The controller stops everything, and a run whose controller was killed
is swept by the next one.
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from harness import providers
from harness.processes import ProcessMark
from harness.services import (
    SERVICES,
    ProviderError,
    ProviderName,
    ServiceDetails,
    ServiceName,
    ServiceOptions,
    ServiceRequest,
    ServiceUnavailableError,
)

__all__ = ["Run", "sweep"]

_CONTROLLER = "controller.json"
_CLOSED = "closed"
_START_LIMIT = 600.0
_CLOSE_LIMIT = 5.0


class Run:
    """
    One test run and the services started for it.

    Example:
        >>> with Run.create() as run:
        ...     run.started()
        []
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name

    @classmethod
    def create(cls, base_dir: Path | str | None = None) -> Self:
        """
        Begin a run whose controller is this process, and sweep runs that were killed.

        Args:
            base_dir: The folder of all runs; by default one in the temporary folder.

        Returns:
            The run; `close` it in the end.
        """
        base = _base(base_dir)
        sweep(base)
        run = cls(base / uuid.uuid4().hex[:12])
        # Renamed into place, so that a sweep never sees a run without its controller.
        draft = base / f".{run.id}"
        _make_folder(draft)
        (draft / _CONTROLLER).write_text(json.dumps(asdict(ProcessMark.current())))
        draft.rename(run.path)
        return run

    @classmethod
    def join(cls, path: Path | str) -> Self:
        """
        Take part in a run that another process created.

        Args:
            path: The `path` of that run.

        Returns:
            The run; only its controller closes it.
        """
        return cls(Path(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def service(
        self,
        name: ServiceName,
        provider: str = "auto",
        options: ServiceOptions = ServiceOptions(),  # noqa: B008  it is immutable
    ) -> ServiceDetails:
        """
        Return a running service; start it if nobody in this run did. Blocks.

        Args:
            name: `postgresql`, `mysql`, `mariadb` or `redis`.
            provider: `url`, `docker` or `local`; `auto` takes the first that works.
            options: Which server it has to be; by default the usual one.

        Returns:
            Where it listens and what it is.

        Raises:
            ServiceUnavailableError: No provider can give it. The failure is written
                down too, so that it is found out once a run.
        """
        reasons = []
        for choice in providers.candidates(name, provider):
            outcome = self._outcome(name, choice, options)
            if isinstance(outcome, ServiceDetails):
                return outcome
            reasons.append(f"{choice}: {outcome}")
        raise ServiceUnavailableError(name, reasons)

    def started(self) -> list[ServiceDetails]:
        """Return the services that have been started so far, by name."""
        found = (_read(path) for path in sorted(self.path.glob("*.outcome.json")))
        return [outcome for outcome in found if isinstance(outcome, ServiceDetails)]

    def close(self) -> None:
        """Stop everything that was started in this run and remove its directory."""
        if self.path.exists():
            (self.path / _CLOSED).touch()
            with self._starts_finished():
                _reap(self.path)

    def _outcome(
        self, name: ServiceName, provider: ProviderName, options: ServiceOptions
    ) -> ServiceDetails | str:
        key = f"{name}-{provider}" + (f"-{options.key}" if options.key else "")
        path = self.path / f"{key}.outcome.json"
        if path.exists():
            return _read(path)
        try:
            self._check_open()
            with FileLock(self.path / f"{name}.lock", timeout=_START_LIMIT):
                if not path.exists():
                    request = self._request(name, key, options)
                    _write(path, self._start(request, provider))
                return _read(path)
        except ProviderError as error:
            return str(error)
        except Timeout:
            return f"waited {_START_LIMIT:.0f} s for another process to start {name}"

    def _check_open(self) -> None:
        if not self.path.is_dir() or (self.path / _CLOSED).exists():
            raise ProviderError("this run is closed")

    def _request(self, name: ServiceName, key: str, options: ServiceOptions) -> ServiceRequest:
        controller = _controller(self.path) or ProcessMark.current()
        labels = {
            "andamios.harness.run": self.id,
            "andamios.harness.service": key,
            "andamios.harness.pid": str(controller.pid),
            "andamios.harness.started": controller.started,
            "andamios.harness.machine": controller.machine,
        }
        return ServiceRequest(name, self.path / key, labels, options)

    def _start(self, request: ServiceRequest, provider: ProviderName) -> ServiceDetails | str:
        _make_folder(request.folder)
        try:
            details = providers.start(request, provider)
            self._check_open()
        except ProviderError as error:
            providers.stop(request, provider)
            return str(error)
        except BaseException:
            providers.stop(request, provider)
            raise
        return details

    @contextlib.contextmanager
    def _starts_finished(self) -> Iterator[None]:
        """Let a start under way see that the run is closed; don't wait for it forever."""
        deadline = time.monotonic() + _CLOSE_LIMIT
        with contextlib.ExitStack() as held:
            for name in SERVICES:
                patience = max(0.0, deadline - time.monotonic())
                with contextlib.suppress(Timeout):
                    held.enter_context(FileLock(self.path / f"{name}.lock", timeout=patience))
            yield


def sweep(base_dir: Path | str | None = None) -> list[str]:
    """
    Stop what is left of runs whose controller has ended without closing them.

    Args:
        base_dir: The folder of all runs; by default one in the temporary folder.

    Returns:
        The ids of the runs swept.
    """
    base = _base(base_dir)
    swept = []
    with contextlib.suppress(Timeout), FileLock(base / "sweep.lock", timeout=_CLOSE_LIMIT):
        for path in sorted(base.iterdir()):
            controller = _controller(path)
            if controller is not None and controller.is_gone():
                _reap(path)
                swept.append(path.name)
    return swept


def _reap(path: Path) -> None:
    (path / _CLOSED).touch()
    for folder in sorted(path.iterdir()):
        if folder.is_dir():
            provider: ProviderName = "docker" if "-docker" in folder.name else "local"
            labels = {"andamios.harness.run": path.name, "andamios.harness.service": folder.name}
            providers.stop(ServiceRequest("redis", folder, labels), provider)
    shutil.rmtree(path, ignore_errors=True)


def _base(base_dir: Path | str | None) -> Path:
    if base_dir is not None:
        base = Path(base_dir).resolve()
        base.mkdir(parents=True, exist_ok=True)
        return base
    base = Path(tempfile.gettempdir()).resolve() / f"andamios-harness-{os.getuid()}"
    base.mkdir(exist_ok=True)
    if base.stat().st_uid != os.getuid():
        raise PermissionError(f"{base} belongs to another user: set TMPDIR to a folder of yours")
    return _make_folder(base)


def _make_folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    # A server that refuses to be root runs as another user, who has to get through.
    path.chmod(0o711)
    return path


def _controller(path: Path) -> ProcessMark | None:
    try:
        return ProcessMark(**json.loads((path / _CONTROLLER).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _read(path: Path) -> ServiceDetails | str:
    content = json.loads(path.read_text())
    return ServiceDetails(**content["details"]) if "details" in content else content["reason"]


def _write(path: Path, outcome: ServiceDetails | str) -> None:
    if isinstance(outcome, ServiceDetails):
        content: dict[str, object] = {"details": asdict(outcome)}
    else:
        content = {"reason": outcome}
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content))
    draft.rename(path)
