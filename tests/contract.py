"""
The public names that the documents promise, and a table of where each one is.

Run as a program with the results of a run (``pytest --junitxml=results.xml``), it prints for
each name its place, a test, the backends on which tests that use it passed, and a notebook.
Names that are promised for later are listed in ``PLANNED``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

SESSION = "as_current begin begin_nested commit rollback execute scalars flush get close"
READS = "get_by_id get_one get_many find_one list exists count query page page_after stream lock"
WRITES = (
    "create update delete create_many update_many update_where delete_where restore hard_delete "
    "upsert upsert_many get_or_create update_or_create"
)
BUILD = (
    "filter filter_by exclude join outerjoin load only distinct group_by having aggregate "
    "order_by limit offset for_update include_deleted cached"
)
ENDS = (
    "execute first one one_or_none scalar count exists stream page page_after as_dicts as_models "
    "update delete explain to_sql statement"
)
FILTERS = (
    "eq ne lt le gt ge in_ not_in between like ilike contains startswith endswith is_null and_ "
    "or_ not_ from_dict from_query_params"
)
FIXTURES = (
    "backend engine db_session test_database clean_database own_database user_repository "
    "redis_client cache_manager fault_proxy service_faults sqlite_faults fault_schedule "
    "query_log max_queries default_isolation engine_options "
    "model_base db_metadata db_schema "
    "postgresql_options mysql_options mariadb_options redis_options"
)

CONTRACT: dict[str, dict[str, str]] = {
    "andamios": {
        "ENGINE_CONFIG": "",
        "run": "",
        "AndamiosEngine": "from_env session create_all drop_all open close connections hooks",
        "AsyncSession": SESSION,
        "SessionManager": "",
        "ConnectionManager": "acquire stats validate resize leaks",
        "PoolStats": "",
        "HealthMonitor": "check",
        "BaseModel": "to_dict load",
        "UUIDModel": "",
        "TimestampedModel": "",
        "SoftDeleteModel": "",
        "VersioningMixin": "",
        "AuditMixin": "",
        "acting_as": "",
        "IRepository": "get_by_id create update delete list",
        "BaseRepository": "",
        "GenericRepository": f"{READS} {WRITES}",
        "ReadOnlyRepository": "",
        "AuditedRepository": "history as_of revert",
        "Change": "",
        "QueryBuilder": f"{BUILD} {ENDS}",
        "FilterBuilder": FILTERS,
        "Page": "",
        "CursorPage": "",
        "QueryOptimizer": "analyze_query suggest_indexes watch",
        "QueryPlan": "walk find uses_index plot",
        "IndexSuggestion": "evidence cost_before cost_after write_cost",
    },
    "andamios.core.facts": {
        "QueryFinished": "",
        "ConnectionTaken": "",
        "ConnectionReturned": "",
        "CommitStarted": "",
        "TransactionEnded": "",
        "CommitSettled": "",
        "PoolMeasured": "",
    },
    "andamios.core.hooks": {"Hooks": "listen remove"},
    "andamios.caching": {
        "CacheManager": "get_cached_result set_cached_result get_or_load invalidate repository "
        "watch unwatch stats"
    },
    "andamios.migrations": {
        "MigrationManager": "apply_migrations generate_migration rollback_migration history check "
        "stamp lint sql",
        "SchemaVersion": "get_current_version validate_compatibility compare",
    },
    "andamios.resilience": {
        "ConnectionResilience": "execute_with_retry",
        "CircuitBreaker": "call",
        "TransactionManager": "prepare execute_in_transaction savepoint run after_commit "
        "after_rollback lock",
        "callback_failures": "",
        "is_retryable": "",
    },
    "andamios.monitoring": {
        "MetricsCollector": "track_query_performance track_connection_usage snapshot plot render "
        "slow_queries",
        "HealthChecker": "check_database_connectivity check_pool_health check_all register",
        "HealthStatus": "",
        "PoolHealth": "",
    },
    "andamios.security": {
        "AuditLogger": "create_tables log_data_access watch seal verify",
        "CredentialsFile": "names get add remove rotate",
        "generate_key": "",
    },
    "andamios.integrations.fastapi": {
        "FastAPIIntegration": "lifespan_handler create_repository_dependencies session install "
        "routes",
        "etag": "",
        "filter_parameters": "",
    },
    "andamios.integrations.pydantic": {
        "PydanticModelAdapter": "to_pydantic from_pydantic create_schema update_schema read_schema "
        "apply"
    },
    "harness": {
        "Run": "create join service started starts close",
        "ServiceDetails": "url",
        "ServiceUnavailableError": "",
    },
    "harness.databases": {
        "TestDatabaseManager": "create_test_database cleanup_test_database",
        "drop_database": "",
    },
    "harness.services": {"ServiceOptions": "key"},
    "harness.templates": {"Schema": "of"},
    "harness.isolation.joined": {"IsolationError": ""},
    "harness.faults": {
        "FaultProxy": "to url down up latency bandwidth slicer limit_data timeout half_open "
        "reset_peer slow_close cut reset",
        "FaultSchedule": "play",
        "DatabaseFaults": "proxy url is_running kill start restart pause resume "
        "too_many_connections free_connections terminate_connections mend "
        "read_only read_write fill_disk free_disk",
        "RedisFaults": "flush evict failover",
        "SQLiteFaults": "kill_writer lock unlock fill_disk free_disk read_only read_write mend",
        "cancelled_everywhere": "",
    },
    "harness.conformance.gaps": {"Gap": ""},
    "harness.conformance.repository": {"RepositoryContract": ""},
    "harness.fixtures.queries": {"QueryLog": "watch clear statements"},
    "harness.plugin": dict.fromkeys(FIXTURES.split(), ""),
}

PLANNED: dict[str, tuple[str, ...]] = {
    "models in full": (
        "BaseModel.load(peers=True)",
        "unique values free again after a soft deletion",
    ),
    "queries in full": ("QueryBuilder.as_models", "FilterBuilder.from_query_params"),
    "speed": ("QueryBuilder.explain_path", "plans/"),
}

OURS = {"contract.py", "test_contract.py", "test_exports.py"}

FUNCTION = re.compile(
    r"^(?:async )?def (\w+)\(.*?(?=^(?:async def|def|@|class)|\Z)", re.MULTILINE | re.DOTALL
)

PLACES = {"andamios": ("core", "models", "queries", "repositories")}


def names() -> list[tuple[str, str]]:
    """Give every promised name as module and dotted name."""
    found = []
    for module, classes in CONTRACT.items():
        for name, members in classes.items():
            found += [(module, name), *((module, f"{name}.{each}") for each in members.split())]
    return found


def resolve(module: str, name: str) -> Any:
    """Give what a name means; an attribute that an instance makes is its class's annotation."""
    first, *rest = name.split(".")
    found: Any = getattr(importlib.import_module(module), first)
    for part in rest:
        found = inspect.getattr_static(found, part)
    return found


