"""The event loop: uvloop where it exists, and the one switch that chooses it."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["prefer_uvloop", "run"]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """
    Run a coroutine to its end, on uvloop where it is installed.

    Args:
        main: The coroutine.
        debug: asyncio's debug mode; None leaves it to the environment.

    Returns:
        What the coroutine returned.

    Example:
        >>> import andamios
        >>> async def main() -> int:
        ...     return 42
        >>> andamios.run(main())
        42
    """
    with asyncio.Runner(debug=debug, loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def prefer_uvloop() -> None:
    """
    Make uvloop the process's event loop, if nothing else was chosen and no loop runs.

    The one process-wide switch of Andamios: an engine calls it once, so that a plain
    ``asyncio.run`` is as fast as :func:`run`. From Python 3.14 policies are on their way
    out, and only :func:`run` uses uvloop.
    """
    if sys.version_info >= (3, 14) or _loop_factory() is None or _loop_is_running():
        return
    import uvloop  # noqa: PLC0415  only where it exists, and only when wanted

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        chosen = type(asyncio.get_event_loop_policy())
        if chosen is asyncio.DefaultEventLoopPolicy:
            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if os.environ.get("ANDAMIOS_UVLOOP", "1") == "0":
        return None
    try:
        import uvloop  # noqa: PLC0415  only where it exists
    except ImportError:
        return None
    return uvloop.new_event_loop


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
