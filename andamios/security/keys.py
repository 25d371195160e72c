"""Keys for encrypted files: made here, read from the environment or from a private file."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from andamios.errors import ConfigurationError, MissingDependencyError

__all__ = ["KEY_FILE_VARIABLE", "KEY_VARIABLE", "create_key_file", "generate_key", "read_keys"]

KEY_VARIABLE = "ANDAMIOS_SECRETS_KEY"
KEY_FILE_VARIABLE = "ANDAMIOS_SECRETS_KEY_FILE"

OTHERS = 0o077
"""The bits of a file's mode that let anybody but its owner in."""


def generate_key() -> SecretStr:
    """
    Make a new random key.

    Returns:
        The key, whose text is hidden; ``get_secret_value()`` shows it.

    Raises:
        MissingDependencyError: cryptography is not installed.

    Example:
        >>> from andamios.security import generate_key
        >>> print(generate_key())
        **********
    """
    return SecretStr(fernet_module().Fernet.generate_key().decode())


def create_key_file(path: str | os.PathLike[str]) -> None:
    """
    Make a new key and write it to a new file that only its owner may read.

    Raises:
        ConfigurationError: The file is there already; a lost key opens nothing any more.
    """
    key = generate_key().get_secret_value()
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{os.fspath(path)} is there already, and is kept.") from None
    with os.fdopen(number, "w") as file:
        file.write(f"{key}\n")


def read_keys(given: str | SecretStr | None) -> Any:
    """
    Find the keys and build what encrypts with them.

    Args:
        given: One key, or several with commas between: the first one encrypts, all of them
            decrypt. None means the environment.

    Returns:
        cryptography's ``MultiFernet``.

    Raises:
        ConfigurationError: There is no key, it is none, or others may read its file.
        MissingDependencyError: cryptography is not installed.
    """
    module = fernet_module()
    text = given.get_secret_value() if isinstance(given, SecretStr) else given
    text = text or os.environ.get(KEY_VARIABLE) or _read_file(os.environ.get(KEY_FILE_VARIABLE))
    try:
        return module.MultiFernet([module.Fernet(key.strip()) for key in text.split(",")])
    except ValueError:
        raise ConfigurationError(
            "A key for secrets is 32 bytes in URL-safe base64, as generate_key() makes it."
        ) from None


def fernet_module() -> Any:
    """Import cryptography's Fernet."""
    try:
        return importlib.import_module("cryptography.fernet")
    except ModuleNotFoundError:
        raise MissingDependencyError("cryptography", "security") from None


def _read_file(name: str | None) -> str:
    if not name:
        raise ConfigurationError(
            f"There is no key for secrets: set {KEY_VARIABLE}, or {KEY_FILE_VARIABLE} to the "
            "path of a file."
        )
    path = Path(name)
    try:
        if path.stat().st_mode & OTHERS:
            raise ConfigurationError(f"Others may read the key in {name}. Run: chmod 600 {name}")
        return path.read_text()
    except OSError as error:
        raise ConfigurationError(f"The key file {name} cannot be read: {error.strerror}") from None
