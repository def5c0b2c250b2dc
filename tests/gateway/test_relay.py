"""Answers on their way back: whole, streamed, broken, late, and clients that leave."""

from __future__ import annotations

import socket
import time

import pytest
from support.gateway_client import HEAD, Client, body, get, one, request
from support.gateway_rig import Gateway
from support.gateway_upstream import ANSWER, BIG_BLOCK, BIG_BLOCKS, PIECES, Upstream


def test_an_answer_passes_unchanged(gateway: Gateway, upstream: Upstream) -> None:
    """The model's name changes on the way there; nothing else does."""
    content = b'{"model":"fast","n":1e400,"x":123456789012345678901234567890,"y":{"a":[ 1 ]}}'
    answer = one(gateway.port, request(content))
    assert (answer.status, answer.document) == (200, ANSWER)
    assert upstream.seen[-1].body == content.replace(b'"fast"', b'"upstream-model"')
    gateway.wait_for(lambda: len(gateway.receipts) > 0)


def test_a_stream_passes_in_pieces(gateway: Gateway, upstream: Upstream) -> None:
    """Three bytes at a time from the backend, the same bytes and one [DONE] at the client."""
    answer = one(gateway.port, request(body("three", stream=True)))
    assert answer.is_chunked and answer.body == b"".join(PIECES)
    assert answer.body.count(b"[DONE]") == 1


def test_a_request_in_pieces(gateway: Gateway, upstream: Upstream) -> None:
    with Client(gateway.port) as client:
        raw = request(body(pad=300))
        for start in range(0, len(raw), 3):
            client.send(raw[start : start + 3])
        assert client.read().status == 200
    assert len(upstream.seen[-1].document["messages"][0]["content"]) == 300


@pytest.mark.parametrize("mode", ["cut_stream", "reset_stream"])
def test_a_broken_stream_looks_broken(gateway: Gateway, mode: str) -> None:
    """What came is passed on; no last chunk follows."""
    answer = one(gateway.port, request(body(mode, stream=True)), whole=False)
    assert answer.status == 200 and b"data: 1" in answer.raw
    assert not answer.raw.endswith(b"0\r\n\r\n")


def test_a_broken_stream_looks_broken_in_http_1_0(gateway: Gateway) -> None:
    """Where the end of the connection is the end of the body, it is a reset."""
    raw = request(body("cut_stream", stream=True), version=b"1.0")
    assert one(gateway.port, raw, whole=False).end == "reset"


BAD_ANSWERS = {
    "cut_length": 502, "die": 502, "garbage": 502, "switching": 502, "big_head": 502,
    "two_framings": 502, "head_only": 502, "excess": 200, "interim": 200, "until_close": 200,
    "chunked_json": 200, "no_content": 204, "s500": 500, "safety": 400,
}  # fmt: skip


@pytest.mark.parametrize("mode", BAD_ANSWERS)
def test_bad_answers(gateway: Gateway, upstream: Upstream, mode: str) -> None:
    """A status before anything is written; one try; the next request is not affected."""
    before = len(upstream.seen)
    with Client(gateway.port) as client:
        assert client.ask(request(body(mode))).status == BAD_ANSWERS[mode]
        # A reused connection that closes without a byte is tried again, once.
        assert len(upstream.seen) - before <= (2 if mode == "die" else 1)
        assert client.ask(request(body())).document == ANSWER


def test_endless_trailers_of_a_backend(gateway: Gateway) -> None:
    assert one(gateway.port, request(body("endless_trailers"))).status == 502


@pytest.mark.parametrize("mode", ["race", "race_fin"])
def test_a_reused_connection_that_closed_is_tried_again_once(
    gateway: Gateway, upstream: Upstream, mode: str
) -> None:
    """Four requests over connections that close on use: all answered, over fresh ones."""
    with Client(gateway.port) as client:
        client.ask(request())
        before = len(upstream.seen)
        assert [client.ask(request(body(mode))).status for _ in range(4)] == [200] * 4
    tries = [seen.nth for seen in upstream.seen[before:]]
    assert len(tries) == 8 and tries.count(1) == 4


def test_connections_are_reused(gateway: Gateway, upstream: Upstream) -> None:
    """Twenty requests in a row need no new connection."""
    with Client(gateway.port) as client:
        client.ask(request())
        before = upstream.connections
        for _ in range(20):
            client.ask(request())
        assert upstream.connections == before


