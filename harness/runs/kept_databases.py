"""
Databases that are kept: those of failed tests, and those that could not be dropped.

They stand in the ledger of the kept run, where `python -m harness status` lists them and
`python -m harness down` drops them.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from harness.folders import explained, make_folder
from harness.ledger import Ledger, LedgerEntry
from harness.runs.dropping import drop_databases
from harness.runs.kept import KEPT

__all__ = ["KeptDatabases"]

_MOST = 10
_LOCK_LIMIT = 30.0


class KeptDatabases:
    """
    The kept databases of all runs in a base folder.

    Args:
        base: The folder of all runs.
    """

    def __init__(self, base: Path) -> None:
        self._folder = base / KEPT
        self._ledger = Ledger(self._folder)

    def keep(self, entry: LedgerEntry) -> LedgerEntry | None:
        """
        Keep the database of a failed test; files are moved out of the way of clean-ups.

        Args:
            entry: The database, with its run and test.

        Returns:
            Where it is now; None if this run has kept ten already.

        Raises:
            RunFolderError: The kept run's folder can't be written to.
        """
        with explained(self._folder):
            make_folder(self._folder)
            with FileLock(self._folder / "databases.lock", timeout=_LOCK_LIMIT):
                if len(self.of_run(entry.run)) >= _MOST:
                    return None
                kept = self._moved(entry) if entry.url.startswith("sqlite") else entry
                self.add(kept)
        return kept

    def add(self, entry: LedgerEntry) -> None:
        """Write down a database that is there, whatever the number."""
        with explained(self._folder):
            make_folder(self._folder)
        self._ledger.add(entry.url, entry.worker, run=entry.run, test=entry.test, shown=entry.shown)

    def all(self) -> list[LedgerEntry]:
        """Give all of them, oldest first."""
        return self._ledger.databases()

    def of_run(self, run_id: str) -> list[LedgerEntry]:
        """Give those that a run has kept for failed tests."""
        return [entry for entry in self.all() if entry.run == run_id and entry.test]

    def drop(self) -> list[LedgerEntry]:
        """Drop and forget all of them; give those that could not be dropped. Blocks."""
        entries = self.all()
        left = drop_databases(entry.url for entry in entries)
        for entry in entries:
            self._ledger.remove(entry.url)
        return [entry for entry in entries if entry.url in left]

    def _moved(self, entry: LedgerEntry) -> LedgerEntry:
        source = Path(urlsplit(entry.url).path[1:])
        folder = make_folder(self._folder / "sqlite")
        number = len(list(folder.iterdir()))
        target = folder / f"{source.stem}-{number}{source.suffix}"
        for suffix in ("", "-wal", "-shm"):
            if (file := Path(f"{source}{suffix}")).exists():
                shutil.move(file, f"{target}{suffix}")
        url = f"{entry.url.partition(':')[0]}:///{target}"
        return replace(entry, url=url, shown=url)
