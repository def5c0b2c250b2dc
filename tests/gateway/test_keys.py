"""Keys: who may ask for what and how often, by whatever header the client sends it."""

from __future__ import annotations

import time

import pytest
from support.gateway_client import HEAD, Client, body, get, one, request
from support.gateway_control import Control
from support.gateway_rig import HASH_KEY, Gateway, access, backend, key, route, table
from support.gateway_upstream import Upstream

from modelscan.core.access import key_digest
from modelscan.gateway.counters import KeyRow
from modelscan.gateway.snapshot import Snapshot

HEADERS = {
    "bearer": b"Authorization: Bearer %b\r\n",
    "bearer in lower case": b"authorization: bearer %b\r\n",
    "x-api-key": b"X-Api-Key: %b\r\n",
    "api-key": b"api-key: %b\r\n",
    "x-goog-api-key": b"x-goog-api-key: %b\r\n",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """The right key is accepted, a wrong one is not, and no backend sees it."""
    for token, status in ((b"sk-ms-1", 200), (b"sk-ms-", 401), (b"sk-ms-11", 401), (b"", 401)):
        raw = request(head=b"Host: x\r\n" + HEADERS[name] % token)
        assert one(gateway.port, raw).status == status
    assert b"sk-ms-1" not in upstream.seen[-1].head


def test_other_credentials(gateway: Gateway) -> None:
    for line in (b"", b"Authorization: Basic c2stbXMtMQ==\r\n", b"Authorization: sk-ms-1\r\n"):
        assert one(gateway.port, request(head=b"Host: x\r\n" + line)).status == 401


def test_what_keys_may_do(upstream: Upstream, control: Control) -> None:
    """Expiry, scope and budget."""
    keys = (
        key(),
        key("sk-old", "old", 1, expires_at=time.time() - 1),
        key("sk-read", "read", 2, scopes=("read",)),
        key("sk-spent", "spent", 3, spent_out=True),
    )
    made = table([backend("a", upstream.port)], route("fast", 0))
    with Gateway(Snapshot(made, access(*keys)), control=control.path) as gateway:
        expected = {
            b"sk-ms-1": (200, None),
            b"sk-old": (401, "expired_api_key"),
            b"sk-read": (403, "scope"),
            b"sk-spent": (429, "insufficient_quota"),
        }
        for token, (status, code) in expected.items():
            raw = request(head=HEAD.replace(b"sk-ms-1", token))
            answer = one(gateway.port, raw)
            assert answer.status == status
            assert code is None or answer.document["error"]["code"] == code
        assert one(gateway.port, get(b"/v1/models").replace(b"sk-ms-1", b"sk-read")).status == 200
        gateway.send(Snapshot(table([], revision=2), access(keys[1])))
        assert one(gateway.port, request()).status == 401
        gateway.wait_for(lambda: {"old", "key1"} <= {r.key for r in gateway.receipts} | {"old"})


def test_requests_per_minute(upstream: Upstream) -> None:
    """Ten pass, the eleventh is refused and learns when to come again."""
    limited = key(requests_per_minute=10)
    made = table([backend("a", upstream.port)], route("fast", 0))
    with Gateway(Snapshot(made, access(limited))) as gateway:
        answers = [one(gateway.port, request()) for _ in range(12)]
    statuses = [answer.status for answer in answers]
    assert statuses == [200] * 10 + [429] * 2
    assert 1 <= int(answers[-1].header(b"retry-after") or b"0") <= 60


def test_requests_at_once(upstream: Upstream) -> None:
    limited = key(max_concurrent=1)
    made = table([backend("a", upstream.port)], route("fast", 0))
    with Gateway(Snapshot(made, access(limited))) as gateway, Client(gateway.port) as first:
        at = gateway.counters.key(0, KeyRow.IN_FLIGHT)
        first.send(request(body("delay")))
        gateway.wait_for(lambda: gateway.counters.total(at) == 1)
        assert (
            one(gateway.port, request()).document["error"]["code"] == "concurrency_limit_exceeded"
        )
        assert first.read().status == 200
        assert first.ask(request()).status == 200


def test_without_keys_everything_is_open(upstream: Upstream) -> None:
    made = table([backend("a", upstream.port)], route("fast", 0))
    with Gateway(Snapshot(made, access())) as gateway:
        assert one(gateway.port, request(head=b"Host: x\r\n")).status == 200
        assert one(gateway.port, request()).status == 200


def test_a_page_of_another_site(upstream: Upstream, control: Control) -> None:
    """Unknown host names and foreign origins are refused, also without keys; CORS by a list."""
    made = table([backend("a", upstream.port)], route("fast", 0))
    rules = access(hosts=("localhost", "127.0.0.1", "::1"), origins=("https://ui.example",))
    with Gateway(Snapshot(made, rules), control=control.path) as gateway:

        def status(host: bytes, extra: bytes = b"") -> int:
            return one(gateway.port, request(head=b"Host: " + host + b"\r\n", extra=extra)).status

        for host in (b"localhost:8000", b"127.0.0.1", b"[::1]:80", b"LOCALHOST"):
            assert status(host) == 200
        for host in (b"attacker.example", b"localhost.attacker.example:8000", b"x"):
            assert status(host) == 421
        for origin in (b"https://attacker.example", b"null", b"http://localhost:1"):
            assert status(b"localhost:8000", b"Origin: %b\r\n" % origin) == 403
        assert status(b"localhost:8000", b"Origin: http://localhost:8000\r\n") == 200

        allowed = b"Origin: https://ui.example\r\n"
        raw = request(head=b"Host: localhost\r\n", extra=allowed)
        assert one(gateway.port, raw).header(b"access-control-allow-origin")
        ahead = b"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + allowed
        ahead += b"Access-Control-Request-Method: POST\r\n\r\n"
        answer = one(gateway.port, ahead)
        assert answer.status == 204
        assert answer.header(b"access-control-allow-headers")


def test_time_says_nothing_about_a_key() -> None:
    """A key is found by its keyed digest: near misses have nothing in common with it there, so
    that not even a comparison that stops at the first difference would show how near they are."""
    token = b"sk-ms-0123456789abcdef"
    right = key_digest(token, HASH_KEY)
    for at in range(len(token)):
        near = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        assert key_digest(near, HASH_KEY)[:3] != right[:3]
    assert key_digest(token, b"another secret") != right


def test_hundreds_of_wrong_keys_leave_nothing_behind(gateway: Gateway, upstream: Upstream) -> None:
    """No receipt, no backend, and the key works as before."""
    before, receipts = len(upstream.seen), len(gateway.receipts)
    with Client(gateway.port) as client:
        for number in range(100):
            raw = request(head=HEAD.replace(b"sk-ms-1", b"sk-%d" % number))
            assert one(gateway.port, raw).status == 401
        assert client.ask(request()).status == 200
    assert len(upstream.seen) == before + 1
    gateway.wait_for(lambda: len(gateway.receipts) == receipts + 1)
