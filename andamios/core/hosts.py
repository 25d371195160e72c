"""
Several hosts for one database: which one a new connection goes to.

As in libpq ("Specifying Multiple Hosts" and ``target_session_attrs``, PostgreSQL
documentation), hosts are tried in order. One is passed over that refuses, is silent for its
share of the time for connecting, or is not in the role that is asked for. One that refuses the
log-in ends the search: the others would refuse it too.

Unlike libpq, an engine remembers for a while which host was silent, or refused a write because it
only reads, and tries it last: so not every new connection waits for a dead host, and the next
attempt after a failover goes elsewhere.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from andamios.core.tls import explain
from andamios.core.translation import error_code, translate
from andamios.errors import ConfigurationError, ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from sqlalchemy.engine import URL

__all__ = ["ROLES", "Hosts", "Place", "UnfitError", "drop_standbys", "take_hosts"]

ROLES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
"""What ``target_session_attrs`` may be; libpq's words."""

CONNECT_LIMIT = 10.0
"""Seconds for connecting, shared among several hosts, unless the URL says otherwise."""

AVOIDED_FOR = 30.0
"""Seconds for which a host that was silent, or that refused a write, is tried last."""

REFUSED_LOG_INS = frozenset({1044, 1045, 1049, 1698, 3118})
READ_ONLY_CODES: frozenset[str | int | None] = frozenset({"25006", 1290, 1836})
"""With which servers refuse writes that another host may take."""

WRITING_ROLES = frozenset({"any", "read-write", "primary"})


class Place(NamedTuple):
    """Where a server listens."""

    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


class UnfitError(Exception):
    """A server that could be reached is not in the role that is asked for; its text names it."""


class Hosts:
    """
    The hosts of one engine.

    Args:
        connect: Connects to one host, given as ``host`` and ``port`` among the driver's options,
            in the role that its first argument names.
        limit_option: What the driver calls the time for connecting, in seconds.
        limit: That time, for a single host, where the option is not given.
    """

    def __init__(
        self,
        connect: Callable[..., Awaitable[Any]],
        limit_option: str,
        *,
        limit: float = CONNECT_LIMIT,
    ) -> None:
        self._connect = connect
        self._limit_option = limit_option
        self._limit = limit
        self._avoided: dict[Place, float] = {}
        self.role = "any"

    async def connect(self, **options: Any) -> Any:
        """
        Connect to the first host that will do.

        Args:
            options: The driver's; ``host`` and ``port`` are lists where there are several.

        Returns:
            The driver's connection.

        Raises:
            ConnectionFailedError: None of several will do; it names each, with the reason.
        """
        self.role = options.pop("target_session_attrs", None) or "any"
        places = _places(options)
        if len(places) == 1 and self.role == "any":
            async with asyncio.timeout(float(options.get(self._limit_option) or self._limit)):
                return await self._connect(self.role, options)
        limit = float(options.pop(self._limit_option, None) or CONNECT_LIMIT)
        failures: dict[Place, Exception] = {}
        for role in _passes(self.role):
            ends = time.monotonic() + limit
            for left, place in self._in_order(places):
                share = max((ends - time.monotonic()) / left, 0.0)
                try:
                    return await self._try(place, role, share, options)
                except Exception as error:
                    if not _is_passed_over(error):
                        raise
                    failures[place] = error
                    if _is_silence(error):
                        self.avoid(place)
        raise _none_left(failures) from failures[places[-1]]

    def avoid(self, place: Place) -> None:
        """Try a host last for a while."""
        self._avoided[place] = time.monotonic() + AVOIDED_FOR

    def _in_order(self, places: list[Place]) -> Iterator[tuple[int, Place]]:
        """Give the places, and how many are left with each."""
        now = time.monotonic()
        ordered = sorted(places, key=lambda place: self._avoided.get(place, 0) > now)
        return zip(range(len(ordered), 0, -1), ordered, strict=True)

    async def _try(self, place: Place, role: str, share: float, options: dict[str, Any]) -> Any:
        named = {name: value for name, value in place._asdict().items() if value}
        there = {**options, **named}
        async with asyncio.timeout(share):
            connection = await self._connect(role, there)
        _known[connection] = self, place
        return connection


