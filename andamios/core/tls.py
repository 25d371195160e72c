"""
TLS: whether the way to the server is encrypted, and whose certificate is believed.

=============  ==================================================================
``verify``     encrypted; the certificate's chain and name are checked. The default
               for every host but this one
``encrypt``    encrypted, for whoever answers: safe against listeners only
``disable``    plain text; the default for the loopback and for local sockets
=============  ==================================================================

The driver is always told, so that none negotiates on its own and falls back to plain text.
What libpq and MySQL write in URLs is translated: ``allow`` and ``prefer`` become
``encrypt``, ``verify-ca`` is ``verify`` without the name, and ``require`` is ``verify-ca``
when it comes with a CA, as in libpq ("SSL Support", PostgreSQL documentation).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.util.concurrency import await_only

from andamios.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.engine import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["TLS", "explain", "secure", "take_tls", "tls_of"]

OPTIONS = ("tls", "tls_ca", "tls_cert", "tls_key")

SPELLINGS = {
    # Without "_" and "-", since MySQL's clients write both.
    **dict.fromkeys(("tls", "ssl", "sslmode"), "tls"),
    **dict.fromkeys(("tlsca", "sslca", "sslrootcert"), "tls_ca"),
    **dict.fromkeys(("tlscert", "sslcert"), "tls_cert"),
    **dict.fromkeys(("tlskey", "sslkey"), "tls_key"),
}

MODES = {
    **dict.fromkeys(("disable", "disabled", "false"), "disable"),
    **dict.fromkeys(("encrypt", "allow", "prefer", "preferred"), "encrypt"),
    **dict.fromkeys(("require", "required"), "require"),
    "verify-ca": "verify-ca",
    **dict.fromkeys(("verify", "verify-full", "verify-identity", "true"), "verify"),
}

_decided: weakref.WeakKeyDictionary[Engine, TLS] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class TLS:
    """
    What was decided for one engine.

    Args:
        mode: ``verify``, ``encrypt`` or ``disable``.
        ca: File with the certificates to believe; None means those of the system.
        cert: File with the client's certificate.
        key: File with its key, where the certificate's file has none.
        checks_name: Whether the certificate must be for that very host.

    Example:
        >>> from andamios.core.tls import TLS
        >>> TLS("encrypt").context().verify_mode.name
        'CERT_NONE'
    """

    mode: str
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    checks_name: bool = True

    def context(self) -> ssl.SSLContext | bool:
        """
        Read the files and build what drivers take. Blocks.

        Returns:
            The context; False for plain text.

        Raises:
            ConfigurationError: A file is missing, or is no certificate or key.
        """
        if self.mode == "disable":
            return False
        try:
            return self._context()
        except (OSError, ssl.SSLError) as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            files = ", ".join(file for file in (self.ca, self.cert, self.key) if file)
            raise ConfigurationError(
                f"TLS cannot use {files or 'the certificates of the system'} ({reason}). tls_ca, "
                "tls_cert and tls_key are files in PEM format, and the key has no passphrase."
            ) from None

    def _context(self) -> ssl.SSLContext:
        if self.mode == "encrypt":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = ssl.create_default_context(cafile=self.ca)
            context.check_hostname = self.checks_name
        if self.cert:
            # Without a password, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.cert, self.key, password="")
        return context


def take_tls(
    url: URL, options: dict[str, Any], arguments: Mapping[str, Any]
) -> tuple[URL, TLS | None]:
    """
    Take everything about TLS out of a URL and of an engine's options.

    Args:
        url: Where the engine connects to.
        options: Of the engine; ``tls`` and its kin are removed. None is as if left out.
        arguments: For the driver, which may name another host.

    Returns:
        The URL without what was taken, and the decision; None when there is nothing to
        decide: on SQLite, or when ``connect_args`` holds what the driver itself takes.

    Raises:
        ConfigurationError: Unknown words, or words that contradict each other.
    """
    given = {key: options.pop(key, None) for key in OPTIONS}
    written = [(key, value) for key, value in given.items() if value is not None]
    if url.get_backend_name() == "sqlite":
        if any(pair != ("tls", "disable") for pair in written):
            raise ConfigurationError("SQLite is a file on this machine: leave out tls.")
        return url, None
    spelled = [key for key in url.query if _is_about_tls(key)]
    written += [(key, url.query[key]) for key in spelled]
    url = url.difference_update_query(spelled)
    if "ssl" not in arguments:
        return url, _decide(_read(written), _hosts(url, arguments))
    if written:
        raise ConfigurationError("TLS is set twice, also in connect_args. Keep the option tls=.")
    return url, None


def secure(engine: AsyncEngine, tls: TLS) -> None:
    """
    Hand an engine's driver what was decided, with each connection.

    Files are read when the first connection is made, and not again.
    """
    _decided[engine.sync_engine] = tls
    known: list[ssl.SSLContext | bool] = []

    def connect(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
        if not known:
            known.append(await_only(asyncio.to_thread(tls.context)))
        options["ssl"] = known[0]

    event.listen(engine.sync_engine, "do_connect", connect)


def tls_of(engine: AsyncEngine) -> TLS | None:
    """Give what was decided for an engine; None where :func:`take_tls` decided nothing."""
    return _decided.get(engine.sync_engine)


def explain(error: BaseException) -> str | None:
    """
    Say how TLS failed and what to do.

    Args:
        error: Why no connection could be made, although it was to be encrypted.

    Returns:
        Sentences; None when TLS was not the reason.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"TLS: the server's certificate cannot be trusted ({cause.verify_message}). Name "
                "the authority that signed it with tls_ca='ca.pem', or, where nobody can step in "
                "between, do without proof with tls='encrypt'."
            )
        if isinstance(cause, ssl.SSLError):
            return f"TLS: the handshake failed ({cause.reason}). Does the server speak TLS?"
        if type(cause) is ConnectionError:  # what asyncpg raises, and our own for MySQL
            return (
                "TLS: the server offers none, or hung up, so no password was sent. Turn TLS on "
                "at the server; tls='disable' would send all in plain text."
            )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_about_tls(key: str) -> bool:
    return key.lower().startswith(("ssl", "tls"))


