"""
Listening to an engine: which transaction touched which tags, and when it commits.

Tags belong to the innermost savepoint. One that is rolled back takes its tags along, one
that is released leaves them to the one around it. Nothing is told to the board before the
outermost COMMIT.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.util import await_only

from andamios.caching.statements import commits_at_once, facts_of, touched_tags
from andamios.core.facts import CommitSettled, CommitStarted, TransactionEnded
from andamios.core.listening import (
    all_statements_seen,
    listen,
    stop,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from sqlalchemy.engine import Connection

    from andamios.caching.board import Board
    from andamios.core.engine import AndamiosEngine
    from andamios.core.facts import Outcome

__all__ = ["Watch", "tables_read"]

STATEMENT = "before_cursor_execute"

LOST = 1000
"""Transactions that are remembered in case somebody settles their lost COMMITs."""


@dataclass
class Reading:
    """Which tables the statements of a load named."""

    tables: set[str] = field(default_factory=set)
    has_text: bool = False


_reading: ContextVar[Reading | None] = ContextVar("andamios_cache_reading", default=None)


@contextmanager
def tables_read() -> Iterator[Reading]:
    """Note the tables of all statements that run inside the block, on watched engines."""
    reading = Reading()
    token = _reading.set(reading)
    try:
        with all_statements_seen():
            yield reading
    finally:
        _reading.reset(token)


@dataclass
class Transaction:
    """
    What a transaction has touched.

    Args:
        levels: Tags of the transaction itself and of each open savepoint.
        writer: Its name on the board.
        marked: Tags that carry its mark.
        is_autocommit: Whether statements of it took effect at once.
    """

    levels: list[set[str]] = field(default_factory=lambda: [set()])
    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    marked: set[str] = field(default_factory=set)
    is_autocommit: bool = False

    @property
    def touched(self) -> set[str]:
        """All tags."""
        return set().union(*self.levels)


class Watch:
    """
    Tells a board what is written through an engine, from its making until ``end``.

    Args:
        engine: Whose writes.
        board: Who is told.
        named: Makes the name of a tag on the board.
    """

    def __init__(self, engine: AndamiosEngine, board: Board, named: Callable[[str], str]) -> None:
        self._engine = engine
        self._board = board
        self._named = named
        self._open: dict[int, Transaction] = {}
        self._lost: dict[int, Transaction] = {}
        self._listeners = {
            "savepoint": self._savepoint,
            "rollback_savepoint": self._rollback_savepoint,
            "release_savepoint": self._release_savepoint,
        }
        sync_engine = engine.async_engine.sync_engine
        for name, listener in self._listeners.items():
            event.listen(sync_engine, name, listener)
        listen(sync_engine, STATEMENT, self._execute, misses="writes")
        engine.hooks.listen(CommitStarted, self._commit)
        engine.hooks.listen(TransactionEnded, self._end)
        engine.hooks.listen(CommitSettled, self._settle)

    def end(self) -> None:
        """Listen no longer."""
        sync_engine = self._engine.async_engine.sync_engine
        for name, listener in self._listeners.items():
            event.remove(sync_engine, name, listener)
        stop(sync_engine, STATEMENT, self._execute, misses="writes")
        self._engine.hooks.remove(CommitStarted, self._commit)
        self._engine.hooks.remove(TransactionEnded, self._end)
        self._engine.hooks.remove(CommitSettled, self._settle)

    def touched_by(self, connection: Connection) -> Collection[str] | None:
        """Give the tags that a connection's transaction touched; None if it is not known."""
        number = self._engine.hooks.transaction_of(connection)
        if number is None:
            return None
        transaction = self._open.get(number)
        return transaction.touched if transaction is not None else ()

    def _execute(self, connection: Connection, *execution: Any) -> None:
        _cursor, statement, _parameters, context, _is_many = execution
        if context is None:
            return
        reading = _reading.get()
        if reading is not None and context.compiled is not None:
            facts = facts_of(context.compiled)
            reading.tables |= facts.tables
            reading.has_text |= facts.has_text
        tags = {self._named(tag) for tag in touched_tags(context, statement)}
        if tags:
            self._touch(connection, tags, commits=commits_at_once(context, statement))

    def _touch(self, connection: Connection, tags: set[str], *, commits: bool) -> None:
        number = self._engine.hooks.transaction_of(connection)
        is_autocommit = number is None or _is_autocommit(connection)
        transaction = (
            Transaction() if number is None else self._open.setdefault(number, Transaction())
        )
        transaction.levels[-1] |= tags
        if is_autocommit or commits:
            # It takes effect before anybody says COMMIT, with what came before it if it commits.
            # Its mark goes when the connection's use ends; if that is unknown, with its lease.
            transaction.is_autocommit = True
            now = transaction.touched if commits else tags
            transaction.marked |= now
            await_only(self._board.mark(transaction.writer, now))

    def _savepoint(self, connection: Connection, _name: str | None) -> None:
        transaction = self._transaction(connection, is_new=True)
        if transaction is not None:
            transaction.levels.append(set())

    def _rollback_savepoint(self, connection: Connection, *_details: Any) -> None:
        transaction = self._transaction(connection)
        if transaction is not None and len(transaction.levels) > 1:
            transaction.levels.pop()

    def _release_savepoint(self, connection: Connection, *_details: Any) -> None:
        transaction = self._transaction(connection)
        if transaction is not None and len(transaction.levels) > 1:
            released = transaction.levels.pop()
            transaction.levels[-1] |= released

    def _transaction(self, connection: Connection, *, is_new: bool = False) -> Transaction | None:
        number = self._engine.hooks.transaction_of(connection)
        if number is None:
            return None
        return self._open.setdefault(number, Transaction()) if is_new else self._open.get(number)

    def _commit(self, fact: CommitStarted) -> None:
        transaction = self._open.get(fact.transaction)
        if transaction is not None and transaction.touched:
            transaction.marked |= transaction.touched
            await_only(self._board.mark(transaction.writer, transaction.marked))

    def _end(self, fact: TransactionEnded) -> None:
        transaction = self._open.pop(fact.transaction, None)
        if transaction is None or not transaction.marked:
            return
        if fact.outcome == "unknown":
            self._lost[fact.transaction] = transaction
            if len(self._lost) > LOST:
                self._lost.pop(next(iter(self._lost)))
            return
        self._unmark(transaction, fact.outcome)

    def _settle(self, fact: CommitSettled) -> None:
        transaction = None if fact.transaction is None else self._lost.pop(fact.transaction, None)
        if transaction is not None and fact.outcome != "unknown":
            self._unmark(transaction, fact.outcome)

    def _unmark(self, transaction: Transaction, outcome: Outcome) -> None:
        changed = outcome == "committed" or transaction.is_autocommit
        await_only(self._board.unmark(transaction.writer, transaction.marked, changed=changed))


def _is_autocommit(connection: Connection) -> bool:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return True
    if connection.dialect.name == "sqlite":
        # Its driver always says so, since BEGIN is sent by hand.
        return False
    driver = connection.connection.dbapi_connection
    return driver is not None and connection.dialect.detect_autocommit_setting(driver)
