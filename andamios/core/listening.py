"""
Listening to an engine's events, and knowing who else does.

A statement that takes the short way (``andamios.plans``) raises none of SQLAlchemy's events.
Core and the layers above listen through here, and say what they miss then: nothing, or only
writes. Everybody else, such as an instrumentation, is to see every statement: while somebody
else listens, all take the long way. Likewise a stranger who wants to know of connections that
are taken may use them, for which it takes SQLAlchemy's greenlet.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy.engine import Engine

__all__ = [
    "all_statements_seen",
    "is_every_statement_seen",
    "is_pool_ours",
    "listen",
    "statement_listeners",
    "stop",
    "stranger_to_statements",
]

POOL_EVENTS = ("checkout", "checkin", "reset")

STATEMENT_EVENTS = (
    *("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute"),
    *("begin", "commit", "rollback"),
)
DRIVER_EVENTS = ("do_execute", "do_executemany", "do_execute_no_params", "handle_error")

Misses = Literal["nothing", "writes"]

_known: weakref.WeakKeyDictionary[Engine, dict[tuple[str, Misses], int]] = (
    weakref.WeakKeyDictionary()
)
_known_pools: weakref.WeakKeyDictionary[Engine, tuple[tuple[int, ...], bool]] = (
    weakref.WeakKeyDictionary()
)
_changes = [0]
"""How often one of us began or ended to listen: a stranger may have come in the same moment."""

_seen: ContextVar[bool] = ContextVar("andamios_statements_seen", default=False)


def listen(
    engine: Engine,
    name: str,
    listener: Callable[..., Any],
    *,
    misses: Misses = "nothing",
    **options: Any,
) -> None:
    """
    Listen to an event of an engine or its pool.

    Args:
        engine: Whose events.
        name: SQLAlchemy's name of it.
        listener: Called as SQLAlchemy says.
        misses: What must not take the short way: nothing of it matters, or writes do.
        options: SQLAlchemy's.
    """
    event.listen(engine, name, listener, **options)
    _count(engine, name, misses, 1)


def stop(
    engine: Engine, name: str, listener: Callable[..., Any], *, misses: Misses = "nothing"
) -> None:
    """End what :func:`listen` began."""
    event.remove(engine, name, listener)
    _count(engine, name, misses, -1)


def _count(engine: Engine, name: str, misses: Misses, step: int) -> None:
    counts = _known.setdefault(engine, {})
    counts[name, misses] = counts.get((name, misses), 0) + step
    _changes.append(_changes.pop() + 1)


@contextmanager
def all_statements_seen() -> Iterator[None]:
    """Let every statement of this block be seen by who listens."""
    token = _seen.set(True)
    try:
        yield
    finally:
        _seen.reset(token)


is_every_statement_seen = _seen.get
"""Whether a block of :func:`all_statements_seen` is open."""


def statement_listeners(engine: Engine) -> tuple[int, ...]:
    """Count who listens to statements, quickly; spelled out, since every statement asks."""
    dispatch: Any = engine.dispatch
    driver: Any = engine.dialect.dispatch
    return (
        len(dispatch.before_cursor_execute),
        len(dispatch.after_cursor_execute),
        len(dispatch.before_execute),
        len(dispatch.after_execute),
        len(dispatch.begin),
        len(dispatch.commit),
        len(dispatch.rollback),
        len(driver.handle_error),
        len(driver.do_execute),
        len(driver.do_executemany),
        len(driver.do_execute_no_params),
        *_changes,
    )


def is_pool_ours(engine: Engine) -> bool:
    """Whether nobody else wants to see connections that are taken and returned."""
    dispatch: Any = engine.pool.dispatch
    heard = (
        len(dispatch.checkout),
        len(dispatch.checkin),
        len(dispatch.reset),
        len(engine.dispatch.engine_connect),
        *_changes,
    )
    known = _known_pools.get(engine)
    if known is None or known[0] != heard:
        stranger = _stranger(engine, dispatch, POOL_EVENTS, writes=False)
        is_ours = stranger is None and not engine.dispatch.engine_connect
        known = _known_pools[engine] = heard, is_ours
    return known[1]


def stranger_to_statements(engine: Engine, *, writes: bool) -> str | None:
    """
    Find an event of statements at which somebody listens who must see all of them.

    Args:
        engine: Whose statements.
        writes: Whether it is about writes.

    Returns:
        The event's name, or None.
    """
    return _stranger(engine, engine.dispatch, STATEMENT_EVENTS, writes=writes) or _stranger(
        engine, engine.dialect.dispatch, DRIVER_EVENTS, writes=writes
    )


def _stranger(engine: Engine, dispatch: Any, names: Iterable[str], *, writes: bool) -> str | None:
    counts = _known.get(engine, {})
    for name in names:
        heard = len(getattr(dispatch, name))
        if heard:
            expected = counts.get((name, "nothing"), 0)
            if not writes:
                expected += counts.get((name, "writes"), 0)
            if heard != expected:
                return name
    return None
