"""
Settings of servers whose data nobody keeps.

They trade safety after a crash for speed, so they are right for isolated tests and
wrong for fault and benchmark runs.
"""

__all__ = ["MYSQL", "POSTGRESQL", "REDIS"]

POSTGRESQL: dict[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
    # A deadlock is looked for after this long; the usual second makes such tests crawl.
    "deadlock_timeout": "20ms",
    "timezone": "UTC",
}

MYSQL: dict[str, str] = {
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

REDIS: dict[str, str] = {
    "save": "",
    "appendonly": "no",
    # More than the usual 16, so that each worker of a large machine gets one of its own.
    "databases": "128",
}
