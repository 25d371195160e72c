"""MariaDB from a server of this machine, or unpacked from packages; never MySQL."""

from collections.abc import Iterable
from functools import partial

from harness.local import mysql_server
from harness.local.apt import codename
from harness.local.packages import Packages
from harness.services import ServiceDetails

__all__ = ["PACKAGES", "starters"]

PACKAGES = Packages(("mariadb-server-core",), codename())


def starters() -> Iterable[partial[ServiceDetails]]:
    """
    List the places that a server may come from.

    Yields:
        A function for each that starts it.
    """
    yield from mysql_server.installed()
    yield mysql_server.from_packages(PACKAGES, "usr/sbin/mariadbd")
