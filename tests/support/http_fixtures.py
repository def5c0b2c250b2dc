"""The faces of the HTTP client, the web that they talk to, and a certificate for it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_hub import FakeHub
from support.http_faces import AsyncFace, Face, SyncFace


@pytest.fixture(params=["httpx", "local", "async"])
def face(request: pytest.FixtureRequest) -> Face:
    return AsyncFace() if request.param == "async" else SyncFace(request.param)


@pytest.fixture(params=["httpx", "async"])
def tls_face(request: pytest.FixtureRequest) -> Face:
    """Those that speak TLS and read compressed bodies."""
    return AsyncFace() if request.param == "async" else SyncFace(request.param)


@pytest.fixture
def web() -> Iterator[FakeHub]:
    with FakeHub() as running:
        running.documents["/api.json"] = b'{"acme": {"models": {}}}'
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def tls_hub(certificate: tuple[Path, Path]) -> Iterator[FakeHub]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with FakeHub(tls=context) as running:
        running.documents["/api.json"] = b"{}"
        yield running
