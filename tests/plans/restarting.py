"""A server of a test's own, that is stopped and started again as what it was."""

import os
import signal
from pathlib import Path

import psutil

from harness.folders import make_folder
from harness.local.places import start
from harness.local.server import Server, end_servers, serve
from harness.processes import ProcessMark, end_process
from harness.services import ServiceDetails, ServiceName, ServiceOptions, ServiceRequest

__all__ = ["STOPS", "OwnServer"]

SAFE = {
    "postgresql": {"synchronous_commit": "on", "full_page_writes": "on"},
    "mysql": {"innodb-flush-log-at-trx-commit": "2", "innodb-doublewrite": "ON"},
}
"""Settings with which what was committed outlives the server's process."""

STOPS = {
    "in order": {"postgresql": signal.SIGINT, "mysql": signal.SIGTERM},
    "at once": {"postgresql": signal.SIGQUIT, "mysql": signal.SIGKILL},
}


class OwnServer:
    """
    A server of this machine, which keeps its data and its port.

    Args:
        service: Which.
        folder: For its data; made anew.
    """

    def __init__(self, service: ServiceName, folder: Path) -> None:
        options = ServiceOptions(settings=SAFE[service])
        request = ServiceRequest(service, make_folder(folder), {}, options)
        self._folder = folder
        self.details: ServiceDetails = start(request)
        command = self._process().cmdline()
        self._server = Server(
            lambda _port: command,
            self.details,
            folder,
            user=self._process().username() if os.getuid() == 0 else None,
            port=self.details.port,
        )

    def stop(self, how: signal.Signals) -> None:
        """End it, and wait until it has ended."""
        mark = ProcessMark.of(self._process().pid)
        assert mark is not None
        end_process(mark, how)
        assert not mark.is_running()
        # MySQL's names a process that nobody may have waited for yet, and refuses to start.
        for lock in self._folder.rglob("*.sock.lock"):
            lock.unlink()

    def start(self) -> None:
        """Start it again, and wait until it lets somebody in."""
        serve(self._server)

    def close(self) -> None:
        """End it for good."""
        end_servers(self._folder)

    def _process(self) -> psutil.Process:
        return next(
            psutil.Process(each.pid)
            for each in psutil.net_connections("tcp")
            if each.laddr.port == self.details.port and each.status == psutil.CONN_LISTEN
        )