def place(module: str, name: str) -> str:
    """Give file and line of a name."""
    found = resolve(module, name)
    found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
    try:
        code = inspect.unwrap(found)
        file, line = inspect.getsourcefile(code), inspect.getsourcelines(code)[1]
    except TypeError:
        source = inspect.getsourcefile(importlib.import_module(module))
        return f"{Path(source or '').relative_to(ROOT)}"
    shown = Path(file or "")
    return f"{shown.relative_to(ROOT) if shown.is_relative_to(ROOT) else shown.name}:{line}"


def uses_in_tests(name: str, folders: tuple[str, ...] = ()) -> dict[str, str]:
    """
    Give the tests that use a name: files by function.

    Where only what a file's tests share uses it, they all count.
    """
    found: dict[str, str] = {}
    for file in sorted((ROOT / "tests").rglob("*.py")):
        if file.name in OURS or (folders and file.parent.name not in folders):
            continue
        text = file.read_text(encoding="utf-8")
        if not _use_of(name).search(text):
            continue
        tests = [match for match in FUNCTION.finditer(text) if match[1].startswith("test_")]
        using = [match for match in tests if _use_of(name).search(match[0])]
        path = str(file.relative_to(ROOT))
        found |= {match[1]: path for match in using or tests} or _beside(file)
    return found


def _beside(file: Path) -> dict[str, str]:
    """Give the tests of a folder, for what is only in a file that they share."""
    return {
        match[1]: str(other.relative_to(ROOT))
        for other in sorted(file.parent.glob("test_*.py"))
        for match in FUNCTION.finditer(other.read_text(encoding="utf-8"))
        if match[1].startswith("test_")
    }


def _use_of(name: str) -> re.Pattern[str]:
    word = name.rpartition(".")[2]
    return re.compile(rf"\.{word}\b" if "." in name else rf"\b{word}\b")


def notebooks_of(name: str) -> list[str]:
    """Give the numbers of the notebooks in which a name is used."""
    found = []
    for file in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        if _use_of(name).search(code):
            found.append(file.name[:2])
    return found


def passed(results: Path) -> dict[str, set[str]]:
    """Read on which backends each test function passed."""
    found: dict[str, set[str]] = defaultdict(set)
    for case in ET.parse(results).iter("testcase"):
        name, _, parameters = case.attrib["name"].partition("[")
        if case.find("failure") is None and case.find("skipped") is None:
            words = re.split(r"[-\]]", parameters)
            found[name] |= {"sqlite", "postgresql", "mysql"} & set(words) or {"-"}
    return found


def table(results: Path) -> str:
    """Write the table as Markdown: a row for each class or function, with its methods."""
    backends = passed(results)
    lines = ["| name | where | methods, by line | a test | passed on | notebooks |"]
    lines += ["|---|---|---|---|---|---|"]
    for module, classes in CONTRACT.items():
        for name, members in classes.items():
            methods = [f"{name}.{member}" for member in members.split()]
            lines.append(f"| {' | '.join(_row(module, name, methods, backends))} |")
    lines += ["", "| promised for later | part |", "|---|---|"]
    lines += [f"| {name} | {part} |" for part, planned in PLANNED.items() for name in planned]
    return "\n".join(lines)


def _row(
    module: str, name: str, methods: list[str], backends: dict[str, set[str]]
) -> tuple[str, ...]:
    folder = module.partition(".")[2].partition(".")[0]
    folders = (folder,) if folder else PLACES.get(module, ())
    tests: dict[str, str] = {}
    for each in methods or [name]:
        tests |= uses_in_tests(each, folders) or uses_in_tests(each)
    first = next((test for test in tests if backends.get(test)), "")
    ran = set().union(*(backends.get(test, set()) for test in tests)) - {"-"}
    used = notebooks_of(name) or sorted({n for each in methods for n in notebooks_of(each)})
    return (
        f"`{name}`",
        place(module, name),
        ", ".join(f"{each.rpartition('.')[2]} {_line(module, each)}" for each in methods),
        f"{tests.get(first, '–')}::{first}",
        ", ".join(sorted(ran)) or "no database",
        ", ".join(used) or "–",
    )


def _line(module: str, name: str) -> str:
    return place(module, name).rpartition(":")[2]


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1])) + "\n")