_known: weakref.WeakKeyDictionary[Any, tuple[Hosts, Place]] = weakref.WeakKeyDictionary()
"""Where connections of engines with several hosts lead."""


def take_hosts(url: URL, role: str | None = None) -> tuple[URL, dict[str, Any]]:
    """
    Take several hosts, and the role of the server, out of a URL for the driver.

    Args:
        url: As ``make_url`` gives it.
        role: Which role it is, if the URL names none.

    Returns:
        The URL with its first host alone, and the arguments ``host``, ``port`` and
        ``target_session_attrs``, as far as there are any.

    Raises:
        ConfigurationError: No such role.
    """
    arguments: dict[str, Any] = {}
    wanted = url.query.get("target_session_attrs", role)
    if wanted is not None:
        if wanted not in ROLES:
            raise ConfigurationError(
                f"Unknown target_session_attrs={wanted!r}. Roles: {', '.join(ROLES)}."
            )
        arguments["target_session_attrs"] = wanted
    hosts = url.query.get("host")
    if isinstance(hosts, tuple):
        places = [split_place(host) for host in hosts]
        arguments["host"] = [place.host for place in places]
        arguments["port"] = [place.port for place in places]
        url = url.difference_update_query(["host"])
    return url.difference_update_query(["target_session_attrs"]), arguments


def split_place(text: str) -> Place:
    """
    Read ``host``, ``host:port``, ``[IPv6]:port`` or the path of a socket's folder.

    Raises:
        ValueError: The port is no number.
    """
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    return Place(host, int(port) if port else None)


def drop_standbys(dialect: Any) -> None:
    """
    Let a server that refuses writes count as lost where the URL has several hosts.

    The pool's connections to it are replaced then, and the next ones go elsewhere.
    """
    plain = dialect.is_disconnect

    def is_disconnect(error: Any, connection: Any, cursor: Any) -> bool:
        return plain(error, connection, cursor) or _has_moved(error, connection)

    dialect.is_disconnect = is_disconnect


def _has_moved(error: BaseException, connection: Any) -> bool:
    """Whether a write was refused because another host takes the writes now."""
    if connection is None or error_code(error) not in READ_ONLY_CODES:
        return False
    hosts, place = _known.get(connection.driver_connection, (None, None))
    # What SQLAlchemy was asked for: the transaction only reads.
    is_wanted = getattr(connection, "readonly", False)
    if hosts is None or place is None or is_wanted or hosts.role not in WRITING_ROLES:
        return False
    hosts.avoid(place)
    return True


def _places(options: Mapping[str, Any]) -> list[Place]:
    hosts, ports = options.get("host"), options.get("port")
    if isinstance(hosts, str) or hosts is None:
        return [Place(hosts or "", ports)]
    if not isinstance(ports, list | tuple):
        ports = [ports] * len(hosts)
    return [Place(host, port) for host, port in zip(hosts, ports, strict=True)]


def _passes(role: str) -> tuple[str, ...]:
    return ("standby", "any") if role == "prefer-standby" else (role,)


def _is_passed_over(error: Exception) -> bool:
    if isinstance(error, UnfitError):
        return True
    found = translate(error)
    if not isinstance(found, ConnectionFailedError):
        return False
    code = found.code
    is_log_in = isinstance(code, str) and code[:2] in {"28", "3D"}
    return not is_log_in and code not in REFUSED_LOG_INS


def _is_silence(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)


def _reason(error: Exception) -> str:
    if isinstance(error, UnfitError):
        return str(error)
    if _is_silence(error):
        return "no answer in time"
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError):  # names an address and a reason, never a secret
        return explain(cause) or cause.strerror or str(cause) or type(cause).__name__
    return str(error_code(error) or type(error).__name__)


def _none_left(failures: Mapping[Place, Exception]) -> ConnectionFailedError:
    tried = "; ".join(f"{place}: {_reason(error)}" for place, error in failures.items())
    known = [translate(error) for error in failures.values()]
    return ConnectionFailedError(
        f"Cannot connect to any of the hosts ({tried}). Is a server running on one of them, in "
        "the role that target_session_attrs asks for?",
        code=next((error.code for error in known if error is not None and error.code), None),
    )
