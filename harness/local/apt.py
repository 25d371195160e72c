"""
The machine's own Debian mirror, and downloads from it as a plain user.

Which host packages come from is the machine's business: the address is read from its
apt configuration, or from `ANDAMIOS_HARNESS_APT_MIRROR`, and never written here.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.local.server import run_command
from harness.services import ProviderError

__all__ = ["Mirror", "codename", "download", "find_mirror"]

_ETC = Path("/etc/apt")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_UPDATE_LIMIT = 180.0
_DOWNLOAD_LIMIT = 420.0


@dataclass(frozen=True)
class Mirror:
    """The address of a Debian mirror and the keys that its releases are signed with."""

    uri: str
    signed_by: str = ""


def codename() -> str:
    """Return the name of this machine's Debian release, such as `bookworm`."""
    text = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    match = re.search(r"^VERSION_CODENAME=\"?(\w+)", text, re.MULTILINE)
    return match[1] if match else "stable"


def find_mirror(etc: Path = _ETC, suite: str | None = None) -> Mirror:
    """
    Find the mirror that this machine gets its own release from.

    Args:
        etc: apt's configuration folder.
        suite: The release to look for; by default the machine's own.

    Returns:
        The mirror.

    Raises:
        ProviderError: No source of this release is configured.
    """
    chosen = os.environ.get("ANDAMIOS_HARNESS_APT_MIRROR")
    if chosen:
        return Mirror(chosen)
    suite = suite or codename()
    for uri, suites, signed_by in _sources(etc):
        if suite in suites or {"stable", "testing", "unstable", "sid"} & suites:
            return Mirror(uri.rstrip("/"), signed_by)
    raise ProviderError(
        f"no source of {suite} in {etc}: set ANDAMIOS_HARNESS_APT_MIRROR to a Debian mirror"
    )


def _sources(etc: Path) -> Iterator[tuple[str, set[str], str]]:
    for path in (etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))):
        if path.exists():
            yield from _one_line_sources(path.read_text())
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        yield from _stanza_sources(path.read_text())


def _one_line_sources(text: str) -> Iterator[tuple[str, set[str], str]]:
    for match in re.finditer(r"^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE):
        key = re.search(r"signed-by=(\S+)", match[1] or "")
        yield match[2], {match[3]}, key[1] if key else ""


def _stanza_sources(text: str) -> Iterator[tuple[str, set[str], str]]:
    text = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for stanza in re.split(r"\n\s*\n", text):
        found = re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.MULTILINE)
        fields = {name.lower(): value.strip() for name, value in found}
        is_binary = "deb" in fields.get("types", "").split()
        if is_binary and fields.get("enabled", "yes").lower() != "no" and fields.get("uris"):
            signed_by = fields.get("signed-by", "")
            yield fields["uris"].split()[0], set(fields.get("suites", "").split()), signed_by


def download(packages: tuple[str, ...], suite: str, folder: Path) -> list[Path]:
    """
    Download packages of a release with everything that they depend on.

    The machine's own package state is neither used nor touched, so this needs no root
    and no `apt-get update` beforehand.

    Args:
        packages: Names of packages.
        suite: The release, such as `sid`.
        folder: An empty folder for the downloads.

    Returns:
        The package files.

    Raises:
        ProviderError: There is no apt here, or the mirror doesn't have them.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ProviderError("no apt-get here to get server packages with")
    apt = ["apt-get", "-qq", "-y", *_options(folder, suite)]
    run_command([*apt, "update"], limit=_UPDATE_LIMIT)
    install = ["--no-install-recommends", "--download-only", "install"]
    run_command([*apt, *install, *packages], limit=_DOWNLOAD_LIMIT)
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def _options(folder: Path, suite: str) -> list[str]:
    for name in ("lists/partial", "cache/archives/partial", "none"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    sources = folder / "sources.list"
    sources.write_text(_source_line(find_mirror(), suite))
    settings = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": folder / "none",
        "Dir::Etc::preferences": folder / "none" / "preferences",
        "Dir::Etc::preferencesparts": folder / "none",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "APT::Update::Error-Mode": "any",
        "Acquire::http::Timeout": "30",
        # A snapshot of sid may be served past the date in its Release file.
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Check-Date": "false",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _source_line(mirror: Mirror, suite: str) -> str:
    keys = mirror.signed_by or (str(_KEYRING) if _KEYRING.exists() else "")
    signed_by = f" [signed-by={keys}]" if keys else ""
    return f"deb{signed_by} {mirror.uri} {suite} main\n"
