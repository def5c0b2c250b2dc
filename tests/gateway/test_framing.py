"""Requests whose meaning is not certain are refused, and none of them reaches a backend."""

from __future__ import annotations

import pytest
from support.gateway_client import CHAT, HEAD, body, chunked, get, one, request
from support.gateway_rig import Gateway
from support.gateway_upstream import Upstream, chunk

B = body()
START = b"POST " + CHAT + b" HTTP/1.1\r\n" + HEAD
HIDDEN = b"POST /v1/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
LENGTH = b"Content-Length: %d\r\n" % len(B)
TE = b"Transfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"

UNCERTAIN = {
    "length and chunks": START + b"Content-Length: %d\r\n" % (len(chunk(B)) + 5) + TE + b"\r\n"
    + chunk(B) + LAST + HIDDEN,
    "chunks and length": START + TE + b"Content-Length: 4\r\n\r\n" + chunk(B) + LAST,
    "two lengths": START + LENGTH + b"Content-Length: 999\r\n\r\n" + B + HIDDEN,
    "the same length twice": START + LENGTH + LENGTH + b"\r\n" + B,
    "a list of lengths": START + b"Content-Length: %d, %d\r\n\r\n" % (len(B), len(B)) + B,
    "length with plus": START + b"Content-Length: +%d\r\n\r\n" % len(B) + B,
    "negative length": START + b"Content-Length: -1\r\n\r\n" + B,
    "hexadecimal length": START + b"Content-Length: 0x10\r\n\r\n" + B,
    "length too long for 64 bits": START + b"Content-Length: 99999999999999999999999\r\n\r\n" + B,
    "chunk size zz": START + TE + b"\r\nzz\r\n" + B,
    "chunk size overflows": START + TE + b"\r\nFFFFFFFFFFFFFFFFF1\r\n" + B,
    "chunk size 0x": START + TE + b"\r\n0x%x\r\n" % len(B) + B + b"\r\n" + LAST,
    "negative chunk size": START + TE + b"\r\n-5\r\n" + B + b"\r\n" + LAST,
    "chunk size ends in LF": START + TE + b"\r\n%x\n" % len(B) + B + b"\r\n" + LAST,
    "chunk without CRLF": START + TE + b"\r\n%x\r\n" % len(B) + B + b"XX" + LAST,
    "encoding xchunked": START + b"Transfer-Encoding: xchunked\r\n\r\n" + chunk(B) + LAST,
    "encoding gzip, chunked": START + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk(B) + LAST,
    "encoding chunked twice": START + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + chunk(B)
    + LAST,
    "encoding in two headers": START + TE + b"Transfer-Encoding: identity\r\n\r\n" + chunk(B)
    + LAST,
    "encoding after a tab": START + b"Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n"
    + chunk(B) + LAST,
    "encoding in HTTP/1.0": START.replace(b"1.1", b"1.0") + TE + b"\r\n" + chunk(B) + LAST,
    "folded header": request(extra=b"X-A: 1\r\n folded\r\n"),
    "only line feeds": request().replace(b"\r\n", b"\n"),
    "a line feed in the head": request(extra=b"X-A: 1\nX-B: 2\r\n"),
    "a carriage return in a value": request(extra=b"X-A: 1\rX-B: 2\r\n"),
    "NUL": request(extra=b"X-A: a\x00b\r\n"),
    "control character": request(extra=b"X-A: a\x01b\r\n"),
    "space before the colon": START + b"Content-Length : %d\r\n\r\n" % len(B) + B,
    "empty name": request(extra=b": x\r\n"),
    "no colon": request(extra=b"X-A\r\n"),
    "no host": request().replace(b"Host: x\r\n", b""),
    "two hosts": request(extra=b"Host: y\r\n"),
    "two keys": request(extra=b"Authorization: Bearer other\r\n"),
    "HTTP/2.0": request(version=b"2.0"),
    "HTTP/1.2": request(version=b"1.2"),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "a space in the method": request(method=b"PO ST"),
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "absolute target": request(path=b"http://other/v1/chat/completions"),
    "control characters in the target": request(path=CHAT + b"?a=\x01\x7f\xff"),
    "dot segments": request(path=b"/v1/../admin"),
    "encoded dot segments": request(path=b"/v1/%2e%2e/admin"),
    "half-encoded dot segments": request(path=b"/v1/x/..%2fadmin"),
    "backslash": request(path=b"/v1/..\\admin"),
    "two slashes": request(path=b"//other/v1/chat/completions"),
    "target *": request(path=b"*"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNCERTAIN)
def test_refused(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """400, the connection ends, nothing is forwarded."""
    before = len(upstream.seen)
    answer = one(gateway.port, UNCERTAIN[name], whole=False)
    assert (answer.status, answer.end) == (400, "closed"), answer.raw
    assert answer.raw.count(b"HTTP/1.1 4") == 1
    assert len(upstream.seen) == before


ACCEPTED = {
    "length": request(),
    "chunks, a trailer, an extension": chunked(B, trailer=b"X-T: 1\r\n").replace(
        b"\r\n\r\n7\r\n", b"\r\n\r\n7;x=1\r\n"
    ),
    "empty lines before": b"\r\n\r\n" + request(),
    "Java's offer of HTTP/2": request(
        extra=b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    ),
    "HTTP/1.0": request(version=b"1.0"),
    "a query": request(path=CHAT + b"?beta=true"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """Unusual and certain: forwarded once, whole."""
    before = len(upstream.seen)
    answer = one(gateway.port, ACCEPTED[name])
    assert answer.status == 200
    assert len(upstream.seen) == before + 1
    assert upstream.seen[-1].document["messages"] == [{"role": "user", "content": ""}]
    assert upstream.seen[-1].header(b"upgrade") is None


def test_a_hop_header_is_not_forwarded(gateway: Gateway, upstream: Upstream) -> None:
    """Neither the standard ones, nor those that Connection names, nor ours, nor the key."""
    extra = (
        b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nX-Kept: 1\r\n"
        b"X-Modelscan-Key: admin\r\nCookie: a=b\r\nAccept-Encoding: gzip\r\n"
    )
    assert one(gateway.port, request(extra=extra)).status == 200
    head = upstream.seen[-1].head.lower()
    assert b"x-kept: 1" in head
    for name in (b"x-hop", b"te:", b"x-modelscan", b"cookie", b"accept-encoding", b"sk-ms-1"):
        assert name not in head


def test_pipelined_requests_are_answered_in_order(gateway: Gateway, upstream: Upstream) -> None:
    """Three at once; the last one closes."""
    raw = request(body("delay", x_tag=1)) + request(body(x_tag=2))
    raw += request(body(x_tag=3), extra=b"Connection: close\r\n")
    before = len(upstream.seen)
    answer = one(gateway.port, raw, whole=False)
    assert answer.raw.count(b"HTTP/1.1 200") == 3
    assert [seen.document["x_tag"] for seen in upstream.seen[before:]] == [1, 2, 3]


def test_a_refused_request_in_a_pipeline_waits_for_its_turn(gateway: Gateway) -> None:
    answer = one(gateway.port, request() + b"nonsense\r\n\r\n" + request(), whole=False)
    statuses = [part[:3] for part in answer.raw.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"400"]


def test_many_pipelined_requests(gateway: Gateway) -> None:
    """500 requests in one write are all answered."""
    raw = get(b"/v1/models") * 499 + get(b"/v1/models", b"Connection: close\r\n")
    answer = one(gateway.port, raw, whole=False)
    assert answer.raw.count(b"HTTP/1.1 200") == 500
