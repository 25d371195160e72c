"""What failures of this machine's disk and memory mean, in one line that says what to do."""

import shutil
import sys
from pathlib import Path

from harness.services import ProviderError

__all__ = ["explain", "lacks_shared_memory"]

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  not a place for files of ours
_ENOUGH = 128 * 2**20
_FULL = ("no space left on device", "error number 28")


def explain(error: OSError | ProviderError, folder: Path, variable: str) -> ProviderError:
    """
    Make one line of a failure to write, if that is what it is.

    Args:
        error: What happened.
        folder: Where data was to be written.
        variable: The environment variable that names another place.

    Returns:
        An error to raise; the same one if it has nothing to do with the disk.
    """
    text = str(error)
    if any(sign in text.lower() for sign in _FULL):
        return ProviderError(
            f"the disk of {folder} is full: free some space, or set {variable} to another folder"
        )
    if isinstance(error, ProviderError):
        return error
    why = error.strerror or type(error).__name__
    return ProviderError(f"{folder} can't be written ({why}): set {variable} to another folder")


def lacks_shared_memory() -> str:
    """
    Tell whether queries that run in parallel would run out of shared memory.

    Returns:
        How much there is, in words; empty if it is enough or doesn't come from a folder.
    """
    if not sys.platform.startswith("linux"):
        return ""
    free = shutil.disk_usage(_SHARED_MEMORY).free if _SHARED_MEMORY.is_dir() else 0
    return "" if free >= _ENOUGH else f"{_SHARED_MEMORY} has {free / 2**20:.1f} MB free"
