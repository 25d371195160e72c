"""
``KILL`` for statements of MySQL and MariaDB whose task was cancelled.

Their drivers close the connection of a statement that is cancelled, which the server notices
only when it answers: until then it works on, and holds its locks. So ``KILL`` is sent, over a
connection of its own, since the pool may be full; one does for all that are cancelled at the
same time.

A number means another connection on another server, and after a restart. So each connection
notes, when it is made, which server it is on and when that was started, and ``KILL`` is sent only
where both are the same. The second of the start is in each ``UUID_SHORT()`` ("Miscellaneous
Functions", MySQL Reference Manual), above the 24 bits that it counts in.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.util.concurrency import greenlet_spawn

from andamios.core.endings import Endings
from andamios.core.translation import error_code

__all__ = ["ORIGIN", "Kills", "Origin", "note_origin", "origin_of"]

ORIGIN = "CONNECTION_ID(), @@hostname, @@port, UUID_SHORT() >> 24"
"""What a connection asks when it is made, for the first two fields of an :class:`Origin`."""

UNKNOWN_THREAD = 1094
"""The number of the error for a connection that has ended by itself."""


@dataclass(frozen=True, slots=True)
class Origin:
    """
    What is known of a connection of MySQL or MariaDB.

    Args:
        thread: The server's number for it.
        server: Host name, port and start, as the server itself knows them.
        options: With which the driver was called.
    """

    thread: int
    server: tuple[str, int, int]
    options: dict[str, Any] = field(repr=False, compare=False)


_origins: weakref.WeakKeyDictionary[Any, Origin] = weakref.WeakKeyDictionary()


def note_origin(driver_connection: Any, origin: Origin) -> None:
    """Remember where a connection of the driver came from."""
    _origins[driver_connection] = origin


def origin_of(driver_connection: Any) -> Origin | None:
    """Tell where a connection of the driver came from; None if the server would not say."""
    return _origins.get(driver_connection)


class Kills(Endings[Origin]):
    """
    Sends ``KILL`` for an engine.

    Args:
        dialect: The engine's.
    """

    def __init__(self, dialect: Any) -> None:
        super().__init__()
        self._dialect = dialect

    def victim_of(self, driver_connection: Any) -> Origin | None:
        """Tell which connection it is for the server."""
        return origin_of(driver_connection)

    def address_of(self, victim: Origin) -> tuple[Any, ...]:
        """Tell where the driver connected to."""
        return tuple(victim.options.get(name) for name in ("host", "port", "unix_socket"))

    async def end_all(self, first: Origin) -> None:
        """End all that came from one address; later ones are served by the same connection."""
        await greenlet_spawn(self._end_all, first)

    def _end_all(self, first: Origin) -> None:
        connection = self._connect(first.options)
        try:
            here = origin_of(connection.driver_connection)
            while victim := self.next_at(self.address_of(first)):
                if here is not None and here.server == victim.server:
                    self._end(connection, victim)
                self.remove(victim)
        finally:
            self._dialect.do_terminate(connection)

    def _connect(self, known: dict[str, Any]) -> Any:
        """Connect as the pool does, with a new password where a provider gives it."""
        options = dict(known)
        for listener in self._dialect.dispatch.do_connect:
            connection = listener(self._dialect, None, [], options)
            if connection is not None:
                return connection
        return self._dialect.connect(**options)

    def _end(self, connection: Any, victim: Origin) -> None:
        try:
            connection.cursor().execute(f"KILL {victim.thread:d}")
        except self._dialect.loaded_dbapi.Error as error:
            if error_code(error) != UNKNOWN_THREAD:
                raise
