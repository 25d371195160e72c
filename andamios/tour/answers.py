"""An answer: a question, the code that asks it, and what came back."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from andamios.tour.changes import CHANGES
from andamios.tour.questions import QUESTIONS
from andamios.tour.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from andamios.core.engine import AndamiosEngine

__all__ = ["Answer", "answer", "answer_all", "show_systems"]

DIGITS = 1
"""Behind the point, of everything that is no whole number."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One table of the tour.

    Args:
        name: Of the function that asked.
        question: In words.
        code: The lines that ran.
        rows: What came back: dicts with the same keys, values as JSON has them.
    """

    name: str
    question: str
    code: str
    rows: list[dict[str, Any]]


async def answer_all(engine: AndamiosEngine) -> list[Answer]:
    """Ask every question, then make every change; each change leaves the data as it was read."""
    async with engine.session(read_only=True):
        found = [await answer(question) for question in QUESTIONS]
    return found + [await answer(change, engine) for change in CHANGES]


async def show_systems(engine: AndamiosEngine) -> list[Answer]:
    """Show what stands around the queries; most of it is times, which differ from run to run."""
    return [await answer(scene, engine) for scene in SYSTEMS]


async def answer(
    question: Callable[..., Awaitable[list[dict[str, Any]]]], *arguments: Any
) -> Answer:
    """Run a function of the tour and keep what it gave, with the lines it consists of."""
    rows = await question(*arguments)
    return Answer(
        name=question.__name__,
        question=inspect.getdoc(question) or "",
        code=_body(question),
        rows=[{key: _rounded(value) for key, value in row.items()} for row in rows],
    )


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value


def _body(function: Callable[..., Any]) -> str:
    source = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.AsyncFunctionDef)
    first = definition.body[1].lineno - 1  # after the docstring
    return textwrap.dedent("\n".join(source.splitlines()[first:]))
