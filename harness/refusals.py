"""
What drivers say when a server lets nobody in, as plain words.

They wrap one reason in numbers, brackets and tuples, each in another way.
"""

import contextlib
import os
from collections.abc import Iterator

__all__ = ["refusal"]


def refusal(error: BaseException) -> str:
    """
    Say in plain words why a connection failed.

    Args:
        error: What the driver raised.

    Returns:
        One line without the driver's own brackets, such as `Connection refused`.
    """
    for link in _chain(error):
        if isinstance(link, TimeoutError):
            return "it gave no answer in time"
        if isinstance(link, OSError) and link.errno is not None:
            # The system's own words, as asyncio puts the address in their place.
            return os.strerror(link.errno) if link.errno > 0 else str(link.strerror)
        if type(link) is OSError:
            return f"none of its addresses can be reached ({_plain(link)})"
    return _plain(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _plain(error: BaseException) -> str:
    texts = [argument for argument in error.args if isinstance(argument, str) and argument]
    text = texts[-1] if texts else ""
    with contextlib.suppress(Exception):
        text = " ".join((text or str(error)).split())
    return text.rstrip(".") or type(error).__name__
