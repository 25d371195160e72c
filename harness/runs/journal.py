"""The journal of a run: each server that was really started, and how long that took."""

from dataclasses import asdict, dataclass
from pathlib import Path

from harness.lines import append_line, read_records
from harness.services import ProviderName, ServiceName

__all__ = ["Journal", "Start"]


@dataclass(frozen=True)
class Start:
    """
    One start of one server.

    `seconds` is the time until it let us in; `pid` the process that started it, which is
    a worker more often than the controller.
    """

    service: ServiceName
    provider: ProviderName
    seconds: float
    pid: int


class Journal:
    """
    The starts of a run, written by whichever process did one.

    Args:
        folder: The run's folder.

    Example:
        >>> import tempfile
        >>> journal = Journal(Path(tempfile.mkdtemp()))
        >>> journal.add(Start("redis", "local", 0.1, 4711))
        >>> [start.service for start in journal.starts()]
        ['redis']
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "starts"

    def add(self, start: Start) -> None:
        """Write a start down."""
        append_line(self._path, asdict(start))

    def starts(self) -> list[Start]:
        """Give all starts so far, first one first."""
        return read_records(self._path, Start)
