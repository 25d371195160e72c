"""
Stopping what a run has left: its servers, its databases elsewhere, its folder.

The controller does it in the end; if it was killed, the next run does, or
`python -m harness sweep`. Only what is written in the folder of the run is touched.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from harness import providers
from harness.folders import base_folder, explained
from harness.ledger import Ledger
from harness.processes import ProcessMark
from harness.runs.dropping import Address, address_of, drop_databases
from harness.runs.kept import KeptRun
from harness.runs.kept_databases import KeptDatabases
from harness.runs.outcomes import outcomes
from harness.services import (
    SERVICES,
    ProviderError,
    ProviderName,
    ServiceDetails,
    ServiceRequest,
)

__all__ = ["CLOSED", "CONTROLLER", "controller_of", "own_servers", "reap", "sweep"]

CONTROLLER = "controller.json"
CLOSED = "closed"
_SWEEP_LIMIT = 5.0
_START_LIMIT = 5.0


def sweep(base_dir: Path | str | None = None) -> list[str]:
    """
    Stop what is left of runs whose controller has ended without closing them.

    Args:
        base_dir: The folder of all runs; by default one in the temporary folder.

    Returns:
        The ids of the runs swept.

    Raises:
        RunFolderError: The folder can't be made or written to.
    """
    base = base_folder(base_dir)
    swept = []
    with (
        contextlib.suppress(Timeout),
        explained(base),
        FileLock(base / "sweep.lock", timeout=_SWEEP_LIMIT),
    ):
        for path in sorted(base.iterdir()):
            controller = controller_of(path)
            if controller is not None and controller.is_gone():
                reap(path)
                swept.append(path.name)
    return swept


def reap(path: Path) -> None:
    """
    Stop the servers of a run, drop its databases on others, and remove its folder.

    Args:
        path: The run's folder.
    """
    # A full disk is no reason to leave servers behind.
    with contextlib.suppress(OSError):
        (path / CLOSED).touch()
    with _starts_finished(path):
        ended = _servers_ended(path)
        for folder in sorted(path.iterdir()):
            if folder.is_dir():
                _stop(folder)
        _drop(path, ended)
        shutil.rmtree(path, ignore_errors=True)


def _stop(folder: Path) -> None:
    provider: ProviderName = "docker" if "-docker" in folder.name else "local"
    run_id = folder.parent.name
    labels = {"andamios.harness.run": run_id, "andamios.harness.service": folder.name}
    providers.stop(ServiceRequest("redis", folder, labels), provider)


@contextlib.contextmanager
def _starts_finished(path: Path) -> Iterator[None]:
    """Let a start under way see that the run is closed; don't wait for it forever."""
    deadline = time.monotonic() + _START_LIMIT
    with contextlib.ExitStack() as held:
        for name in SERVICES:
            patience = max(0.0, deadline - time.monotonic())
            with contextlib.suppress(Timeout, OSError):
                held.enter_context(FileLock(path / f"{name}.lock", timeout=patience))
        yield


def controller_of(path: Path) -> ProcessMark | None:
    """Tell which process controls a run; None if nothing says so."""
    try:
        return ProcessMark(**json.loads((path / CONTROLLER).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def own_servers(path: Path) -> set[Address]:
    """Give host and port of the servers that a run has started for itself."""
    return {address for key, address in _started(path).items() if (path / key).is_dir()}


def _started(path: Path) -> dict[str, Address]:
    return {
        key: (details.host, details.port)
        for key, details in outcomes(path).items()
        if isinstance(details, ServiceDetails) and details.provider != "url"
    }


def _servers_ended(path: Path) -> set[Address]:
    """Give the servers whose databases went with them: the run's own, and lost kept ones."""
    kept = KeptRun(path.parent).addresses()
    return own_servers(path) | (set(_started(path).values()) - kept)


def _drop(path: Path, ended: set[Address]) -> None:
    entries = Ledger(path).databases()
    there = [entry for entry in entries if address_of(entry.url) not in ended]
    left = drop_databases(entry.url for entry in there)
    for entry in there:
        # Listed by `status` from now on, and tried again by `down`.
        if entry.url in left:
            with contextlib.suppress(ProviderError):
                KeptDatabases(path.parent).add(replace(entry, run=path.name))
