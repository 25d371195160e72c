"""What drivers say when a server lets nobody in, in plain words."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from harness import probes
from harness.probes import identify
from harness.services import SERVICES, ProviderError, ServiceDetails, ServiceName


@pytest.fixture
def silent() -> Iterator[int]:
    """A port behind which nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def rude() -> Iterator[int]:
    """A port behind which somebody hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def said(service: ServiceName, host: str, port: int) -> str:
    """Say why nobody is let in."""
    details = ServiceDetails(service, host, port, user="u", password="p", provider="url")
    with pytest.raises(ProviderError) as caught:
        identify(details)
    prefix = f"{service} at {host}:{port} let nobody in: "
    assert str(caught.value).startswith(prefix)
    return str(caught.value).removeprefix(prefix)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("service", SERVICES)
def test_nobody_listens(service: ServiceName, host: str) -> None:
    """All drivers' ways to say it become one; numbers and tuples are left out."""
    assert "Connection refused" == said(service, host, 1)


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, silent: int, service: ServiceName) -> None:
    """A server that accepts and is silent is waited for, not for ever."""
    monkeypatch.setattr(probes, "_ANSWER_LIMIT", 0.3)
    assert "it gave no answer in time" == said(service, "127.0.0.1", silent)


@pytest.mark.parametrize("service", SERVICES)
def test_somebody_hangs_up(rude: int, service: ServiceName) -> None:
    """The driver's own words, without its brackets."""
    assert said(service, "127.0.0.1", rude)[0] not in "([{'\""
