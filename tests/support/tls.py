"""Certificates for tests: modelscan's own authority, and a stranger's by trustme."""

from __future__ import annotations

import contextlib
import socket
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import trustme

from modelscan.gateway.node.certificates import CertificateFolder


class Cluster:
    """An authority with a certificate for 127.0.0.1 (``gw``) and one of a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = CertificateFolder(folder)
        self.path = folder
        self.folder.init("test cluster")
        self.folder.issue("gw", ["127.0.0.1", "localhost"])
        self.folder.issue("laptop", [], use="client")

    def cert(self, name: str) -> Path:
        return self.path / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.path / f"{name}.key"

    def listen(self, name: str = "gw") -> tuple[str, ...]:
        """The options of ``serve``."""
        return ("--tls-cert", str(self.cert(name)), "--tls-key", str(self.key(name)),
                "--client-ca", str(self.cert("ca")))  # fmt: skip

    def client(self, name: str | None = "laptop") -> ssl.SSLContext:
        """A client that trusts the authority, with a certificate or without."""
        context = ssl.create_default_context(cafile=str(self.cert("ca")))
        if name is not None:
            context.load_cert_chain(self.cert(name), self.key(name))
        return context

    def server(self, name: str = "gw") -> ssl.SSLContext:
        """A server that demands a certificate of the authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert(name), self.key(name))
        context.load_verify_locations(self.cert("ca"))
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def expire(self, name: str) -> None:
        """Replace a certificate by one of the same authority that ended yesterday."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        old = x509.load_pem_x509_certificate(self.cert(name).read_bytes())
        signer = serialization.load_pem_private_key(self.key("ca").read_bytes(), None)
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number)
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now - timedelta(days=1))
        )
        for one in old.extensions:
            builder = builder.add_extension(one.value, one.critical)
        made = builder.sign(signer, hashes.SHA256())  # type: ignore[arg-type]
        self.cert(name).write_bytes(made.public_bytes(serialization.Encoding.PEM))


def stranger(folder: Path, *hosts: str) -> tuple[Path, Path, Path]:
    """Certificate, key and authority of somebody else's cluster."""
    authority = trustme.CA()
    made = authority.issue_cert(*(hosts or ("127.0.0.1",)))
    cert, key, ca = folder / "stranger.pem", folder / "stranger.key", folder / "stranger-ca.pem"
    made.cert_chain_pems[0].write_to_path(cert)
    made.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    return cert, key, ca


def answered(url: str, context: ssl.SSLContext | None) -> bytes:
    """All bytes of application data that a server sends to ``GET /health``; b"" if it refuses."""
    host, _, port = url.rpartition("//")[2].rpartition(":")
    received = b""
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection((host, int(port)), timeout=60) as plain,
    ):
        sock = plain if context is None else context.wrap_socket(plain, server_hostname=host)
        with sock:
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while part := sock.recv(4096):
                received += part
    return received


def serial(url: str, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that a server presents."""
    host, _, port = url.rpartition("//")[2].rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=host) as sock,
    ):
        facts = sock.getpeercert()
        assert facts is not None
        return int(str(facts["serialNumber"]), 16)
