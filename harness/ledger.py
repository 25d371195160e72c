"""
The ledger of a run: databases that were made on servers which outlive it.

A database is written down before it is made and struck out once it is dropped. What still
stands here when the run ends, however it ends, is dropped then; nothing else ever is.
"""

import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from harness.lines import append_line, read_lines

__all__ = ["Ledger", "LedgerEntry"]


@dataclass(frozen=True)
class LedgerEntry:
    """
    One database.

    `url` holds the password; `shown` is the address as it may be printed. `test` names
    the failed test that a database is kept for, `run` the run that made it, and `made` is
    in seconds since 1970.
    """

    url: str = field(repr=False)
    worker: str = ""
    run: str = ""
    test: str = ""
    shown: str = field(default="", repr=False)
    made: float = 0.0


_FIELDS = tuple(each.name for each in fields(LedgerEntry))


class Ledger:
    """
    The databases of a run; safe to use from many processes at once.

    Args:
        folder: The run's folder.

    Example:
        >>> import tempfile
        >>> ledger = Ledger(Path(tempfile.mkdtemp()))
        >>> ledger.add("mysql://127.0.0.1/andamios_doc_gw0", "gw0")
        >>> [entry.worker for entry in ledger.databases()]
        ['gw0']
        >>> ledger.remove("mysql://127.0.0.1/andamios_doc_gw0")
        >>> ledger.databases()
        []
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "databases"

    def add(self, url: str, worker: str, *, run: str = "", test: str = "", shown: str = "") -> None:
        """
        Write down a database; to be done before it is made.

        Args:
            url: Its address with the password; the file can be read by its owner only.
            worker: The worker that makes it.
            run: The run that makes it, if this is not the ledger of that run.
            test: The test that it is kept for.
            shown: The address to print, if the password may not be.

        Raises:
            RunFolderError: The run is closed, or the disk is full.
        """
        entry = LedgerEntry(url, worker, run, test, shown or url, time.time())
        append_line(self._path, asdict(entry))

    def remove(self, url: str) -> None:
        """Strike out a database that has been dropped; a run that is closed needs no such line."""
        if self._path.exists():
            append_line(self._path, {"removed": url})

    def databases(self) -> list[LedgerEntry]:
        """Give what is not struck out, oldest first."""
        found: dict[str, LedgerEntry] = {}
        for record in read_lines(self._path):
            if "removed" in record:
                found.pop(record["removed"], None)
            elif "url" in record:
                # Another version of the harness may write down more than this one knows.
                known = {name: record[name] for name in _FIELDS if name in record}
                found[record["url"]] = LedgerEntry(**known)
        return list(found.values())
