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
from sqlalchemy.engine import make_url

from harness import providers
from harness.databases import TestDatabaseManager
from harness.folders import RunFolderError
from harness.ledger import LedgerEntry
from harness.runs.dropping import address_of
from harness.runs.kept import KEPT
from harness.runs.kept_databases import KeptDatabases
from harness.runs.run import Run
from harness.services import (
    ServiceDetails,
    ServiceName,
    ServiceOptions,
    ServiceUnavailableError,
)

__all__ = ["BACKENDS", "KNOWN_BACKENDS", "PGBOUNCER", "HarnessSession"]

BACKENDS = ("sqlite", "postgresql", "mysql")
"""Where tests run unless told otherwise."""

KNOWN_BACKENDS = (*BACKENDS, "mysql+asyncmy", "mariadb")

PGBOUNCER = "pgbouncer"
"""Its name among what a run can require."""

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
        required = _names(config.getoption("harness_require"))
        # No service of its own: it is had beside PostgreSQL, by the tests that ask for it.
        self.requires_pgbouncer = PGBOUNCER in required
        self.required = cast("list[ServiceName]", [each for each in required if each != PGBOUNCER])
        self.backends = _names(config.getoption("harness_backends")) or list(BACKENDS)
        self.seed: int = config.getoption("harness_seed") or 0
        self.keep_failed = bool(config.getoption("harness_keep_failed"))
        # Servers that somebody else runs need no keeping.
        self.keep = config.getoption("harness_keep") or (
            self.keep_failed and self.provider != "url"
        )
        self.unavailable: dict[str, str] = {}
        self._run = Run.join(worker_input[RUN_PATH], keep=self.keep) if worker_input else None

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
            try:
                self._run = Run.create(keep=self.keep)
            except RunFolderError as error:
                pytest.exit(f"harness: {error}", pytest.ExitCode.USAGE_ERROR)
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
        """Whether a service is there, or can be had; starts it if nobody tried. Blocks."""
        found = self.run.outcomes_of(name)
        if any(isinstance(outcome, ServiceDetails) for outcome in found.values()):
            return True
        if found:
            reasons = [f"{provider}: {reason}" for provider, reason in found.items()]
            self.unavailable[name] = str(ServiceUnavailableError(name, reasons))
            return False
        try:
            self.service(name)
        except ServiceUnavailableError:
            return False
        return True

    def start_ahead(self, wanted: Mapping[ServiceName, ServiceOptions]) -> None:
        """Begin to start services in the background, all at once, without waiting."""
        run = self.run
        known = {each.details.name for each in run.kept.servers()} if self.keep else set()
        for name in wanted.keys() - known:
            if "docker" in providers.candidates(name, self.provider):
                # Not in a thread: pytest sets filters of warnings meanwhile, and a warning
                # that becomes an error leaves the library half imported.
                with contextlib.suppress(ImportError):
                    providers.import_docker()
        for name, options in wanted.items():
            # Outcomes are written down by the run, errors too: a test meets them there.
            threading.Thread(target=self._try, args=(run, name, options), daemon=True).start()

    def _try(self, run: Run, name: ServiceName, options: ServiceOptions) -> None:
        try:
            run.service(name, self.provider, options)
        except ServiceUnavailableError as error:
            self.unavailable[name] = str(error)
        except Exception:  # noqa: BLE001  the test that asks for it meets it itself
            return

    def keep_database(self, url: str, test_id: str) -> bool:
        """
        Keep the database of a failed test, so that people can look at it.

        Args:
            url: The database, which nobody uses any more; a file is moved.
            test_id: The test that failed.

        Returns:
            Whether it is kept; ten of a run are, and the others are to be dropped as usual.
        """
        entry = LedgerEntry(url, self.worker, self.run.id, test_id, self._shown(url))
        if KeptDatabases(self.run.path.parent).keep(entry) is None:
            return False
        self.run.ledger.remove(url)
        return True

    def kept_databases(self) -> list[LedgerEntry]:
        """Give the databases that this run has kept; print what is `shown` of their addresses."""
        if self._run is None:
            return []
        return KeptDatabases(self._run.path.parent).of_run(self._run.id)

    def _shown(self, url: str) -> str:
        """Hide the password of a server that is not ours."""
        theirs = {each.url() for each in self.run.started() if each.provider == "url"}
        if address_of(url) not in map(address_of, theirs):
            return url
        return make_url(url).render_as_string(hide_password=True)

    def databases(self, server_url: str) -> TestDatabaseManager:
        """Give what makes databases on a server for this run."""
        is_kept = address_of(server_url) in self.run.kept.addresses()
        is_written_down = server_url.startswith("redis") or not self.run.owns(server_url)
        return TestDatabaseManager(
            server_url,
            self.run.id,
            ledger=self.run.ledger if is_written_down else None,
            templates_of=KEPT if is_kept else None,
        )

    def close(self) -> None:
        """Stop what was started; only the controller does."""
        if self.is_controller and self._run is not None:
            self._run.close()


_KEY = pytest.StashKey[HarnessSession]()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
