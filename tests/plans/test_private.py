"""What of SQLAlchemy is private and used nevertheless: it is there, and means the same."""

# ruff: noqa: SLF001  what this is about

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_connection
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    PGDialect_asyncpg,
)
from sqlalchemy.engine.base import Connection
from sqlalchemy.pool import Pool

import andamios
from andamios.core import pool
from andamios.plans.private import PRIVATE_NAMES
from tests.plans.models import PlansPlain

PACKAGE = Path(andamios.__file__).parent
THEIRS = Path(sa.__file__).parent

DOCUMENTED = {"_fields", "_mapping"}
"""What a ``Row`` has with an underscore so that it is no column's name."""

OF_OTHERS = {
    "_conn": "aiosqlite's connection of sqlite3",
    "_execute": "how aiosqlite runs something in its thread",
    "_connect": "how aiomysql connects",
    "_getframe": "of sys",
    "_ssl_context": "what aiomysql was given for TLS",
    "_asdict": "of named tuples, where it is documented",
    "_thread": "of aiosqlite, which SQLAlchemy uses too",
    "_params": "where and how asyncpg connected",
    "_cancel": "how asyncpg sends a cancel request",
}
"""Private names of others than SQLAlchemy, which happen to be among SQLAlchemy's too."""

LISTED = sorted((owner, name) for owner, names in PRIVATE_NAMES.items() for name in names)


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def forms_of_expressions() -> None:
    """Statements that differ in their values alone no longer share a plan, or others do."""
    one, same, other = PlansPlain.name == "a", PlansPlain.name == "b", PlansPlain.name != "a"
    found: Any = one._generate_cache_key()
    assert found.key == same._generate_cache_key().key
    assert found.key != other._generate_cache_key().key
    assert ["a"] == [each.effective_value for each in found.bindparams]


def errors_inside_sessions() -> None:
    """A refused statement of a session raises no error of ours, and leaves its transaction open."""
    expected = ["self", "e", "statement", "parameters", "cursor", "context"]
    assert expected == _parameters(Connection._handle_dbapi_exception)[:6]


def isolation_of_an_engine() -> None:
    """Single statements would not have the isolation level that the engine was given."""
    engine = sa.create_engine("sqlite://", isolation_level="SERIALIZABLE")
    assert "SERIALIZABLE" == engine.dialect._on_connect_isolation_level  # type: ignore[attr-defined]
    plain = sa.create_engine("sqlite://").dialect
    assert None is plain._on_connect_isolation_level  # type: ignore[attr-defined]


def objects_that_a_session_gets() -> None:
    """What is read in a session does not become its object, or replaces one that it has."""
    session, entity = orm.Session(), PlansPlain(id=1, name="a")
    state: Any = sa.inspect(entity)
    key = state.mapper.identity_key_from_primary_key((1,))
    known: Any = session.identity_map
    state.key, state.session_id = key, session.hash_key
    known._add_unpresent(state, key)
    assert entity is known.get(key)
    assert entity in session


def states_made_late() -> None:
    """An object that was read has no state when somebody asks for it."""
    manager: Any = sa.inspect(PlansPlain).class_manager
    entity = PlansPlain.__new__(PlansPlain)
    assert isinstance(manager._state_constructor(entity, manager), orm.InstanceState)


def sessions_with_changes() -> None:
    """A query in a session does not see what was added, or flushes each time."""
    session = orm.Session()
    assert session._is_clean()
    session.add(PlansPlain(name="a"))
    assert not session._is_clean()


def objects_that_a_session_stored() -> None:
    """What was stored at once for a session stays new to it, and is stored again."""
    session, entity = orm.Session(), PlansPlain(id=1, name="a")
    session.add(entity)
    state: Any = sa.inspect(entity)
    state.key = state.mapper.identity_key_from_primary_key((1,))
    state._commit_all(state.dict)
    session._register_persistent({state})
    assert (True, False) == (state.persistent, entity in session.new)


def documents_as_text() -> None:
    """JSON is written by something else than the engine was given, or not at all."""
    dialect: Any = sa.create_engine("sqlite://", json_serializer=repr).dialect
    assert dialect._json_serializer is repr
    assert None is sa.create_engine("sqlite://").dialect._json_serializer


def transactions_of_sessions() -> None:
    """A session asks for a connection where it has one, or waits where it must not."""
    with orm.Session(sa.create_engine("sqlite://")) as session:
        assert session._transaction is None
        session.connection()
        assert 2 == len(session._transaction._connections)  # by engine and by connection


def objects_that_were_stored() -> None:
    """An object that was stored still shows changes, which are stored again."""
    entity = PlansPlain(name="a")
    state: Any = sa.inspect(entity)
    assert state.modified
    state._commit_all(state.dict)
    assert (False, {}) == (state.modified, dict(state.committed_state))