@pytest.mark.parametrize("mode", ["hang", "hang_in_stream"])
def test_a_client_that_leaves_cancels(gateway: Gateway, upstream: Upstream, mode: str) -> None:
    """The backend's connection closes, whether an answer has begun or not."""
    with Client(gateway.port) as client:
        client.send(request(body(mode, x_tag=mode)))
        gateway.wait_for(lambda: bool(upstream.seen) and upstream.seen[-1].mode == mode)
    seen = upstream.seen[-1]
    gateway.wait_for(lambda: seen.gone_at is not None)
    gateway.wait_for(lambda: any(receipt.status == 499 for receipt in gateway.receipts))


def test_half_close_is_leaving(gateway: Gateway) -> None:
    with Client(gateway.port) as client:
        client.send(request(body("delay")))
        client.sock.shutdown(socket.SHUT_WR)
        assert client.read(whole=False).raw == b""


def test_http_1_0(gateway: Gateway) -> None:
    """No chunks; the end of the connection is the end of a stream."""
    answer = one(gateway.port, request(version=b"1.0"), whole=False)
    assert (answer.status, answer.end, answer.is_chunked) == (200, "closed", False)
    raw = request(body("three", stream=True), version=b"1.0")
    stream = one(gateway.port, raw, whole=False)
    assert (stream.end, stream.is_chunked) == ("closed", False)
    assert stream.body == b"".join(PIECES)


def test_head(gateway: Gateway) -> None:
    """The length of the body, and no body; the connection stays usable."""
    with Client(gateway.port) as client:
        client.send(get(b"/v1/models", method=b"HEAD") + get(b"/v1/models"))
        raw = b""
        while raw.count(b"HTTP/1.1 200") < 2 or not raw.endswith(b"}"):
            raw += client.sock.recv(65536)
    first, second = raw.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.endswith(b"\r\n\r\n") and second.startswith(first[:-2])


def test_expect(gateway: Gateway) -> None:
    """An invitation before the body, and none for a refused one."""
    content = body()
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\n"
    with Client(gateway.port) as client:
        client.send(head + b"Content-Length: %d\r\n\r\n" % len(content))
        assert client.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(content)
        assert client.read().status == 200
    assert one(gateway.port, head + b"Content-Length: 99999999999\r\n\r\n").status == 413
    other = request(extra=b"Expect: 200-ok\r\n")
    assert one(gateway.port, other).status == 417


def test_a_client_that_does_not_read(gateway: Gateway) -> None:
    """52 MB to a client that stalls: the gateway stops reading from the backend."""
    process = gateway.processes[0].pid
    before = resident(process)
    with Client(gateway.port) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.send(request(body("big", stream=True)))
        data = client.sock.recv(65_536)
        steady(process)
        assert resident(process) - before < 8 << 20
        total = len(data)
        while not data.endswith(b"0\r\n\r\n"):
            data = client.sock.recv(1 << 20)
            total += len(data)
    assert total > BIG_BLOCKS * len(BIG_BLOCK)


def test_a_backend_that_does_not_read(gateway: Gateway, upstream: Upstream) -> None:
    """A body of 7 MB arrives whole."""
    raw = request(body(pad=7 << 20), extra=b"X-Mode: slowread\r\n")
    assert one(gateway.port, raw).status == 200
    assert len(upstream.seen[-1].body) > 7 << 20


def test_everything_is_given_back(gateway: Gateway) -> None:
    """After all of it no request is under way and no byte is held."""
    from modelscan.gateway.counters import BackendRow, GlobalRow, KeyRow

    counters = gateway.counters
    rows = [
        counters.backend(0, BackendRow.IN_FLIGHT),
        counters.key(0, KeyRow.IN_FLIGHT),
        counters.overall(GlobalRow.HELD_BYTES),
        counters.overall(GlobalRow.CONNECTIONS),
    ]
    gateway.wait_for(lambda: [counters.total(at) for at in rows] == [0, 0, 0, 0])


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def steady(pid: int) -> None:
    """Until the process uses no more processor time: nothing moves any more."""
    last = None
    while (now := cpu_time(pid)) != last:
        last = now
        time.sleep(0.2)


def cpu_time(pid: int) -> tuple[str, ...]:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return fields[11], fields[12]
