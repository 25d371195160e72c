"""
What one pytest process knows of the run: its options, its worker name, its services.

The controller creates the run; xdist's workers join it by the path that the controller
hands them. Nothing is started, not even a directory made, before a test needs a service.
"""

import contextlib
import threading
from collections.abc import Mapping
from typing import Any, cast

import pytest

from harness.runs import Run
from harness.services import (
    ServiceDetails,
    ServiceName,
    ServiceOptions,
    ServiceUnavailableError,
)

__all__ = ["BACKENDS", "HarnessSession"]

BACKENDS = ("sqlite", "postgresql", "mysql")

RUN_PATH = "andamios_harness_run"


class HarnessSession:
    """
    The harness's state in one process, kept in pytest's configuration.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.worker = worker_input["workerid"] if worker_input else "main"
        self.is_controller = worker_input is None
        self.provider: str = config.getoption("harness_provider")
        self.required = cast("list[ServiceName]", _names(config.getoption("harness_require")))
        self.backends = _names(config.getoption("harness_backends")) or list(BACKENDS)
        self.unavailable: dict[str, str] = {}
        self._run = Run.join(worker_input[RUN_PATH]) if worker_input else None

    @classmethod
    def of(cls, config: pytest.Config) -> "HarnessSession":
        """Give the state of this process; the first call makes it."""
        if _KEY not in config.stash:
            config.stash[_KEY] = HarnessSession(config)
        return config.stash[_KEY]

    @property
    def has_run(self) -> bool:
        """Whether anything needed a run yet."""
        return self._run is not None

    @property
    def run(self) -> Run:
        """The run, made when it is first needed."""
        if self._run is None:
            self._run = Run.create()
        return self._run

    def service(
        self,
        name: ServiceName,
        options: ServiceOptions = ServiceOptions(),  # noqa: B008  it is immutable
    ) -> ServiceDetails:
        """
        Start a service or join it; blocks until it answers.

        Args:
            name: The service.
            options: Which server it has to be; by default the usual one.

        Returns:
            Where it listens and what it is.

        Raises:
            ServiceUnavailableError: No provider can give it.
        """
        try:
            return self.run.service(name, self.provider, options)
        except ServiceUnavailableError as error:
            self.unavailable[name] = str(error)
            raise

    def has(self, name: ServiceName) -> bool:
        """Whether a service is there, or can be had; starts it if nobody did. Blocks."""
        if any(details.name == name for details in self.run.started()):
            return True
        try:
            self.service(name)
        except ServiceUnavailableError:
            return False
        return True

    def start_ahead(self, wanted: Mapping[ServiceName, ServiceOptions]) -> None:
        """Begin to start services in the background, all at once, without waiting."""
        run = self.run
        with contextlib.suppress(ImportError):
            # Threads that import it at the same time would see it half imported.
            import harness.containers.docker  # noqa: F401, PLC0415  slow, and optional
        for name, options in wanted.items():
            # Outcomes are written down by the run, errors too: a test meets them there.
            threading.Thread(target=self._try, args=(run, name, options), daemon=True).start()

    def _try(self, run: Run, name: ServiceName, options: ServiceOptions) -> None:
        try:
            run.service(name, self.provider, options)
        except ServiceUnavailableError as error:
            self.unavailable[name] = str(error)

    def close(self) -> None:
        """Stop what was started; only the controller does."""
        if self.is_controller and self._run is not None:
            self._run.close()


_KEY = pytest.StashKey[HarnessSession]()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
