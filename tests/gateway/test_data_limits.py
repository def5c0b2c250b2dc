"""Limits of heads, bodies, time and memory, each with its status, and an answer that arrives."""

from __future__ import annotations

import socket
import threading

import pytest
from support.gateway_client import CHAT, HEAD, Client, body, get, one, request
from support.gateway_rig import Gateway
from support.gateway_upstream import chunk
from test_relay import resident

START = b"POST " + CHAT + b" HTTP/1.1\r\n" + HEAD
TE = b"Transfer-Encoding: chunked\r\n\r\n"

TOO_LARGE = {
    "a header of 2 MB": (START + b"X-A: " + b"a" * 2_000_000 + b"\r\n\r\n", 431),
    "a header of 100 KB, in one read": (START + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    "20,000 headers": (START + b"".join(b"X-%d: 1\r\n" % n for n in range(20_000)) + b"\r\n", 431),
    "a target of 300 KB": (b"POST /v1/" + b"a" * 300_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 431),
    "a length of 99 GB": (START + b"Content-Length: 99999999999\r\n\r\n{", 413),
    "a body over the limit in chunks": (START + TE + chunk(b"x" * 65_536) * 200, 413),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_too_large(gateway: Gateway, name: str) -> None:
    raw, status = TOO_LARGE[name]
    answer = one(gateway.port, raw)
    assert answer.status == status
    assert answer.header(b"connection") == b"close"


ENDLESS = {
    "header lines without a key": (b"POST /v1/x HTTP/1.1\r\nHost: x\r\n", b"X-A: aaaaaaaaaa\r\n"),
    "trailers": (START + TE + chunk(body()) + b"0\r\n", b"X-A: aaaaaaaaaa\r\n"),
    "one trailer": (START + TE + chunk(body()) + b"0\r\nX-A: ", b"a" * 40),
    "an extension of a chunk": (START + TE + chunk(body()) + b"1;x=", b"a" * 40),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless(gateway: Gateway, name: str) -> None:
    """Refused soon, in constant memory, and the refusal can be read while more is being sent."""
    start, unit = ENDLESS[name]
    before = resident(gateway.processes[0].pid)
    with Client(gateway.port) as client:
        client.send(start)
        sender = threading.Thread(target=flood, args=(client.sock, unit * 2000, 20 << 20))
        sender.start()
        assert client.read().status == 431
        sender.join()
    assert resident(gateway.processes[0].pid) - before < 8 << 20


def flood(sock: socket.socket, block: bytes, count: int) -> None:
    """Send until so many bytes are out or the other side ends."""
    try:
        for _ in range(count // len(block)):
            sock.sendall(block)
    except OSError:
        pass


def test_the_refusal_of_a_key_can_be_read_by_a_sender(gateway: Gateway) -> None:
    """8 MB are on their way; the answer is not lost in a reset."""
    head = HEAD.replace(b"sk-ms-1", b"other")
    raw = request(b"x" * 8_000_000, head=head)
    with Client(gateway.port) as client:
        client.send(raw)
        answer = client.read()
    assert answer.status == 401
    assert answer.header(b"www-authenticate") == b"Bearer"


def test_slow_requests(gateway: Gateway) -> None:
    """408 when no further byte of a head, a body or a chunk arrives."""
    parts = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        START + b"Content-Length: 100\r\n\r\n{",
        START + TE + b"5\r\nhell",
    )
    clients = [Client(gateway.port) for _ in parts]
    for client, raw in zip(clients, parts, strict=True):
        client.send(raw)
    for client in clients:
        with client:
            answer = client.read(whole=False)
        assert (answer.status, answer.end) == (408, "closed")


def test_a_head_byte_by_byte(gateway: Gateway) -> None:
    """Progress does not extend the time for a head."""
    with Client(gateway.port) as client:
        client.send(START + b"X-Slow: ")
        client.sock.settimeout(0.1)
        answer = b""
        for _ in range(200):
            try:
                answer = client.sock.recv(1000)
                break
            except TimeoutError:
                client.send(b"a")
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_client_that_pipelines_and_does_not_read(gateway: Gateway) -> None:
    """Its requests are no longer read, and its answers do not fill the memory."""
    before = resident(gateway.processes[0].pid)
    with Client(gateway.port) as client:
        client.sock.settimeout(1.0)
        sent, block = 0, get(b"/v1/models") * 2000
        try:
            while sent < 60_000_000:
                sent += client.sock.send(block)
        except OSError:  # no room in the buffers, or given up by the gateway
            pass
        assert sent < 60_000_000
        assert resident(gateway.processes[0].pid) - before < 16 << 20
