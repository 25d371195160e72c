"""Options that several commands have, and the engine that they mean."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sqlalchemy import MetaData

from andamios.core.engine import AndamiosEngine
from andamios.errors import ConfigurationError
from andamios.models.base import BaseModel

if TYPE_CHECKING:
    from sqlalchemy.orm import DeclarativeBase

__all__ = [
    "SECRETS",
    "SECRETS_VARIABLE",
    "AsJson",
    "DatabaseUrl",
    "Models",
    "engine_of",
    "import_models",
    "import_name",
]

PREFIX = "secret:"

SECRETS, SECRETS_VARIABLE = "andamios-secrets", "ANDAMIOS_SECRETS_FILE"
"""The file of secrets, and what names another one."""

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="The database, or secret:NAME for what 'andamios secrets' keeps; default: "
        "ANDAMIOS_DATABASE_URL.",
        show_default=False,
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

Models = Annotated[
    str | None,
    typer.Option(
        help="Where the models are, for instance shop.models, or shop.models:Base for a base of "
        "one's own.",
        show_default=False,
    ),
]


def engine_of(url: str | None) -> AndamiosEngine:
    """
    Build the engine that a command works with.

    Args:
        url: What the option says; None: what the environment says.

    Raises:
        ConfigurationError: Nothing says where the database is.
    """
    url = url or os.environ.get("ANDAMIOS_DATABASE_URL")
    if not url:
        raise ConfigurationError(
            "Which database? Pass --database-url, or set ANDAMIOS_DATABASE_URL."
        )
    if url.startswith(PREFIX):
        return AndamiosEngine(_stored(url.removeprefix(PREFIX)), pool_size=2)
    return AndamiosEngine.from_env({**os.environ, "ANDAMIOS_DATABASE_URL": url})


def import_name(where: str) -> Any:
    """
    Import what ``module:name`` means, as a program in this folder would.

    Raises:
        ConfigurationError: There is no such module or name.
    """
    module_name, _, name = where.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
        return getattr(module, name) if name else module
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"Cannot import {where!r}: {error}. Write module:name, and run it where the program is."
        ) from error


def import_models(where: str | None) -> MetaData | type[DeclarativeBase]:
    """
    Import the module of the models.

    Args:
        where: A module, or a module and a base or MetaData in it, behind a colon.

    Returns:
        The base or MetaData; ``BaseModel`` where none is named.

    Raises:
        ConfigurationError: It cannot be imported, or is something else.
    """
    if where is None:
        return BaseModel
    found = import_name(where)
    base: MetaData | type[DeclarativeBase] = found if ":" in where else BaseModel
    if not isinstance(base, MetaData) and not hasattr(base, "metadata"):
        raise ConfigurationError(f"{where!r} is neither a declarative base nor a MetaData.")
    return base


def _stored(name: str) -> str:
    from andamios.security.credentials import CredentialsFile  # noqa: PLC0415  needs an extra

    file = CredentialsFile(os.environ.get(SECRETS_VARIABLE, SECRETS))
    return file.get(name).get_secret_value()
