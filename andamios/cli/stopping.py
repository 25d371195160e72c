"""How a command ends when it does not end well: one line, and a code that says why."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from andamios.errors import AndamiosError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

__all__ = ["FAILED", "INTERRUPTED", "TERMINATED", "one_line_errors", "stopped_by_signals"]

FAILED, INTERRUPTED, TERMINATED = 2, 130, 143

T = TypeVar("T")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """
    Say in one line on stderr what went wrong, and leave.

    Raises:
        SystemExit: With 2 for an error, 130 for Ctrl-C, 143 for a request to end.
    """
    try:
        yield
    except AndamiosError as error:
        _leave(FAILED, f"Error: {error}")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _leave(FAILED, f"Error: {error.strerror or error}{where}")
    except KeyboardInterrupt:
        _leave(INTERRUPTED, "Interrupted. What was not committed is undone.")
    except asyncio.CancelledError:
        _leave(TERMINATED, "Terminated. What was not committed is undone.")


async def stopped_by_signals(main: Coroutine[Any, Any, T]) -> T:
    """
    Run a coroutine that a request to end cancels, as Ctrl-C does, so that it can clean up.

    Raises:
        asyncio.CancelledError: There was such a request.
    """
    task = asyncio.current_task()
    assert task is not None
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), task.cancel)
    return await main


def _leave(code: int, message: str) -> None:
    sys.stderr.write(" ".join(message.split()) + "\n")
    raise SystemExit(code)
