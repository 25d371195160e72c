"""
Settings of servers whose data nobody keeps.

The usual ones trade safety after a crash for speed, so they are right for isolated tests and
wrong for fault and benchmark runs. Servers that are broken on purpose have theirs laid over
them: what a crash must not lose is on disk, and a limit is near.
"""

from dataclasses import replace

from harness.services import ProviderError, ServiceName, ServiceOptions

__all__ = ["DURABLE", "USUAL", "durable", "settings_of"]

_POSTGRESQL = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
    # A deadlock is looked for after this long; the usual second makes such tests crawl.
    "deadlock_timeout": "20ms",
    "timezone": "UTC",
}

_MYSQL = {
    "max-connections": "300",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "innodb-buffer-pool-size": "256M",
    "performance-schema": "OFF",
    "skip-log-bin": "1",
    "skip-name-resolve": "1",
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    # A full table of asynchronous requests, common on shared machines, stops a server.
    "innodb-use-native-aio": "0",
}

_REDIS = {
    "save": "",
    "appendonly": "no",
    # More than the usual 16, so that each worker of a large machine gets one of its own.
    "databases": "128",
}

USUAL: dict[ServiceName, dict[str, str]] = {
    "postgresql": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "redis": _REDIS,
}

_MYSQL_DURABLE = {
    "innodb-flush-log-at-trx-commit": "1",
    "innodb-doublewrite": "1",
    "innodb-buffer-pool-size": "64M",
    "max-connections": "40",
    # All tables in one file that cannot grow for ever: so a disk gets full without one.
    "innodb-file-per-table": "OFF",
    "innodb-data-file-path": "ibdata1:12M:autoextend:max:64M",
}

DURABLE: dict[ServiceName, dict[str, str]] = {
    "postgresql": {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "max_connections": "40",
    },
    "mysql": _MYSQL_DURABLE,
    "mariadb": _MYSQL_DURABLE,
    "redis": {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxclients": "40",
        # A replica is served at once, and not after the usual 5 seconds.
        "repl-diskless-sync-delay": "0",
    },
}

# What decides where a server listens, who may log in, and where its data is.
_OURS = {"bind", "bind-address", "data-directory", "datadir", "dir", "init-file"}
_OURS |= {"listen-addresses", "port", "requirepass", "socket", "unix-socket-directories"}


def settings_of(service: ServiceName, options: ServiceOptions) -> dict[str, str]:
    """
    Lay a project's settings over the usual ones.

    Args:
        service: Whose settings.
        options: The project's options.

    Returns:
        Values by name, as the server writes its names.

    Raises:
        ProviderError: One of them is for the harness to decide.
    """
    chosen = dict(USUAL[service])
    for name, value in options.settings.items():
        if name.replace("_", "-") in _OURS:
            raise ProviderError(f"the setting {name} is the harness's own: leave it out")
        # All but PostgreSQL write a dash where the same name has an underscore elsewhere.
        chosen[name if service == "postgresql" else name.replace("_", "-")] = value
    return chosen


def durable(service: ServiceName, options: ServiceOptions) -> ServiceOptions:
    """Lay what a server needs that is broken on purpose over a project's options."""
    given = {
        name if service == "postgresql" else name.replace("_", "-"): value
        for name, value in options.settings.items()
    }
    return replace(options, settings=given | DURABLE[service])
