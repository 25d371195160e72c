"""`up`: start servers that go on running, or find those that do."""

import argparse
import contextlib
import json
import shlex
import threading

from filelock import Timeout

from harness.commands.output import Commands, UsageError, note, say, services_named
from harness.folders import base_folder
from harness.providers import URL_VARIABLES
from harness.report import describe
from harness.runs.journal import Start
from harness.runs.kept import KeptRun
from harness.services import (
    SERVICES,
    ProviderError,
    ProviderName,
    ServiceDetails,
    ServiceName,
    ServiceOptions,
    ServiceUnavailableError,
)

__all__ = ["add_parser"]

_USUAL: tuple[ServiceName, ...] = ("postgresql", "mysql", "redis")


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("up", help="start servers that go on running")
    parser.add_argument(
        "services", nargs="*", help=f"{', '.join(SERVICES)}; by default {', '.join(_USUAL)}"
    )
    parser.add_argument(
        "--provider", choices=("auto", "docker", "local"), default="auto", help="who starts them"
    )
    parser.add_argument("--json", action="store_true", help="print addresses and facts as JSON")
    parser.add_argument(
        "--env", action="store_true", help='print variables: eval "$(python -m harness up --env)"'
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Start services in parallel and print where they are."""
    if options.json and options.env:
        raise UsageError("--json and --env contradict each other: leave one of them out")
    names = services_named(options.services) or _USUAL
    kept = KeptRun(base_folder(None))
    starters = [_Starter(kept, name, options.provider) for name in names]
    _start_all(starters)
    found = [starter.details for starter in starters if starter.details]
    if options.json:
        say(json.dumps([_facts(details) for details in found], indent=2))
    else:
        for details in found:
            say(_export(details) if options.env else details.url())
    return 0 if len(found) == len(names) else 1


class _Starter(threading.Thread):
    def __init__(self, kept: KeptRun, name: ServiceName, provider: str) -> None:
        super().__init__(name=f"harness-up-{name}", daemon=True)
        self.details: ServiceDetails | None = None
        self._kept = kept
        self._service = name
        self._provider = provider
        self._start: Start | None = None

    def run(self) -> None:
        note(f"{self._service}: starting, if it isn't running …")
        try:
            self.details = self._first_that_works()
        except ServiceUnavailableError as error:
            note(f"harness: {error}")
        else:
            how = f"started in {self._start.seconds:.1f} s" if self._start else "was running"
            note(f"{describe(self.details)}, {how}")

    def _first_that_works(self) -> ServiceDetails:
        options, reasons = ServiceOptions(), []
        for choice in self._kept.known_first(self._service, self._choices(), options):
            try:
                return self._kept.service(self._service, choice, options, journal=self._note)
            except (ProviderError, Timeout) as error:
                reasons.append(f"{choice}: {error}")
        raise ServiceUnavailableError(self._service, reasons)

    def _choices(self) -> tuple[ProviderName, ...]:
        # An address that is set may be that of the very server that is asked for.
        every: tuple[ProviderName, ...] = ("docker", "local")
        return (
            every
            if self._provider == "auto"
            else tuple(choice for choice in every if choice == self._provider)
        )

    def _note(self, start: Start) -> None:
        self._start = start


def _start_all(starters: list[_Starter]) -> None:
    with contextlib.suppress(ImportError):
        # Threads that import it at the same time would see it half imported.
        import harness.containers.docker  # noqa: F401, PLC0415  slow, and optional
    for starter in starters:
        starter.start()
    try:
        for starter in starters:
            starter.join()
    except KeyboardInterrupt:
        note("what was being started is removed by: python -m harness down")
        raise


def _export(details: ServiceDetails) -> str:
    return f"export {URL_VARIABLES[details.name]}={shlex.quote(details.url())}"


def _facts(details: ServiceDetails) -> dict[str, str]:
    return {
        "service": details.name,
        "url": details.url(),
        "variable": URL_VARIABLES[details.name],
        "flavour": details.flavour,
        "version": details.version,
        "provider": details.provider,
        "source": details.source,
    }
