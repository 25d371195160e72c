"""Encrypted credentials: found with the right key only, private, and changed in one step."""

import os
import stat
import traceback
from pathlib import Path

import pytest

from andamios import ConfigurationError
from andamios.security import CredentialsFile, create_key_file, generate_key

URL = "postgresql://app:planted-secret@db.example/shop"


@pytest.fixture
def file(tmp_path: Path) -> CredentialsFile:
    """A file with one entry."""
    made = CredentialsFile(tmp_path / "secrets", key=generate_key())
    made.add("main", URL)
    return made


def test_kept_and_found(file: CredentialsFile) -> None:
    """What was added is given back, and is removed for good."""
    file.add("other", "mysql://u:p@h/d")
    assert (["main", "other"], URL) == (file.names(), file.get("main").get_secret_value())
    file.remove("main")
    with pytest.raises(ConfigurationError, match=r"no 'main'\. There are: other"):
        file.get("main")


def test_nothing_is_readable(file: CredentialsFile, tmp_path: Path) -> None:
    """The file is its owner's, holds neither names nor secrets, and texts show none."""
    path = tmp_path / "secrets"
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(tmp_path.iterdir())
    content = path.read_bytes()
    assert (False, False) == (b"planted-secret" in content, b"main" in content)
    assert "planted" not in f"{file!r} {file.get('main')} {file.get('main')!r}"


def test_replaced_only_on_purpose(file: CredentialsFile) -> None:
    """A name that is taken is refused, without showing what it stands for."""
    with pytest.raises(ConfigurationError, match="replace=True") as caught:
        file.add("main", "sqlite://")
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    file.add("main", "sqlite://", replace=True)
    assert "sqlite://" == file.get("main").get_secret_value()


def test_wrong_key(file: CredentialsFile, tmp_path: Path) -> None:
    """Another key, and a changed file, are told apart from a missing name."""
    path = tmp_path / "secrets"
    with pytest.raises(ConfigurationError, match="key is wrong, or the file was changed"):
        CredentialsFile(path, key=generate_key()).names()
    path.write_bytes(path.read_bytes()[:-9] + b"AAAAAAAAA")
    with pytest.raises(ConfigurationError, match="key is wrong, or the file was changed"):
        file.get("main")


def test_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, or with something else, the error says where one is looked for."""
    monkeypatch.delenv("ANDAMIOS_SECRETS_KEY", raising=False)
    monkeypatch.delenv("ANDAMIOS_SECRETS_KEY_FILE", raising=False)
    with pytest.raises(ConfigurationError, match="set ANDAMIOS_SECRETS_KEY"):
        CredentialsFile(tmp_path / "secrets").names()
    wrong = "x" * 40
    with pytest.raises(ConfigurationError, match="32 bytes") as caught:
        CredentialsFile(tmp_path / "secrets", key=wrong).names()
    assert wrong not in "".join(traceback.format_exception(caught.value))


def test_rotation(tmp_path: Path) -> None:
    """After a rotation the new key opens everything, and the old one nothing."""
    old, new = generate_key(), generate_key()
    file = CredentialsFile(tmp_path / "secrets", key=old)
    file.add("main", URL)
    file.rotate(new)
    assert URL == file.get("main").get_secret_value()
    assert URL == CredentialsFile(tmp_path / "secrets", key=new).get("main").get_secret_value()
    with pytest.raises(ConfigurationError, match="key is wrong"):
        CredentialsFile(tmp_path / "secrets", key=old).names()


def test_two_keys_while_they_are_changed(tmp_path: Path) -> None:
    """A process that knows both keys reads before and after the rotation."""
    old, new = generate_key(), generate_key()
    both = f"{new.get_secret_value()}, {old.get_secret_value()}"
    CredentialsFile(tmp_path / "secrets", key=old).add("main", URL)
    reader = CredentialsFile(tmp_path / "secrets", key=both)
    assert ["main"] == reader.names()
    CredentialsFile(tmp_path / "secrets", key=old).rotate(new)
    assert ["main"] == reader.names()


def test_rotation_that_fails_changes_nothing(
    file: CredentialsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in the middle of it leaves the old file, and no other."""

    def fail(_number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            file.rotate(generate_key())
    assert ([tmp_path / "secrets"], ["main"]) == (list(tmp_path.iterdir()), file.names())
    with pytest.raises(ConfigurationError, match="32 bytes"):
        file.rotate("no key")
    assert ["main"] == file.names()


def test_empty_key(file: CredentialsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is empty is no key, and does not stand for the one of the environment."""
    monkeypatch.setenv("ANDAMIOS_SECRETS_KEY", generate_key().get_secret_value())
    with pytest.raises(ConfigurationError, match="32 bytes"):
        file.rotate("")
    assert ["main"] == file.names()


def test_key_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable with the key goes before the one with a file."""
    key = generate_key().get_secret_value()
    monkeypatch.setenv("ANDAMIOS_SECRETS_KEY", key)
    monkeypatch.setenv("ANDAMIOS_SECRETS_KEY_FILE", "/no/such/file")
    CredentialsFile(tmp_path / "secrets").add("main", URL)
    assert ["main"] == CredentialsFile(tmp_path / "secrets", key=key).names()


def test_key_from_a_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key file works for its owner, and is refused when others may read it."""
    path = tmp_path / "key"
    create_key_file(path)
    monkeypatch.delenv("ANDAMIOS_SECRETS_KEY", raising=False)
    monkeypatch.setenv("ANDAMIOS_SECRETS_KEY_FILE", str(path))
    CredentialsFile(tmp_path / "secrets").add("main", URL)
    with pytest.raises(ConfigurationError, match="there already"):
        create_key_file(path)
    for mode in (0o640, 0o604):
        path.chmod(mode)
        with pytest.raises(ConfigurationError, match=r"Others may read .*chmod 600"):
            CredentialsFile(tmp_path / "secrets").names()
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        CredentialsFile(tmp_path / "secrets").names()
