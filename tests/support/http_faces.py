"""The faces of the HTTP client under one interface, the hub that they talk to, a certificate."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from support.fake_hub import FakeHub

from modelscan.net.async_client import AsyncHttpClient
from modelscan.net.client import HttpClient
from modelscan.net.exchange import Answer, HttpSettings, Limits
from modelscan.net.httpx_transport import HttpxTransport
from modelscan.net.local import LocalTransport

QUICK = (0.01, 0.01)


class Face(Protocol):
    """One way to use the client."""

    name: str

    def get(self, url: str, settings: HttpSettings, **options: Any) -> Answer: ...

    def send(
        self, method: str, url: str, settings: HttpSettings, limits: Limits | None, **options: Any
    ) -> Answer: ...

    def lines(self, url: str, settings: HttpSettings, **options: Any) -> list[str]: ...


class SyncFace:
    def __init__(self, name: str) -> None:
        self.name = name

    def _client(self, settings: HttpSettings) -> HttpClient:
        local = self.name == "local"
        return HttpClient(settings, LocalTransport() if local else HttpxTransport(settings.ca_file))

    def get(self, url: str, settings: HttpSettings, **options: Any) -> Answer:
        with self._client(settings) as client:
            return client.get(url, **options)

    def send(
        self, method: str, url: str, settings: HttpSettings, limits: Limits | None, **options: Any
    ) -> Answer:
        with self._client(settings) as client:
            return client.send(method, url, limits=limits, **options)

    def lines(self, url: str, settings: HttpSettings, **options: Any) -> list[str]:
        with self._client(settings) as client, client.lines("GET", url, **options) as lines:
            return list(lines)


class AsyncFace:
    name = "async"

    def get(self, url: str, settings: HttpSettings, **options: Any) -> Answer:
        async def run() -> Answer:
            async with AsyncHttpClient(settings) as client:
                return await client.get(url, **options)

        return asyncio.run(run())

    def send(
        self, method: str, url: str, settings: HttpSettings, limits: Limits | None, **options: Any
    ) -> Answer:
        async def run() -> Answer:
            async with AsyncHttpClient(settings) as client:
                return await client.send(method, url, limits=limits, **options)

        return asyncio.run(run())

    def lines(self, url: str, settings: HttpSettings, **options: Any) -> list[str]:
        async def run() -> list[str]:
            async with (
                AsyncHttpClient(settings) as client,
                client.lines("GET", url, **options) as lines,
            ):
                return [line async for line in lines]

        return asyncio.run(run())


@pytest.fixture(params=["httpx", "local", "async"])
def face(request: pytest.FixtureRequest) -> Face:
    return AsyncFace() if request.param == "async" else SyncFace(request.param)


@pytest.fixture(params=["httpx", "async"])
def tls_face(request: pytest.FixtureRequest) -> Face:
    """Those that speak TLS and read compressed bodies."""
    return AsyncFace() if request.param == "async" else SyncFace(request.param)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
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
