"""Packages: the machine's mirror, downloads as a plain user, the cache."""

import subprocess
from pathlib import Path

import pytest

from harness.local.apt import Mirror, download, find_mirror
from harness.local.cache import cache_folder, cached
from harness.local.packages import program
from harness.services import ProviderError

STANZAS = """\
# a comment
Types: deb-src
URIs: http://source.example/debian
Suites: bookworm

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm

Types: deb
# URIs: http://commented.example/debian
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/debian.gpg
"""
LINES = """\
# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main
"""


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDAMIOS_HARNESS_APT_MIRROR", raising=False)
    monkeypatch.setenv("ANDAMIOS_HARNESS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list.d/debian.sources", STANZAS),
        ("sources.list", LINES),
        ("sources.list.d/debian.list", LINES),
    ],
)
def test_mirror_of_this_machine(tmp_path: Path, name: str, text: str) -> None:
    """The mirror is read in both forms that apt knows; what is switched off is not used."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    expected = Mirror("http://mirror.example/debian", "/keys/debian.gpg")
    assert expected == find_mirror(tmp_path, "bookworm")


def test_mirror_that_somebody_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable goes before the machine's configuration."""
    monkeypatch.setenv("ANDAMIOS_HARNESS_APT_MIRROR", "http://mine.example/debian")
    assert Mirror("http://mine.example/debian") == find_mirror(tmp_path)


def test_no_mirror(tmp_path: Path) -> None:
    """A machine without one is told how to name one."""
    with pytest.raises(ProviderError, match="set ANDAMIOS_HARNESS_APT_MIRROR"):
        find_mirror(tmp_path, "bookworm")


def test_a_mirror_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failed download is one line."""
    monkeypatch.setenv("ANDAMIOS_HARNESS_APT_MIRROR", "http://127.0.0.1:1/debian")
    with pytest.raises(ProviderError, match=r"apt-get .*127\.0\.0\.1") as caught:
        download(("mysql-server-core",), "sid", tmp_path)
    assert "\n" not in str(caught.value)


def test_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems are told that packages are no way for them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProviderError, match="no apt-get here"):
        download(("mysql-server-core",), "sid", tmp_path)


def test_cached_is_built_once() -> None:
    """What is in the cache is used again."""
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "file").write_text("content")

    first, second = cached("thing", build), cached("thing", build)
    assert first == second
    assert "content" == (first / "file").read_text()
    assert 1 == len(built)


def test_a_build_that_fails_leaves_nothing() -> None:
    """Half of something never looks like all of it."""

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ProviderError("broken")

    with pytest.raises(ProviderError, match="broken"):
        cached("thing", fail)
    assert [] == [path for path in cache_folder().rglob("*") if path.suffix != ".lock"]


def test_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer names the variable that decides."""
    monkeypatch.setenv("ANDAMIOS_HARNESS_CACHE", "/proc/nowhere")
    with pytest.raises(ProviderError, match="set ANDAMIOS_HARNESS_CACHE"):
        cache_folder()


def test_program_is_started_by_its_own_loader(tmp_path: Path) -> None:
    """A package of another release brings its C library, and so needs that one's loader."""
    for name in (
        "usr/lib64/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "usr/sbin/d",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    loader, option, libraries, server = program(tmp_path, "usr/sbin/d", ["usr/lib/mine"])

    assert str(tmp_path / "usr/lib64/ld-linux-x86-64.so.2") == loader
    assert "--library-path" == option
    assert [f"{tmp_path}/usr/lib/x86_64-linux-gnu", f"{tmp_path}/usr/lib/mine"] == libraries.split(
        ":"
    )
    assert str(tmp_path / "usr/sbin/d") == server


def test_incomplete_packages(tmp_path: Path) -> None:
    """A damaged cache is named, so that one can remove it."""
    with pytest.raises(ProviderError, match="remove it and try again"):
        program(tmp_path, "usr/sbin/d")


def test_no_package_host_is_named() -> None:
    """Which host packages come from is the machine's business."""
    root = Path(__file__).parents[2] / "harness"
    pattern = r"(debian|ubuntu|pypi|docker)\.(org|com|io)"
    found = subprocess.run(
        ["grep", "-rnEI", pattern, str(root)], capture_output=True, text=True, check=False
    )
    assert "" == found.stdout