def broken_connections() -> None:
    """After a restart of the server each connection of the pool fails once."""
    assert ["self", "connection", "exception"] == _parameters(Pool._invalidate)[:3]
    assert None is inspect.signature(Pool._invalidate).parameters["exception"].default


def errors_of_drivers() -> None:
    """A driver's error is not the one that the translation knows, and has no code."""
    assert ["self", "error"] == _parameters(AsyncAdapt_dbapi_connection._handle_exception)
    assert ["self", "error"] == _parameters(AsyncAdapt_asyncpg_connection._handle_exception)


def prepared_statements() -> None:
    """Statements are prepared with each call, or not again when the schema has changed."""
    prepare = AsyncAdapt_asyncpg_connection._prepare
    assert ["self", "operation", "invalidate_timestamp"] == _parameters(prepare)
    assert inspect.iscoroutinefunction(prepare)


def begun_transactions() -> None:
    """What is sent inside a transaction commits by itself."""
    start = AsyncAdapt_asyncpg_connection._start_transaction
    assert ["self"] == _parameters(start)
    assert inspect.iscoroutinefunction(start)
    assert "_transaction" in AsyncAdapt_asyncpg_connection.__slots__


def outdated_statements() -> None:
    """A statement that a change of the schema outdated fails again and again."""
    dialect = PGDialect_asyncpg()
    before = dialect._invalidate_schema_cache_asof
    dialect._invalidate_schema_cache()
    assert before < dialect._invalidate_schema_cache_asof


BREAKS: dict[str, Callable[[], None]] = {
    "_generate_cache_key": forms_of_expressions,
    "_handle_dbapi_exception": errors_inside_sessions,
    "_on_connect_isolation_level": isolation_of_an_engine,
    "_add_unpresent": objects_that_a_session_gets,
    "_state_constructor": states_made_late,
    "_is_clean": sessions_with_changes,
    "_register_persistent": objects_that_a_session_stored,
    "_json_serializer": documents_as_text,
    "_connections": transactions_of_sessions,
    "_commit_all": objects_that_were_stored,
    "_invalidate": broken_connections,
    "_handle_exception": errors_of_drivers,
    "_prepare": prepared_statements,
    "_start_transaction": begun_transactions,
    "_transaction": transactions_of_sessions,  # of a session, and of asyncpg's adapter
    "_invalidate_schema_cache": outdated_statements,
    "_invalidate_schema_cache_asof": outdated_statements,
}
"""What goes wrong if a private name goes or means something else, by the name."""


@pytest.mark.parametrize(("owner", "name"), LISTED)
def test_private_names_mean_the_same(owner: str, name: str) -> None:
    """Each is where it was, and does what the short way takes it for."""
    module, _, kind = owner.rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    is_there = hasattr(found, name) or name in _set_in(found)
    assert is_there, f"{owner}.{name} is gone: {BREAKS[name].__doc__}"
    BREAKS[name]()


def test_all_are_listed() -> None:
    """What of SQLAlchemy is private is used in ``plans/`` and in the pool, and is listed there."""
    used = {file: _private(file) for file in PACKAGE.rglob("*.py")}
    plans = {name for file, names in used.items() if "plans" in file.parts for name in names}
    others = {
        name
        for file, names in used.items()
        if "plans" not in file.parts
        for name in names - (set(pool.PRIVATE_NAMES) if file.name == "pool.py" else set())
    }
    assert set() == others
    assert {name for _, name in LISTED} == plans
    assert set(BREAKS) == plans


def _set_in(kind: type[Any]) -> set[str]:
    """Name what a class sets in its objects."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(kind)))  # type: ignore[arg-type]
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _private(file: Path) -> set[str]:
    """Name what a file takes from others though it is private, and SQLAlchemy's."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    own = set(_defined(tree))
    taken = {name for name in _taken(tree) if _is_private(name) and name not in own}
    return {name for name in taken - DOCUMENTED - OF_OTHERS.keys() if name in _words()}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and not name.startswith("_sa_")


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node, ast.AnnAssign):
            yield getattr(node.target, "attr", getattr(node.target, "id", ""))


def _taken(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") not in {"self", "cls"}:
            yield node.attr
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            yield from (each.name for each in node.names)
            yield from (node.module or "").split(".")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
            yield from (each.value for each in node.args[1:2] if isinstance(each, ast.Constant))


@cache
def _words() -> set[str]:
    """Give every private name that SQLAlchemy's source mentions; parsing it would take seconds."""
    sources = (file.read_text(encoding="utf-8") for file in THEIRS.rglob("*.py"))
    return {word for source in sources for word in re.findall(r"\b_\w+", source)}
