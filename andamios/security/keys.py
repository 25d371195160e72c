"""Keys for encrypted files: made here, read from the environment or from a private file."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from andamios.errors import ConfigurationError, MissingDependencyError

__all__ = [
    "KEY_FILE_VARIABLE",
    "KEY_VARIABLE",
    "create_key_file",
    "generate_key",
    "read_key_file",
    "read_keys",
]

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
    text = _from_environment() if text is None else text
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


def read_key_file(path: str | os.PathLike[str]) -> SecretStr:
    """
    Read the key that :func:`create_key_file` wrote.

    Raises:
        ConfigurationError: It cannot be read, or others than its owner may read it.
    """
    name = os.fspath(path)
    try:
        if Path(path).stat().st_mode & OTHERS:
            raise ConfigurationError(f"Others may read the key in {name}. Run: chmod 600 {name}")
        return SecretStr(Path(path).read_text().strip())
    except OSError as error:
        raise ConfigurationError(f"The key file {name} cannot be read: {error.strerror}") from None


def _from_environment() -> str:
    key, file = os.environ.get(KEY_VARIABLE), os.environ.get(KEY_FILE_VARIABLE)
    if not key and not file:
        raise ConfigurationError(
            f"There is no key for secrets: set {KEY_VARIABLE}, or {KEY_FILE_VARIABLE} to the "
            "path of a file."
        )
    return key or read_key_file(file or "").get_secret_value()
