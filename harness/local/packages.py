"""
Server packages that are unpacked, not installed.

They come with all their libraries, the C library included, and a program in them is
started through that library's own loader; so a package of another release runs too.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.local.apt import download
from harness.local.cache import cached
from harness.local.server import run_command
from harness.services import ProviderError

__all__ = ["Packages", "program", "unpacked"]

_UNPACK_LIMIT = 120.0


@dataclass(frozen=True)
class Packages:
    """Some packages of one Debian release."""

    names: tuple[str, ...]
    suite: str

    def __str__(self) -> str:
        return f"packages {', '.join(self.names)} of {self.suite}"


def unpacked(packages: Packages) -> Path:
    """
    Return the folder with the unpacked packages; download them if need be.

    Args:
        packages: What to unpack.

    Returns:
        A folder laid out like the root of a file system.

    Raises:
        ProviderError: They can't be downloaded or unpacked.
    """
    name = "-".join((packages.suite, *packages.names))
    return cached(name, partial(_fill, packages))


def _fill(packages: Packages, root: Path) -> None:
    work = root / ".download"
    work.mkdir()
    try:
        for archive in download(packages.names, packages.suite, work):
            run_command(["dpkg-deb", "-x", str(archive), str(root)], limit=_UNPACK_LIMIT)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def program(root: Path, path: str, private: Sequence[str] = ()) -> list[str]:
    """
    Write the command that starts a program of unpacked packages.

    Args:
        root: The folder they are in.
        path: The program, from there.
        private: Folders with libraries beside the usual ones, from there.

    Returns:
        The first arguments of the command.

    Raises:
        ProviderError: The program or its loader isn't there.
    """
    loaders = [*root.glob("usr/lib64/ld-linux-*.so.*"), *root.glob("lib64/ld-linux-*.so.*")]
    loaders += [*root.glob("usr/lib/ld-linux-*.so.*"), *root.glob("lib/ld-linux-*.so.*")]
    if not loaders or not (root / path).exists():
        raise ProviderError(f"{root} is incomplete: remove it and try again")
    libraries = [*root.glob("usr/lib/*-linux-*"), *root.glob("lib/*-linux-*")]
    libraries += [root / folder for folder in private]
    known = ":".join(str(folder) for folder in libraries)
    return [str(loaders[0]), "--library-path", known, str(root / path)]
