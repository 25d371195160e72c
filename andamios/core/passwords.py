"""Passwords that are asked for when a connection is made, such as tokens that expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.util.concurrency import await_only

from andamios.errors import AndamiosError, ConfigurationError, ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["ask_for_password"]


def ask_for_password(engine: AsyncEngine, provider: Callable[[], Awaitable[Any]]) -> None:
    """
    Ask a provider for the password of each new connection.

    Args:
        engine: On a server.
        provider: Asynchronous; gives the password as text or as pydantic's ``SecretStr``.

    Raises:
        ConfigurationError: The provider cannot be called, or SQLite asks for no password.
    """
    if engine.dialect.name == "sqlite" or not callable(provider):
        raise ConfigurationError(
            "password_provider is an asynchronous function without arguments that gives the "
            "password, for a server that asks for one."
        )

    async def ask() -> Any:
        password = await provider()
        return getattr(password, "get_secret_value", lambda: password)()

    def connect(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
        try:
            options["password"] = await_only(ask())
        except AndamiosError:
            raise
        except Exception as error:
            raise ConnectionFailedError(
                f"The password provider failed ({type(error).__name__}); no connection was tried."
            ) from error

    event.listen(engine.sync_engine, "do_connect", connect)
