"""
Where in a program something was asked for, kept cheaply and told only when it matters.

SQLAlchemy runs its synchronous half in a greenlet, whose own frames say nothing about the
program; those of the greenlet that waits for it do.
"""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import greenlet
import sqlalchemy

if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["Stack", "format_stack", "stack_of_caller"]

DEPTH = 30
"""Frames that are kept, counted from the innermost one."""

Stack: TypeAlias = "tuple[tuple[CodeType, int], ...]"
"""Code of each frame and the instruction it is at, innermost first; lines cost more."""

_LIBRARIES = (
    f"{Path(__file__).parents[1]}{os.sep}",
    f"{Path(sqlalchemy.__file__).parent}{os.sep}",
    f"{Path(asyncio.__file__).parent}{os.sep}",
    contextlib.__file__,
)
"""Where code lies that is nobody's own line."""


def stack_of_caller() -> Stack:
    """Remember who called, at the cost of a few microseconds."""
    parent = greenlet.getcurrent().parent
    # In SQLAlchemy's greenlet the caller is outside of it.
    frame: FrameType | None = sys._getframe(1) if parent is None else parent.gr_frame  # noqa: SLF001
    kept: list[tuple[CodeType, int]] = []
    while frame is not None and len(kept) < DEPTH:
        kept.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return tuple(kept)


def format_stack(stack: Stack) -> str:
    """
    Write a stack as Python writes tracebacks: outermost first, with the lines of source.

    Frames of Andamios, SQLAlchemy and asyncio are left out, unless there are no others.
    """
    users = [each for each in stack if not each[0].co_filename.startswith(_LIBRARIES)]
    return "\n".join(_format(*each) for each in reversed(users or stack))


def _format(code: CodeType, instruction: int) -> str:
    line = next((line for start, end, line in code.co_lines() if start <= instruction < end), None)
    source = linecache.getline(code.co_filename, line or 0).strip()
    return f'  File "{code.co_filename}", line {line}, in {code.co_name}\n    {source}'
