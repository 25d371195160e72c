"""
The kept run: servers that outlive test runs, so that the next one need not start any.

There is one for each user and base folder. It has no controller, so that no sweep touches
it; `python -m harness down` ends it. Nobody knows how a kept server fares when nobody
looks, so each is asked to let us in before it is used again.
"""

import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

from filelock import FileLock

from harness.folders import explained, make_folder
from harness.ledger import Ledger
from harness.probes import wait_until_ready
from harness.providers import with_image
from harness.runs import starting
from harness.runs.dropping import Address, address_of
from harness.runs.journal import Start
from harness.runs.outcomes import outcome_key, outcome_path, read_outcome, write_outcome
from harness.services import (
    SERVICES,
    ProviderError,
    ProviderName,
    ServiceDetails,
    ServiceName,
    ServiceOptions,
    ServiceRequest,
)

__all__ = ["KEPT", "KeptRun", "KeptServer"]

KEPT = "kept"

_START_LIMIT = 600.0
_ANSWER_LIMIT = 5.0


@dataclass(frozen=True)
class KeptServer:
    """A server of the kept run: what it is, and since when it has been running."""

    key: str
    details: ServiceDetails
    since: datetime

    def is_alive(self) -> bool:
        """Whether it lets us in within 5 seconds. Blocks."""
        return _answers(self.details)


class KeptRun:
    """
    The kept run of a base folder; nothing is made before something is kept.

    Args:
        base: The folder of all runs.

    Example:
        >>> import tempfile
        >>> KeptRun(Path(tempfile.mkdtemp())).servers()
        []
    """

    def __init__(self, base: Path) -> None:
        self.path = base / KEPT
        self.ledger = Ledger(self.path)

    def service(
        self,
        name: ServiceName,
        provider: ProviderName,
        options: ServiceOptions,
        *,
        journal: Callable[[Start], None],
    ) -> ServiceDetails:
        """
        Return a kept server that answers; start one if there is none. Blocks.

        Args:
            name: The service.
            provider: Who starts it.
            options: Which server it has to be.
            journal: Is told if a server was started.

        Returns:
            Where it listens and what it is.

        Raises:
            ProviderError: This provider can't give it.
            Timeout: Another process took more than ten minutes to start it.
        """
        options = with_image(name, provider, options)
        key = outcome_key(name, provider, options)
        with self._locked(name, _START_LIMIT):
            known = self._details(key)
            if known is not None and _answers(known):
                return known
            self._remove(key)
            return starting.start(
                self._request(key, options),
                provider,
                record=partial(write_outcome, self.path, key),
                journal=journal,
            )

    def known_first(
        self, name: ServiceName, choices: tuple[ProviderName, ...], options: ServiceOptions
    ) -> tuple[ProviderName, ...]:
        """Put providers first whose server is kept already."""
        return tuple(sorted(choices, key=lambda choice: not self._knows(name, choice, options)))

    def servers(self) -> list[KeptServer]:
        """Give all kept servers, whether they answer or not, by name."""
        found = []
        for key in sorted(key for name in SERVICES for key in self._keys(name)):
            details = self._details(key)
            if details is not None:
                written = outcome_path(self.path, key).stat().st_mtime
                found.append(KeptServer(key, details, datetime.fromtimestamp(written, UTC)))
        return found

    def addresses(self) -> set[Address]:
        """Give host and port of each kept server."""
        return {(server.details.host, server.details.port) for server in self.servers()}

    def stop(self) -> list[str]:
        """
        Stop all kept servers, also those whose start was cut short.

        Returns:
            The keys of what was stopped, such as `postgresql-docker`.

        Raises:
            ProviderError: One of them can't be stopped; the others are.
            Timeout: Another process is starting one.
        """
        stopped: list[str] = []
        failures: list[ProviderError] = []
        for name in SERVICES if self.path.is_dir() else ():
            with self._locked(name, _ANSWER_LIMIT):
                for key in self._keys(name):
                    try:
                        self._remove(key)
                        stopped.append(key)
                    except ProviderError as error:
                        failures.append(error)
        if failures:
            raise failures[0]
        return stopped

    def _knows(self, name: ServiceName, provider: ProviderName, options: ServiceOptions) -> bool:
        key = outcome_key(name, provider, with_image(name, provider, options))
        return self._details(key) is not None

    def _details(self, key: str) -> ServiceDetails | None:
        # Another version of the harness may have written what this one can't read.
        with contextlib.suppress(ValueError, TypeError, KeyError):
            outcome = read_outcome(self.path, key)
            return outcome if isinstance(outcome, ServiceDetails) else None
        return None

    def _keys(self, name: ServiceName) -> list[str]:
        if not self.path.is_dir():
            return []
        folders = {path.name for path in self.path.iterdir() if path.is_dir()}
        known = {path.name.partition(".")[0] for path in self.path.glob("*.outcome.json")}
        return sorted(key for key in folders | known if key.partition("-")[0] == name)

    def _remove(self, key: str) -> None:
        details = self._details(key)
        _service, provider = _parse(key)
        request = self._request(key, ServiceOptions())
        # Somebody may have cleaned up the temporary folder under a running server.
        starting.clear(request, provider)
        if details is not None:
            self._forget(details)
        outcome_path(self.path, key).unlink(missing_ok=True)

    def _forget(self, details: ServiceDetails) -> None:
        """Its databases went with the server."""
        if _answers(details):
            where = f"{details.host}:{details.port}"
            raise ProviderError(f"{details.name} at {where} can't be stopped, it still answers")
        for entry in self.ledger.databases():
            if address_of(entry.url) == (details.host, details.port):
                self.ledger.remove(entry.url)

    def _request(self, key: str, options: ServiceOptions) -> ServiceRequest:
        # Users and folders have one kept run each, and may share a container engine.
        owner = f"{platform.node()}:{os.getuid()}:{self.path.resolve()}"
        place = hashlib.sha256(owner.encode()).hexdigest()[:8]
        labels = {"andamios.harness.run": KEPT, "andamios.harness.service": f"{key}-{place}"}
        return ServiceRequest(_parse(key)[0], self.path / key, labels, options)

    @contextlib.contextmanager
    def _locked(self, name: ServiceName, limit: float) -> Iterator[None]:
        with explained(self.path):
            make_folder(self.path)
            with FileLock(self.path / f"{name}.lock", timeout=limit):
                yield


def _parse(key: str) -> tuple[ServiceName, ProviderName]:
    service, provider = key.split("-")[:2]
    return cast("ServiceName", service), cast("ProviderName", provider)


def _answers(details: ServiceDetails) -> bool:
    deadline = time.monotonic() + _ANSWER_LIMIT

    def check_time() -> None:
        if time.monotonic() > deadline:
            raise ProviderError(f"no answer in {_ANSWER_LIMIT:.0f} s")

    try:
        wait_until_ready(details, check_time, limit=0.0)
    except ProviderError:
        return False
    return True
