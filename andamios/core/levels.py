"""
Setting a connection's isolation level, and putting it back, when it is lost in that very moment.

MySQL is sent the level when a connection is taken out, before there is anything that SQLAlchemy
would clean up after, and the old one when it returns to the pool, after the transaction is over.
What goes wrong with the first is an error like any other, and the place in the pool is free
again. What goes wrong with the second says nothing about the transaction: raised from
``commit()``, it would make a COMMIT that happened look like one that failed. So the connection is
hung up, and the next check-out replaces it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from andamios.core.hooks import cancel_again
from andamios.core.ping import hang_up
from andamios.core.pool import LivePool
from andamios.core.translation import translate

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect, Engine

__all__ = ["survive_lost_levels"]

log = logging.getLogger("andamios.pool")


def survive_lost_levels(engine: Engine) -> None:
    """Leave nothing behind where an engine's connection is lost while its level is set."""
    dialect = engine.dialect
    _give_back_at_once(engine, dialect)
    _forgive_on_return(dialect)


def _give_back_at_once(engine: Engine, dialect: Dialect) -> None:
    set_isolation_level = dialect.set_isolation_level

    def set_level(connection: Any, level: Any) -> None:
        try:
            set_isolation_level(connection, level)
        except BaseException as error:
            hang_up(connection.driver_connection)
            if isinstance(engine.pool, LivePool):
                engine.pool.give_up(connection)
            if not isinstance(error, dialect.loaded_dbapi.Error):
                raise
            is_lost = dialect.is_disconnect(error, connection, None)
            raise (translate(error, is_disconnect=is_lost) or error) from error

    # Of this dialect alone, which no other engine has.
    dialect.set_isolation_level = set_level  # type: ignore[method-assign, assignment]


def _forgive_on_return(dialect: Dialect) -> None:
    reset_isolation_level = dialect.reset_isolation_level

    def reset_level(connection: Any) -> None:
        try:
            reset_isolation_level(connection)
        except asyncio.CancelledError:
            cancel_again()
        except Exception as error:  # noqa: BLE001  whatever it is, nobody can use it any more
            log.info("A connection was lost on its way back to the pool: %s", type(error).__name__)

    dialect.reset_isolation_level = reset_level  # type: ignore[method-assign, assignment]
