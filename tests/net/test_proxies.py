"""Proxies of the environment, with a real one in a process of its own that records its requests.

An address of this machine never goes through it, whatever the variables say; others do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support import recording_proxy
from support.http_faces import AsyncFace, Face, SyncFace

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.route import Route
from modelscan.net.exchange import HttpSettings
from modelscan.routing.probe import probe_route
from modelscan.supervisor.health import Address, ask
from modelscan.targets.gpustack.client import Client, Connection
from modelscan.targets.ollama.client import OllamaClient

pytest_plugins = ["support.http_fixtures"]
pytestmark = pytest.mark.timeout(300)
ONCE = HttpSettings(timeout_s=10.0, pauses_s=())


class Version(BaseHTTPRequestHandler):
    """Answers every GET as GPUStack, Ollama and an OpenAI server would."""

    def do_GET(self) -> None:
        body = json.dumps({"version": "2.3.0", "data": [{"id": "tiny"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Server6(ThreadingHTTPServer):
    import socket

    address_family = socket.AF_INET6


@pytest.fixture
def serve() -> Iterator[Callable[[str], int]]:
    """Start a server on a loopback address; its port."""
    servers: list[ThreadingHTTPServer] = []

    def start(host: str) -> int:
        kind = Server6 if ":" in host else ThreadingHTTPServer
        try:
            server = kind((host, 0), Version)
        except OSError:
            pytest.skip(f"{host} cannot be listened on here")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Proxy:
    url: str
    log: Path

    def requests(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def proxy(serve: Callable[[str], int], tmp_path: Path) -> Iterator[Proxy]:
    log = tmp_path / "proxy.log"
    command = [sys.executable, recording_proxy.__file__, "127.0.0.1", str(serve("127.0.0.1")), log]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield Proxy(f"http://127.0.0.1:{port}", log)
        process.terminate()


VARIABLES = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
EXCEPTIONS: list[str | None] = [None, "", "elsewhere.example"]


def set_proxy(monkeypatch: pytest.MonkeyPatch, name: str, url: str, no_proxy: str | None) -> None:
    monkeypatch.setenv(name, url)
    if no_proxy is not None:
        monkeypatch.setenv("NO_PROXY", no_proxy)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.6.7", "localhost", "[::1]"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_loopback_goes_straight(
    face: Face,
    serve: Callable[[str], int],
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    variable: str,
) -> None:
    port = serve({"localhost": "127.0.0.1"}.get(host, host.strip("[]")))
    for no_proxy in EXCEPTIONS:
        set_proxy(monkeypatch, variable, proxy.url, no_proxy)
        assert face.get(f"http://{host}:{port}/version", ONCE).status == 200
    assert proxy.requests() == []


@pytest.mark.parametrize("variable", VARIABLES)
def test_other_addresses_go_through_it(
    tls_face: Face, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    set_proxy(monkeypatch, variable, proxy.url, "elsewhere.example")
    answer = tls_face.get("http://models.invalid/version?x=1", ONCE)
    assert answer.json()["version"] == "2.3.0"
    assert proxy.requests() == ["GET http://models.invalid/version?x=1 HTTP/1.1"]


def test_encrypted_ones_by_a_tunnel(
    tls_face: Face, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(ModelscanError):  # what is behind the tunnel speaks no TLS
        tls_face.get("https://models.invalid/", ONCE)
    assert proxy.requests() == ["CONNECT models.invalid:443 HTTP/1.1"]


@pytest.mark.parametrize("no_proxy", ["models.invalid", "invalid", "*"])
def test_no_proxy_is_honoured(
    tls_face: Face, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    set_proxy(monkeypatch, "HTTP_PROXY", proxy.url, no_proxy)
    with pytest.raises(ModelscanError):  # no such host
        tls_face.get("http://models.invalid/version", ONCE)
    assert proxy.requests() == []


def asked_gpustack(url: str) -> Any:
    with Client(Connection("lab", url, attempts=1)) as client:
        return client.dialect.version


def asked_ollama(url: str) -> Any:
    return OllamaClient(url).version()


def asked_health(url: str) -> Any:
    parts = urlsplit(url)
    reply = ask(Address(parts.hostname or "", parts.port or 80), "GET", "/x", timeout_s=10)
    return None if reply is None else reply.body["version"]


def asked_route(url: str) -> Any:
    route = Route(name="r", type="openai", base_url=url, model="tiny")
    return "2.3.0" if probe_route(route, chat=False, timeout_s=10, offline=False).ok else None


CLIENTS = {
    "gpustack": asked_gpustack, "ollama": asked_ollama, "health": asked_health,
    "route": asked_route,
}  # fmt: skip


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client_goes_straight_to_this_machine(
    serve: Callable[[str], int], proxy: Proxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    set_proxy(monkeypatch, "ALL_PROXY", proxy.url, "")
    for host in ("127.0.0.1", "::1"):
        shown = f"[{host}]" if ":" in host else host
        assert CLIENTS[name](f"http://{shown}:{serve(host)}") == "2.3.0"
    assert proxy.requests() == []


@pytest.mark.parametrize("name", ["gpustack", "ollama", "route"])
def test_and_by_the_proxy_to_others(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert CLIENTS[name]("http://models.invalid") == "2.3.0"
    assert [line.split("/")[2] for line in proxy.requests()] == ["models.invalid"]


@pytest.mark.parametrize(
    "value", ["gopher://127.0.0.1:1", "http://me:secret@[::1", "http://127.0.0.1:none"]
)
def test_a_variable_that_cannot_be_used(
    tls_face: Face, serve: Callable[[str], int], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(UsageError, match="proxy settings") as caught:
        tls_face.get("http://models.invalid/", ONCE)
    assert caught.value.code == "bad_proxy"
    assert "NO_PROXY=models.invalid" in (caught.value.hint or "")
    assert "secret" not in caught.value.message
    assert tls_face.get(f"http://127.0.0.1:{serve('127.0.0.1')}/", ONCE).status == 200


@pytest.mark.parametrize("face", [SyncFace("httpx"), AsyncFace()], ids=["httpx", "async"])
def test_a_proxy_that_is_away(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ModelscanError, match=r"models\.invalid") as caught:
        face.get("http://models.invalid/", ONCE)
    assert caught.value.code == "connect"
