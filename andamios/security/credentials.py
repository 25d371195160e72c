"""Connection strings, encrypted at rest."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from andamios.errors import ConfigurationError
from andamios.security.keys import read_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CredentialsFile"]


class CredentialsFile:
    """
    A file of connection strings by name, encrypted as a whole.

    Encrypted with Fernet (AES-128 in CBC mode, authenticated with HMAC-SHA256; see the
    "Fernet Spec"), so that a changed file is refused like a wrong key. Its methods read and
    write the file: inside of a task, call them with ``asyncio.to_thread``. One process may
    write at a time.

    Args:
        path: The file; the first ``add`` makes it, for its owner only.
        key: From :func:`generate_key`; several with commas between while keys are being
            changed. None means ``ANDAMIOS_SECRETS_KEY``, or the file that
            ``ANDAMIOS_SECRETS_KEY_FILE`` names.

    Example:
        >>> import tempfile
        >>> from andamios.security import CredentialsFile, generate_key
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     secrets = CredentialsFile(f"{folder}/secrets", key=generate_key())
        ...     secrets.add("main", "postgresql://app:pw@db.example/shop")
        ...     print(secrets.names(), secrets.get("main"))
        ['main'] **********
    """

    def __init__(self, path: str | os.PathLike[str], *, key: str | SecretStr | None = None) -> None:
        self._path = Path(path)
        self._key = SecretStr(key) if isinstance(key, str) else key

    def names(self) -> list[str]:
        """List the names, sorted."""
        return sorted(self._read())

    def get(self, name: str) -> SecretStr:
        """
        Read a connection string.

        Returns:
            The string, whose text is hidden; ``get_secret_value()`` shows it.

        Raises:
            ConfigurationError: There is no such name, or the key does not fit.
        """
        return SecretStr(self._find(name, self._read()))

    def add(self, name: str, url: str | SecretStr, *, replace: bool = False) -> None:
        """
        Keep a connection string.

        Args:
            name: What to find it by.
            url: The string.
            replace: Whether one of that name may be there already.

        Raises:
            ConfigurationError: There is one, or the key does not fit.
        """
        found = self._read()
        if name in found and not replace:
            raise ConfigurationError(f"{self._path} has a {name!r} already: pass replace=True.")
        text = url.get_secret_value() if isinstance(url, SecretStr) else url
        self._write({**found, name: text}, self._key)

    def remove(self, name: str) -> None:
        """
        Forget a connection string.

        Raises:
            ConfigurationError: There is no such name, or the key does not fit.
        """
        found = self._read()
        self._find(name, found)
        self._write({key: url for key, url in found.items() if key != name}, self._key)

    def rotate(self, new_key: str | SecretStr) -> None:
        """
        Encrypt everything with another key, which this object uses from now on.

        The file is replaced in one step: it is under the old key, or under the new one.

        Raises:
            ConfigurationError: The old key does not fit, or the new one is no key.
        """
        key = SecretStr(new_key) if isinstance(new_key, str) else new_key
        self._write(self._read(), key)
        self._key = key

    def _find(self, name: str, found: Mapping[str, str]) -> str:
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise ConfigurationError(f"{self._path} has no {name!r}. There are: {known}.")
        return found[name]

    def _read(self) -> dict[str, str]:
        keys = read_keys(self._key)
        invalid = importlib.import_module("cryptography.fernet").InvalidToken
        try:
            found: dict[str, str] = json.loads(keys.decrypt(self._path.read_bytes()))
        except FileNotFoundError:
            return {}
        except invalid:
            raise ConfigurationError(
                f"{self._path} cannot be decrypted: the key is wrong, or the file was changed."
            ) from None
        return found

    def _write(self, content: dict[str, str], key: SecretStr | None) -> None:
        token: bytes = read_keys(key).encrypt(json.dumps(content).encode())
        # Such a file is for its owner only, from its first moment.
        number, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(token)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(self._path.parent)

    def __repr__(self) -> str:
        return f"CredentialsFile({os.fspath(self._path)!r})"


def _sync_folder(folder: Path) -> None:
    """Make the new name last, where a folder can be opened."""
    flags: Any = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    number = os.open(folder, os.O_RDONLY | flags)
    try:
        os.fsync(number)
    finally:
        os.close(number)
