"""MySQL from a server of this machine, or unpacked from packages; never MariaDB."""

from collections.abc import Iterable
from functools import partial

from harness.local import mysql_server
from harness.local.packages import Packages
from harness.services import ServiceDetails

__all__ = ["PACKAGES", "starters"]

# It is packaged only in sid, whatever release this machine has.
PACKAGES = Packages(("mysql-server-core",), "sid")


def starters() -> Iterable[partial[ServiceDetails]]:
    """
    List the places that a server may come from.

    Yields:
        A function for each that starts it.
    """
    yield from mysql_server.installed()
    yield mysql_server.from_packages(PACKAGES, "usr/sbin/mysqld")
