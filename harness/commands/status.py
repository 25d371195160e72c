"""`status`: which servers are kept, which runs are under way, which databases were kept."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.commands.output import Commands, say, table
from harness.folders import base_folder
from harness.ledger import LedgerEntry
from harness.runs.kept import KeptRun, KeptServer
from harness.runs.kept_databases import KeptDatabases
from harness.runs.outcomes import outcomes
from harness.runs.sweeping import controller_of
from harness.services import ServiceDetails

__all__ = ["add_parser"]


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("status", help="list kept servers, runs, and kept databases")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what there is; servers are asked whether they still let us in."""
    base = base_folder(None)
    facts = {
        "servers": _servers(KeptRun(base).servers()),
        "runs": [fact for path in sorted(base.iterdir()) for fact in _run(path)],
        "databases": [_database(entry) for entry in KeptDatabases(base).all()],
    }
    if options.json:
        say(json.dumps(facts, indent=2))
    else:
        _print(facts)
    return 0


def _servers(servers: list[KeptServer]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(max_workers=max(1, len(servers))) as pool:
        alive = list(pool.map(KeptServer.is_alive, servers))
    return [
        {
            "service": server.details.name,
            "flavour": server.details.flavour,
            "version": server.details.version,
            "provider": server.details.provider,
            "url": server.details.url(),
            "alive": is_alive,
            "since": server.since.isoformat(timespec="seconds"),
        }
        for server, is_alive in zip(servers, alive, strict=True)
    ]


def _run(path: Path) -> list[dict[str, Any]]:
    controller = controller_of(path)
    if controller is None:
        return []
    services = [each.name for each in outcomes(path).values() if isinstance(each, ServiceDetails)]
    killed = controller.is_gone()
    return [{"run": path.name, "pid": controller.pid, "killed": killed, "services": services}]


def _database(entry: LedgerEntry) -> dict[str, str]:
    made = datetime.fromtimestamp(entry.made, UTC).isoformat(timespec="seconds")
    return {"url": entry.shown, "test": entry.test, "run": entry.run, "made": made}


def _print(facts: dict[str, list[dict[str, Any]]]) -> None:
    sections: dict[str, list[tuple[str, ...]]] = {
        "servers": [
            (
                fact["service"],
                f"{fact['flavour']} {fact['version']}",
                fact["provider"],
                "alive" if fact["alive"] else "dead",
                f"since {fact['since']}",
                fact["url"],
            )
            for fact in facts["servers"]
        ],
        "runs": [
            (
                fact["run"],
                f"pid {fact['pid']}",
                "killed, python -m harness sweep" if fact["killed"] else "under way",
                ", ".join(fact["services"]),
            )
            for fact in facts["runs"]
        ],
        "databases": [
            (fact["test"] or "could not be dropped", fact["url"], f"made {fact['made']}")
            for fact in facts["databases"]
        ],
    }
    for title, rows in sections.items():
        say(f"{title}:" if rows else f"{title}: none")
        for line in table(rows) if rows else ():
            say(line)
