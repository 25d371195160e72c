"""
The folders that runs live in, and what is said when one can't be used.

All runs of a user are folders of one base folder. What stands in them is small, but it is
the only memory of what has to be stopped, so that writing there may not fail in silence.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.services import ProviderError

__all__ = ["RunFolderError", "base_folder", "explained", "make_folder", "write_private"]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class RunFolderError(ProviderError):
    """The folder of a run can't be used; the message is one line that says what to do."""


def base_folder(base_dir: Path | str | None) -> Path:
    """
    Find the folder of all runs, and make it if need be.

    Args:
        base_dir: The folder; by default one of this user in the temporary folder.

    Returns:
        Its absolute path.

    Raises:
        RunFolderError: It can't be made, or belongs to another user.
    """
    if base_dir is not None:
        base = Path(base_dir).resolve()
        with explained(base):
            base.mkdir(parents=True, exist_ok=True)
        return base
    base = Path(tempfile.gettempdir()).resolve() / f"andamios-harness-{os.getuid()}"
    with explained(base):
        base.mkdir(exist_ok=True)
        if base.stat().st_uid != os.getuid():
            raise RunFolderError(
                f"{base} belongs to another user: set TMPDIR to a folder of your own"
            )
        return make_folder(base)


def make_folder(path: Path) -> Path:
    """Make a folder that servers of other users may pass through."""
    path.mkdir(exist_ok=True)
    # A server that refuses to be root runs as another user, who has to get through.
    path.chmod(0o711)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    draft = path.with_suffix(".draft")
    try:
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """
    Turn errors of the file system into one line that names the folder and a way out.

    Args:
        folder: The folder in which the block works.

    Raises:
        RunFolderError: The disk is full, the folder is gone or can't be written to.
    """
    try:
        yield
    except OSError as error:
        # A lock that is not had in time is an OSError too, and has no number.
        if error.errno is None:
            raise
        raise RunFolderError(_explain(folder, error)) from error


def _explain(folder: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return f"the disk of {folder} is full: free space there, or set TMPDIR to another disk"
    if error.errno in _FORBIDDEN:
        return f"{folder} can't be written to: set TMPDIR to a folder of your own"
    if isinstance(error, FileNotFoundError):
        return f"{folder} is gone: this run is closed, or somebody removed it"
    return f"{folder} can't be used ({error.strerror}): set TMPDIR to another folder"
