"""
Where in a program something was asked for, kept cheaply and told only when it matters.

SQLAlchemy runs its synchronous half in a greenlet, whose own frames say nothing about the
program; those of the greenlet that waits for it do.
"""

from __future__ import annotations

import asyncio
import linecache
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import greenlet
import sqlalchemy

if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["Stack", "format_stack", "stack_of_caller", "user_lines"]

DEPTH = 30
"""Frames that are kept, counted from the innermost one."""

Stack: TypeAlias = "tuple[tuple[CodeType, int], ...]"
"""Code and line number of each frame, innermost first."""

_LIBRARIES = tuple(
    str(Path(path)) + "/"
    for path in (
        Path(__file__).parents[1],
        Path(sqlalchemy.__file__).parent,
        Path(asyncio.__file__).parent,
    )
)
_CONTEXTLIB = str(Path(sysconfig.get_path("stdlib")) / "contextlib.py")


def stack_of_caller() -> tuple[Stack, str | None]:
    """
    Remember who called, in a few microseconds.

    Returns:
        The stack, and the name of the task.
    """
    parent = greenlet.getcurrent().parent
    frame: FrameType | None = parent.gr_frame if parent is not None else None
    kept: list[tuple[CodeType, int]] = []
    while frame is not None and len(kept) < DEPTH:
        kept.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    task = asyncio.current_task()
    return tuple(kept), task.get_name() if task is not None else None


def user_lines(stack: Stack) -> Stack:
    """Leave out the frames of Andamios, SQLAlchemy and asyncio."""
    return tuple(
        (code, line)
        for code, line in stack
        if not code.co_filename.startswith(_LIBRARIES) and code.co_filename != _CONTEXTLIB
    )


def format_stack(stack: Stack) -> str:
    """Write a stack as Python writes tracebacks: outermost first, with the lines of source."""
    return "\n".join(
        f'  File "{code.co_filename}", line {line}, in {code.co_name}\n'
        f"    {linecache.getline(code.co_filename, line).strip()}"
        for code, line in reversed(user_lines(stack) or stack)
    )
