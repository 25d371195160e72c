"""What is repeated must be the whole: refusing to repeat within an open transaction."""

from __future__ import annotations

from andamios.core.current import current_session
from andamios.errors import SessionTaskError, TransactionError

__all__ = ["require_outermost"]


def require_outermost(what: str) -> None:
    """
    Refuse work that may be repeated while a session of this task is open.

    A database that refuses a transaction rolls all of it back. To repeat only the last
    part would lose what was done before, without a word.

    Args:
        what: The name of the call, for the message.

    Raises:
        TransactionError: A session of this task is open.
    """
    try:
        current_session()
    except SessionTaskError:
        return
    raise TransactionError(
        f"{what} inside an open session could repeat only a part of its transaction. Call it "
        "outside of 'async with engine.session()', and do all of the work in the function that "
        "it is given; for a part that may fail alone, use savepoint()."
    )
