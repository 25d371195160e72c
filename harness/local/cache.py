"""
The folder that keeps what is costly to get: unpacked packages, initialised data.

Everything in it is built under a lock in a draft folder and renamed into place, so what
is there is whole; removing any of it only costs the time to build it again.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from harness.local.disk import explain
from harness.services import ProviderError

__all__ = ["cache_folder", "cached"]

_BUILD_LIMIT = 600.0


def cache_folder() -> Path:
    """
    Find a folder to keep things in.

    `ANDAMIOS_HARNESS_CACHE` decides; else the user's cache folder is taken, and for root,
    whose home other users can't read, one of the machine; else the temporary folder.

    Returns:
        A folder that exists and can be written to.

    Raises:
        ProviderError: No such folder can be had.
    """
    for folder in _places():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK) and folder.stat().st_uid == os.getuid():
            return folder
    raise ProviderError("no folder can be written to: set ANDAMIOS_HARNESS_CACHE to one")


def _places() -> list[Path]:
    chosen = os.environ.get("ANDAMIOS_HARNESS_CACHE")
    if chosen:
        return [Path(chosen).resolve()]
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    own = Path("/var/cache") if os.getuid() == 0 else Path(home)
    fallback = Path(tempfile.gettempdir()) / f"andamios-harness-cache-{os.getuid()}"
    return [own / "andamios-harness", fallback]


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """
    Return a folder of the cache; build it first if it isn't there.

    Args:
        name: The folder's name; it must say everything that the content depends on.
        build: Fills an empty folder.

    Returns:
        The complete folder. Nobody writes to it any more.

    Raises:
        ProviderError: It can't be built, or another process took more than ten minutes.
    """
    folder = cache_folder() / name
    if folder.exists():
        return folder
    try:
        with FileLock(folder.with_name(f"{name}.lock"), timeout=_BUILD_LIMIT):
            return folder if folder.exists() else _build(folder, build)
    except Timeout as error:
        raise ProviderError(f"waited {_BUILD_LIMIT:.0f} s for {folder} to be built") from error


def _build(folder: Path, build: Callable[[Path], None]) -> Path:
    for leftover in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    draft = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    draft.mkdir()
    try:
        build(draft)
        draft.rename(folder)
    except (ProviderError, OSError) as error:
        raise explain(error, folder.parent, "ANDAMIOS_HARNESS_CACHE") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder
