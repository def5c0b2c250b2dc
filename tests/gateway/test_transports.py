"""Ways in and out: TLS with client certificates, IPv6, unix sockets and https backends."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.gateway_client import HEAD, Client, body, request
from support.gateway_rig import Gateway, access, backend, key, route, table
from support.gateway_upstream import PIECES, Upstream

from modelscan.gateway.data.options import Tls
from modelscan.gateway.snapshot import Snapshot

DAY = datetime.timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(folder: Path, subject: str, issuer: tuple[Path, Path] | None) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as files; ``issuer`` None: an authority."""
    private = ec.generate_private_key(ec.SECP256R1())
    signing, issued_by = private, name(subject)
    if issuer is not None:
        issued_by = x509.load_pem_x509_certificate(issuer[0].read_bytes()).subject
        loaded = serialization.load_pem_private_key(issuer[1].read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signing = loaded
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject)).issuer_name(issued_by).public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY).not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(signing, hashes.SHA256())
    )  # fmt: skip
    paths = folder / f"{subject}.pem", folder / f"{subject}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    return paths


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Path]]]:
    folder = tmp_path_factory.mktemp("tls")
    authority = certificate(folder, "authority", None)
    yield {
        "authority": authority,
        "server": certificate(folder, "server", authority),
        "client": certificate(folder, "client", authority),
        "other": certificate(folder, "other", certificate(folder, "stranger", None)),
    }


def trusting(files: dict[str, tuple[Path, Path]], client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files["authority"][0]))
    if client is not None:
        context.load_cert_chain(*files[client])
    return context


def connect(port: int, context: ssl.SSLContext) -> Client:
    plain = socket.create_connection(("127.0.0.1", port), 10)
    return Client(port, context.wrap_socket(plain, server_hostname="127.0.0.1"))


def snapshot(upstream: Upstream, **fields: object) -> Snapshot:
    port = upstream.port if upstream.ports else 80
    return Snapshot(table([backend("a", port, **fields)], route("fast", 0)), access(key()))


def test_tls(upstream: Upstream, files: dict[str, tuple[Path, Path]]) -> None:
    """Answers, streams, and a refusal that can be read while a body is being sent."""
    tls = Tls(*(str(path) for path in files["server"]))
    with Gateway(snapshot(upstream), tls=tls) as gateway:
        with connect(gateway.port, trusting(files)) as client:
            assert client.ask(request()).status == 200
            assert client.ask(request(body("three", stream=True))).body == b"".join(PIECES)
        with connect(gateway.port, trusting(files)) as client:
            raw = request(b"x" * 4_000_000, head=HEAD.replace(b"sk-ms-1", b"other"))
            client.send(raw)
            assert client.read().status == 401
        with Client(gateway.port) as plain:
            plain.send(request())
            assert plain.read(whole=False).status != 200


def accepted(port: int, context: ssl.SSLContext) -> bool:
    """Whether a request is answered."""
    try:
        with connect(port, context) as client:
            client.send(request())
            return bool(client.read(whole=False).raw)
    except (ssl.SSLError, ConnectionError):
        return False


def test_client_certificates(upstream: Upstream, files: dict[str, tuple[Path, Path]]) -> None:
    tls = Tls(*(str(path) for path in files["server"]), str(files["authority"][0]))
    with Gateway(snapshot(upstream), tls=tls) as gateway:
        with connect(gateway.port, trusting(files, "client")) as client:
            assert client.ask(request()).status == 200
        for refused in (None, "other"):
            assert not accepted(gateway.port, trusting(files, refused))


def test_https_backends(
    files: dict[str, tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verified against the system's certificates; a stranger's certificate is refused."""
    for owner, status in (("server", 200), ("other", 502)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files[owner])
        monkeypatch.setenv("SSL_CERT_FILE", str(files["authority"][0]))
        with (
            Upstream(tls=context) as secure,
            Gateway(snapshot(secure, scheme="https")) as gateway,
            Client(gateway.port) as client,
        ):
            assert client.ask(request()).status == status
            if status == 200:
                stream = client.ask(request(body("three", stream=True)))
                assert stream.body == b"".join(PIECES)


def test_unix_socket_backends(tmp_path: Path) -> None:
    path = str(tmp_path / "u.sock")
    with (
        Upstream(unix=path) as local,
        Gateway(snapshot(local, unix_socket=path)) as gateway,
        Client(gateway.port) as client,
    ):
        assert client.ask(request()).status == 200
        assert client.ask(request(body("race"))).status == 200


def test_ipv6(upstream: Upstream) -> None:
    """Listening on ::1, and a backend there, with its Host header."""
    if not has_ipv6():
        pytest.skip("no IPv6 loopback here")
    with Gateway(snapshot(upstream), host="::1") as far:
        there = backend("far", far.port, host="::1")
        made = Snapshot(table([there], route("fast", 0)), access(key()))
        with Gateway(made) as near, Client(near.port) as client:
            client.send(request())
            assert client.read().status == 401  # the far gateway, without a credential for it
            sock = socket.create_connection(("::1", far.port), 10)
            with Client(far.port, sock) as direct:
                assert direct.ask(request()).status == 200


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
