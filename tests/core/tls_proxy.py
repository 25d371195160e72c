"""Between a client and a real server, on the loopback: without TLS, or with our own."""

import datetime as dt
import ipaddress
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "Proxy", "plain", "proxy", "terminating"]

CLIENT_SSL = 0x0800

Meeting: TypeAlias = Callable[[socket.socket, socket.socket], tuple[socket.socket, socket.socket]]


@dataclass
class Proxy:
    """Where it listens, and what clients sent after the first answer."""

    port: int
    seen: bytearray = field(default_factory=bytearray)


class Authority:
    """A certificate authority for one test, with servers at two places: contexts by host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        signed = self._builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file = folder / "ca.pem"
        certificate = signed.sign(self.key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.contexts = {host: self._context(host) for host in ("127.0.0.1", "elsewhere.example")}

    def _context(self, host: str) -> ssl.SSLContext:
        """Build the server's side, with a certificate for that host."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test server")])
        try:
            place: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            place = x509.DNSName(host)
        builder = self._builder(name, key).add_extension(
            x509.SubjectAlternativeName([place]), critical=False
        )
        file = self.folder / f"{host}.pem"
        pem = serialization.Encoding.PEM
        secret = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(secret + builder.sign(self.key, hashes.SHA256()).public_bytes(pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
        )


def plain(backend: str) -> Meeting:
    """Say that the server offers no TLS."""

    def meet_postgresql(
        client: socket.socket, server: socket.socket
    ) -> tuple[socket.socket, socket.socket]:
        _exactly(client, 8)
        client.sendall(b"N")
        return client, server

    def meet_mysql(
        client: socket.socket, server: socket.socket
    ) -> tuple[socket.socket, socket.socket]:
        greeting = bytearray(_packet(server))
        capabilities = greeting.index(0, 5) + 1 + 4 + 8 + 1
        (flags,) = struct.unpack_from("<H", greeting, capabilities)
        assert flags & CLIENT_SSL
        struct.pack_into("<H", greeting, capabilities, flags & ~CLIENT_SSL)
        client.sendall(greeting)
        return client, server

    return meet_postgresql if backend == "postgresql" else meet_mysql


def terminating(backend: str, context: ssl.SSLContext) -> Meeting:
    """Show the client a certificate of our own, and hand on what it sends."""

    def meet_postgresql(
        client: socket.socket, server: socket.socket
    ) -> tuple[socket.socket, socket.socket]:
        _exactly(client, 8)
        client.sendall(b"S")
        return context.wrap_socket(client, server_side=True), server

    def meet_mysql(
        client: socket.socket, server: socket.socket
    ) -> tuple[socket.socket, socket.socket]:
        client.sendall(_packet(server))
        request = _packet(client)
        wrapped = context.wrap_socket(client, server_side=True)
        server.sendall(request)
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        return wrapped, anyone.wrap_socket(server)

    return meet_postgresql if backend == "postgresql" else meet_mysql


@contextmanager
def proxy(target: tuple[str, int], meet: Meeting) -> Iterator[Proxy]:
    """Listen for a block, in threads of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Proxy(listener.getsockname()[1])

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    arguments = (client, target, meet, made)
                    threading.Thread(target=_join, args=arguments, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)


def _join(client: socket.socket, target: tuple[str, int], meet: Meeting, made: Proxy) -> None:
    server = socket.create_connection(target)
    for end in (client, server):
        end.settimeout(10)
    ends = [client, server]
    with suppress(OSError):  # a handshake that was refused, or an end that is gone
        ends = [*meet(client, server)]
        _pump(ends[0], ends[1], made.seen)
    for end in ends:
        end.close()


def _pump(client: socket.socket, server: socket.socket, seen: bytearray) -> None:
    while True:
        ready = [end for end in (client, server) if _pending(end)]
        for end in ready or select.select([client, server], [], [])[0]:
            data = end.recv(65536)
            if not data:
                return
            if end is client:
                seen += data
            (server if end is client else client).sendall(data)


def _pending(end: socket.socket) -> int:
    return end.pending() if isinstance(end, ssl.SSLSocket) else 0


def _exactly(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = end.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def _packet(end: socket.socket) -> bytes:
    head = _exactly(end, 4)
    return head + _exactly(end, int.from_bytes(head[:3], "little"))
