"""
What became of a service in a run: its details, or the reason why it can't be had.

Both are written down, so that a failure too is found out once, by one process.
"""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from harness.folders import write_private
from harness.services import ProviderName, ServiceDetails, ServiceName, ServiceOptions

__all__ = ["Outcome", "outcome_key", "outcome_path", "outcomes", "read_outcome", "write_outcome"]

Outcome: TypeAlias = ServiceDetails | str

_SUFFIX = ".outcome.json"


def outcome_key(name: ServiceName, provider: ProviderName, options: ServiceOptions) -> str:
    """Name a service as a run tells them apart: by service, provider and options."""
    return "-".join(filter(None, (name, provider, options.key)))


def outcome_path(folder: Path, key: str) -> Path:
    """Name the file that holds what became of a service."""
    return folder / f"{key}{_SUFFIX}"


def outcomes(folder: Path) -> dict[str, Outcome]:
    """Give all that is known of a run's services, by key."""
    keys = sorted(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))
    found: dict[str, Outcome] = {}
    for key in keys:
        # Another version of the harness may have written what this one can't read.
        with contextlib.suppress(ValueError, TypeError, KeyError):
            outcome = read_outcome(folder, key)
            if outcome is not None:
                found[key] = outcome
    return found


def read_outcome(folder: Path, key: str) -> Outcome | None:
    """Give what is known of one service; None if nothing is yet."""
    try:
        content = json.loads(outcome_path(folder, key).read_text())
    except FileNotFoundError:
        return None
    return ServiceDetails(**content["details"]) if "details" in content else content["reason"]


def write_outcome(folder: Path, key: str, outcome: Outcome) -> None:
    """Write down what became of a service; the file holds its password."""
    if isinstance(outcome, ServiceDetails):
        content: dict[str, object] = {"details": asdict(outcome)}
    else:
        content = {"reason": outcome}
    write_private(outcome_path(folder, key), json.dumps(content))
