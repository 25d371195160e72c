"""
A test run: what was started for it, once, however many processes take part.

The controller makes a run directory; workers join it by its path. Whoever needs a
service first starts it under a file lock and writes down the outcome, good or bad; all
others read that. The controller stops everything, and a run whose controller was killed
is swept by the next one. Servers of the kept run are used, and outlive this one.
"""

import json
import shutil
import uuid
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from harness import providers
from harness.folders import base_folder, explained, make_folder
from harness.ledger import Ledger
from harness.processes import ProcessMark
from harness.runs import starting
from harness.runs.dropping import address_of
from harness.runs.journal import Journal, Start
from harness.runs.kept import KeptRun
from harness.runs.outcomes import Outcome, outcome_key, outcomes, read_outcome, write_outcome
from harness.runs.sweeping import CLOSED, CONTROLLER, controller_of, own_servers, reap, sweep
from harness.services import (
    ProviderError,
    ProviderName,
    ServiceDetails,
    ServiceName,
    ServiceOptions,
    ServiceRequest,
    ServiceUnavailableError,
)

__all__ = ["Run"]

_START_LIMIT = 600.0


class Run:
    """
    One test run and the services started for it.

    Example:
        >>> with Run.create() as run:
        ...     run.started()
        []
    """

    def __init__(self, path: Path, *, keep: bool = False) -> None:
        self.path = path
        self.id = path.name
        self.ledger = Ledger(path)
        self.kept = KeptRun(path.parent)
        self._keep = keep
        self._journal = Journal(path)

    @classmethod
    def create(cls, base_dir: Path | str | None = None, *, keep: bool = False) -> Self:
        """
        Begin a run whose controller is this process, and sweep runs that were killed.

        Args:
            base_dir: The folder of all runs; by default one in the temporary folder.
            keep: Whether to use servers of the kept run, which go on running.

        Returns:
            The run; `close` it in the end.

        Raises:
            RunFolderError: The folder can't be made or written to.
        """
        base = base_folder(base_dir)
        sweep(base)
        run = cls(base / uuid.uuid4().hex[:12], keep=keep)
        # Renamed into place, so that a sweep never sees a run without its controller.
        draft = base / f".{run.id}"
        try:
            with explained(base):
                make_folder(draft)
                (draft / CONTROLLER).write_text(json.dumps(asdict(ProcessMark.current())))
                draft.rename(run.path)
        except ProviderError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return run

    @classmethod
    def join(cls, path: Path | str, *, keep: bool = False) -> Self:
        """
        Take part in a run that another process created.

        Args:
            path: The `path` of that run.
            keep: As it was given to `create`.

        Returns:
            The run; only its controller closes it.
        """
        return cls(Path(path), keep=keep)

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
        choices = providers.candidates(name, provider)
        if self._keep:
            choices = self.kept.known_first(name, choices, options)
        reasons = []
        for choice in choices:
            outcome = self._outcome(name, choice, options)
            if isinstance(outcome, ServiceDetails):
                return outcome
            reasons.append(f"{choice}: {outcome}")
        raise ServiceUnavailableError(name, reasons)

    def own_service(
        self,
        name: ServiceName,
        provider: str,
        options: ServiceOptions,
        *,
        owner: str,
        password: str | None = None,
    ) -> tuple[ServiceDetails, ServiceRequest]:
        """
        Start a server that nobody shares, and whose data outlives it, to be broken. Blocks.

        It ends with the run, or by `release`. The addresses of servers that somebody else
        runs are not looked at.

        Args:
            name: `postgresql`, `mysql`, `mariadb` or `redis`.
            provider: `docker` or `local`; `auto` takes the first that works.
            options: Which server it has to be.
            owner: A name for it that is unique in this run.
            password: Of its administrator; by default a new one.

        Returns:
            Where it listens and what it is, and what it was started for.

        Raises:
            ServiceUnavailableError: No provider can give it.
        """
        reasons = []
        for choice in providers.starting_candidates(name, provider):
            key = f"{outcome_key(name, choice, options)}-{owner}"
            request = replace(self._request(name, key, options), is_durable=True)
            if password is not None:
                request = replace(request, password=password)
            try:
                self._check_open()
                details = starting.start(
                    request,
                    choice,
                    record=lambda _details: self._check_open(),
                    journal=lambda _start: None,
                )
            except ProviderError as error:
                reasons.append(f"{choice}: {error}")
            else:
                return details, request
        raise ServiceUnavailableError(name, reasons)

    def release(self, details: ServiceDetails, request: ServiceRequest) -> None:
        """End a server of `own_service`, and remove its data."""
        starting.clear(request, details.provider)

    def started(self) -> list[ServiceDetails]:
        """Return the services that this run uses so far, by name."""
        found = outcomes(self.path).values()
        return [outcome for outcome in found if isinstance(outcome, ServiceDetails)]

    def outcomes_of(self, name: ServiceName) -> dict[str, Outcome]:
        """Return what became of a service so far, by provider, whatever the options."""
        found = outcomes(self.path)
        parts = {key: key.split("-") for key in found}
        return {parts[key][1]: found[key] for key in found if parts[key][0] == name}

    def starts(self) -> list[Start]:
        """Return each real start of a server for this run, first one first."""
        return self._journal.starts()

    def owns(self, url: str) -> bool:
        """Whether the server of a database ends with this run."""
        return address_of(url) in own_servers(self.path)

    def close(self) -> None:
        """Stop everything that was started in this run and remove its directory."""
        if self.path.exists():
            reap(self.path)

    def _outcome(
        self, name: ServiceName, provider: ProviderName, options: ServiceOptions
    ) -> Outcome:
        key = outcome_key(name, provider, options)
        known = read_outcome(self.path, key)
        if known is not None:
            return known
        try:
            self._check_open()
            with (
                explained(self.path),
                FileLock(self.path / f"{name}.lock", timeout=_START_LIMIT),
            ):
                return read_outcome(self.path, key) or self._find_out(name, provider, options)
        except Timeout:
            return f"waited {_START_LIMIT:.0f} s for another process to start {name}"
        except ProviderError as error:
            return str(error)

    def _find_out(
        self, name: ServiceName, provider: ProviderName, options: ServiceOptions
    ) -> Outcome:
        key = outcome_key(name, provider, options)
        try:
            if self._keep and provider != "url":
                details = self.kept.service(name, provider, options, journal=self._journal.add)
                self._record(key, details)
                return details
            return starting.start(
                self._request(name, key, options),
                provider,
                record=partial(self._record, key),
                journal=self._journal.add,
            )
        except ProviderError as error:
            self._check_open()
            write_outcome(self.path, key, str(error))
            return str(error)

    def _check_open(self) -> None:
        if not self.path.is_dir() or (self.path / CLOSED).exists():
            raise ProviderError("this run is closed")

    def _record(self, key: str, details: ServiceDetails) -> None:
        self._check_open()
        write_outcome(self.path, key, details)

    def _request(self, name: ServiceName, key: str, options: ServiceOptions) -> ServiceRequest:
        controller = controller_of(self.path) or ProcessMark.current()
        labels = {
            "andamios.harness.run": self.id,
            "andamios.harness.service": key,
            "andamios.harness.pid": str(controller.pid),
            "andamios.harness.started": controller.started,
            "andamios.harness.machine": controller.machine,
        }
        return ServiceRequest(name, self.path / key, labels, options)
