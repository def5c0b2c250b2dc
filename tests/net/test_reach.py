"""Addresses that a node's server may have: the rules, and that they are checked when connecting."""

from __future__ import annotations

import asyncio
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.tls import Cluster

from modelscan.core.reach import Reach, in_networks, read_networks
from modelscan.core.tls import TlsFiles
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.pool import ConnectionPool
from modelscan.gateway.data.upstream import SendFailure
from modelscan.gateway.data.writes import Writes
from modelscan.net.reach import connect, reach_fault
from modelscan.routing.table import Backend
from modelscan.supervisor.health import Address, ask

HERE, AWAY = Reach(own_machine=True), Reach()


@pytest.mark.parametrize(
    ("text", "address", "inside"),
    [
        ("loopback,private", "127.9.9.9", True),
        ("loopback,private", "::1", True),
        ("loopback,private", "::ffff:10.1.1.1", True),
        ("loopback,private", "fd12::1", True),
        ("loopback,private", "100.64.0.1", False),
        ("loopback,private", "8.8.8.8", False),
        ("private", "127.0.0.1", False),
        ("private,100.64.0.0/10", "100.64.0.1", True),
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("any", "2001:db8::1", True),
        ("", "10.0.0.1", False),
        ("any", "gpu1.lan", False),
    ],
)
def test_networks(text: str, address: str, inside: bool) -> None:
    assert in_networks(address, read_networks(text)) is inside


@pytest.mark.parametrize("text", ["internet", "10.0.0.0/40", "10.0.0", "private;any"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError):
        read_networks(text)


def test_metadata_services_are_in_no_network() -> None:
    everything = Reach(("any",), own_machine=True)
    for address in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fe80::1", "0.0.0.0"):
        assert reach_fault(address, 80, everything) is not None, address


@pytest.fixture
def port() -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Names:
    """A name service whose answers change: ``rebound`` is what the attacker's name resolves to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rebound: list[str] = []
        real = socket.getaddrinfo

        def lookup(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
            if host != "node.example":
                return real(host, port, *rest, **more)
            return [one for ip in self.rebound for one in real(ip, port, *rest, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)


def test_a_name_that_stands_for_another_address_later_is_refused(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch)
    for addresses in (["127.0.0.1"], ["10.0.0.7", "127.0.0.1"], ["169.254.169.254"], ["8.8.8.8"]):
        names.rebound = addresses
        with pytest.raises(OSError, match=r"node\.example resolves to"):
            connect("node.example", port, AWAY, 5)
        assert ask(_address(port, AWAY), "GET", "/health", timeout_s=60) is None
    names.rebound = ["127.0.0.1"]
    reply = ask(_address(port, HERE), "GET", "/health", timeout_s=60)
    assert reply is not None and reply.status == 200


def _address(port: int, reach: Reach) -> Address:
    return Address("node.example", port, reach=reach)


class Sent:
    """Takes what becomes of a request."""

    def __init__(self) -> None:
        self.failure: tuple[str, SendFailure] | None = None
        self.upstreams: list[object] = []
        self.over = asyncio.Event()

    def connected(self, upstream: Any) -> bool:
        if upstream is not None:
            self.upstreams.append(upstream)
            self.over.set()
        return False

    def failed(self, reason: str, how: SendFailure) -> None:
        self.failure = reason, how
        self.over.set()


def test_the_data_path_checks_each_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(reach: Reach) -> Sent:
        loop, sent = asyncio.get_running_loop(), Sent()
        backend = Backend("n", "http", "node.example", port, reach=reach)
        pool = ConnectionPool(loop, backend, Timing(), 5.0, Writes(loop))
        pool.send(sent, b"GET / HTTP/1.1\r\n\r\n", b"")  # type: ignore[arg-type]
        await sent.over.wait()
        pool.close()
        return sent

    names = Names(monkeypatch)
    names.rebound = ["127.0.0.1"]
    refused = asyncio.run(send(AWAY))
    assert refused.failure is not None and refused.failure[1] is SendFailure.NOT_SENT
    assert "own machine" in refused.failure[0]
    assert len(asyncio.run(send(HERE)).upstreams) == 1


def test_probes_over_tls_use_the_name_and_the_certificate(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(2):
                raw, _ = listening.accept()
                try:
                    with cluster.server().wrap_socket(raw, server_side=True) as secure:
                        secure.recv(65536)
                        secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                except (ssl.SSLError, OSError):
                    raw.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        files = TlsFiles(*(str(one) for one in (cluster.cert("ca"), cluster.cert("laptop"),
                                                cluster.key("laptop"))))  # fmt: skip
        answers = [
            ask(Address("localhost", port, None, "https", tls=tls, reach=HERE), "GET", "/health",
                timeout_s=30)
            for tls in (files, TlsFiles(files.ca))
        ]  # fmt: skip
        thread.join(60)
    assert answers[0] is not None and answers[0].status == 200
    assert answers[1] is None
