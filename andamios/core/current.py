"""
The session of this task: what a query or a repository uses that was given none.

A context variable alone would be wrong: child tasks inherit it and would then share one
connection. So each entry also knows the task that owns it, and another task is refused.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from andamios.errors import SessionTaskError

if TYPE_CHECKING:
    from andamios.core.session import AsyncSession

__all__ = ["current_session", "enter", "leave"]


@dataclass(slots=True)
class Entry:
    """One session on the stack of a context."""

    session: AsyncSession
    owner: asyncio.Task[object] | None
    previous: Entry | None
    is_open: bool = field(default=True)


_stack: ContextVar[Entry | None] = ContextVar("andamios_session", default=None)


def enter(session: AsyncSession) -> Entry:
    """
    Make a session the current one of this task.

    Outside of any task, the first task that asks becomes the owner.
    """
    entry = Entry(session, _this_task(), _stack.get())
    _stack.set(entry)
    return entry


def leave(entry: Entry) -> None:
    """End what :func:`enter` began; also from another context, as pytest fixtures do."""
    entry.is_open = False
    if _stack.get() is entry:
        _stack.set(entry.previous)


def current_session() -> AsyncSession:
    """
    Give the session that the innermost ``async with engine.session()`` of this task opened.

    Returns:
        The session.

    Raises:
        SessionTaskError: No session is open, or it belongs to another task.
    """
    entry = _stack.get()
    while entry is not None and not entry.is_open:
        entry = entry.previous
    if entry is None:
        raise SessionTaskError(
            "No session is open in this task. Open one with 'async with engine.session():', "
            "or pass a session or an engine, as in QueryBuilder(User, session)."
        )
    _adopt(entry)
    return entry.session


def _adopt(entry: Entry) -> None:
    task = _this_task()
    if entry.owner is None or (entry.owner is not task and entry.owner.done()):
        entry.owner = task
    elif entry.owner is not task:
        raise SessionTaskError(
            f"The open session belongs to {entry.owner.get_name()}, and this is "
            f"{task.get_name() if task else 'no task'}. create_task, gather and (on Python 3.11) "
            "wait_for start tasks of their own: use asyncio.timeout instead of wait_for, open a "
            "session in each task, or hand this one over with 'with session.as_current():'."
        )


def _this_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