def _read(written: list[tuple[str, Any]]) -> dict[str, str]:
    """Translate what was written, by the name of our own option."""
    found: dict[str, str] = {}
    for key, value in written:
        option = SPELLINGS.get(key.lower().replace("_", "").replace("-", ""))
        if option is None:
            raise ConfigurationError(f"Unknown option {key!r}. For TLS: {', '.join(OPTIONS)}.")
        text = _mode(key, value) if option == "tls" else os.fspath(value)
        if found.setdefault(option, text) != text:
            raise ConfigurationError(f"{key!r} and another option contradict each other on TLS.")
    return found


def _mode(key: str, value: object) -> str:
    mode = MODES.get(value.lower().replace("_", "-")) if isinstance(value, str) else None
    if mode is None:
        raise ConfigurationError(
            f"{key!r} is 'verify', 'encrypt' or 'disable', or as sslmode: disable, prefer, "
            "require, verify-ca, verify-full."
        )
    return mode


def _decide(found: dict[str, str], hosts: list[str]) -> TLS:
    ca, cert, key = (found.get(option) for option in OPTIONS[1:])
    mode = found.get("tls")
    if mode is None:
        is_local = all(_is_socket(host) or _is_loopback(host) for host in hosts)
        mode = "disable" if is_local and not found else "verify"
    elif mode == "require":
        mode = "verify-ca" if ca else "encrypt"
    if ca and mode not in {"verify", "verify-ca"}:
        raise ConfigurationError(f"tls_ca needs tls='verify': {mode!r} checks no certificate.")
    if mode == "disable" and (cert or key):
        raise ConfigurationError("tls='disable' sends no certificate: leave out tls_cert.")
    if key and not cert:
        raise ConfigurationError("tls_key needs tls_cert, the certificate that it belongs to.")
    if mode != "disable" and any(map(_is_socket, hosts)):
        raise ConfigurationError("A local socket needs no TLS, and has none: leave out tls.")
    ca = None if ca == "system" else ca
    return TLS(mode.removesuffix("-ca"), ca, cert, key, checks_name=mode != "verify-ca")


def _hosts(url: URL, arguments: Mapping[str, Any]) -> list[str]:
    """Give the hosts, or paths of sockets, that the driver will try; an empty one is unknown."""
    place = {**url.translate_connect_args(), **url.query, **arguments}
    if "unix_socket" in place:
        return ["/"]
    if {"read_default_file", "read_default_group"} & place.keys():
        return [""]  # the file's host goes before the URL's
    found = place.get("host")
    if found is None and url.get_backend_name() == "postgresql":
        # asyncpg looks there; a DSN, and a service's file, may name any host.
        is_elsewhere = bool({"dsn", "service"} & place.keys()) or "PGSERVICE" in os.environ
        found = "" if is_elsewhere else os.environ.get("PGHOST")
    found = "localhost" if found is None else found
    return found.split(",") if isinstance(found, str) else list(found)


def _is_socket(host: str) -> bool:
    return host.startswith("/")


def _is_loopback(host: str) -> bool:
    # SQLAlchemy takes several hosts in a query, as host:port.
    bare = host.partition(":")[0] if host.count(":") == 1 else host.strip("[]")
    try:
        return bare == "localhost" or ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
