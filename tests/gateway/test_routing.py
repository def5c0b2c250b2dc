"""Which backend a request reaches, what it receives, and what happens when one fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.gateway_client import Client, body, get, one, request
from support.gateway_rig import Gateway, access, backend, key, route, table
from support.gateway_upstream import ANSWER, Upstream, answer, failure, sends

from modelscan.gateway.counters import BackendState
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.snapshot import Snapshot
from modelscan.routing.table import AutomaticRule, BodyPolicy, GatewayLimits, RouteCandidate

DEAD = 9  # the discard port: nothing listens


@pytest.fixture
def two() -> Iterator[Upstream]:
    with Upstream(2) as made:
        yield made


@contextmanager
def running(made: object, *keys: object, **options: object) -> Iterator[Gateway]:
    found = keys or (key(),)
    snapshot = Snapshot(made, access(*found))  # type: ignore[arg-type]
    with Gateway(snapshot, timing=Timing(sweep_s=0.05), **options) as gateway:  # type: ignore[arg-type]
        yield gateway


def served(upstream: Upstream, start: int = 0) -> list[int]:
    """Which port served each request, by its index."""
    return [upstream.ports.index(seen.port) for seen in upstream.seen[start:]]


def test_names(two: Upstream) -> None:
    """Models, aliases and roles by name; the default; 404 with near names, 403, 400, 501."""
    backends = [
        backend("chat", two.ports[0], served_model="m", operations=("chat",)),
        backend("hosted", two.ports[1], authorization=("Authorization", "Bearer sk-up")),
    ]
    limited = key("sk-ms-2", "key2", 1, models=("coder",), default_route="coder")
    routes = [route("qwen3-coder", 0), route("coder", 0, kind="role"), route("org/a:fast", 1)]
    made = table(backends, *routes, default="coder")
    with running(made, key(), limited) as gateway:
        port = gateway.port
        assert one(port, request(body(model="qwen3-coder"))).status == 200
        assert two.seen[-1].document["model"] == "m"
        assert one(port, request(body(model="org/a:fast"))).status == 200
        assert two.seen[-1].document["model"] == "org/a:fast"
        assert two.seen[-1].header(b"authorization") == b"Bearer sk-up"
        assert one(port, request(b'{"messages":[]}')).status == 200

        unknown = one(port, request(body(model="qwen3-codr")))
        assert unknown.status == 404
        error = unknown.document["error"]
        assert error["code"] == "model_not_found" and "qwen3-coder" in error["message"]
        other = request(body(model="org/a:fast"))
        denied = one(port, other.replace(b"sk-ms-1", b"sk-ms-2"))
        assert denied.status == 403
        near = one(port, request(body(model="org/a:fest")).replace(b"sk-ms-1", b"sk-ms-2"))
        assert near.status == 404 and "org/a:fast" not in near.document["error"]["message"]
        embed = one(port, request(body(model="coder"), path=b"/v1/embeddings"))
        assert embed.status == 501
        for content in (b"[]", b"{", b'{"model":1}', b"[" * 100_000, b'{"model":"\xff"}'):
            assert one(port, request(content)).status in (400, 404)


def test_models_of_a_server_of_many(two: Upstream) -> None:
    """NAME/MODEL is sent as MODEL, unchanged; an alias of one too; NAME alone is refused."""
    many = route("router", 0, kind="provider", many_models=True)
    one_model = RouteCandidate(0, served_model="org/m:free")
    made = table([backend("router", two.port)], many, route("cloud", one_model, kind="alias"))
    with running(made) as gateway:
        port = gateway.port
        assert one(port, request(body(model="router/org/name:policy"))).status == 200
        assert one(port, request(body(model="cloud"))).status == 200
        assert [seen.document["model"] for seen in two.seen] == ["org/name:policy", "org/m:free"]
        alone = one(port, request(body(model="router")))
        assert alone.status == 404
        assert "request router/MODEL" in alone.document["error"]["message"]
        assert one(port, request(body(model="cloud/x"))).status == 404
        gateway.wait_for(lambda: len(gateway.receipts) >= 2)
    assert gateway.receipts[0].served_model == "org/name:policy"


def test_the_role_auto(two: Upstream) -> None:
    """The rules choose, and the receipt says why."""
    fast, slow = route("fast", 0, kind="role"), route("deep", 1)
    rules = (
        AutomaticRule(slow, "auto: the request offers tools -> deep", tools=True),
        AutomaticRule(fast, "auto: no other rule holds -> fast"),
    )
    auto = route("auto", kind="role", automatic=True)
    backends = [backend("a", two.ports[0], served_model="m"), backend("b", two.ports[1])]
    with running(table(backends, auto, fast, slow, rules=rules)) as gateway:
        assert one(gateway.port, request(body(model="auto"))).status == 200
        assert one(gateway.port, request(body(model="auto", tools=[{"type": "f"}]))).status == 200
        gateway.wait_for(lambda: len(gateway.receipts) >= 2)
    assert served(two) == [0, 1]
    assert [(one.route, one.reasons) for one in gateway.receipts] == [
        ("fast", ("auto: no other rule holds -> fast",)),
        ("deep", ("auto: the request offers tools -> deep",)),
    ]


def test_names_are_never_addresses(two: Upstream) -> None:
    """A model that looks like a host, a path or a header reaches nothing."""
    made = table([backend("a", two.port)], route("fast", 0))
    with running(made) as gateway:
        for name in ("http://127.0.0.1:1/x", "../../etc/passwd", "a\r\nHost: b", "fast\x00", "//x"):
            assert one(gateway.port, request(body(model=name))).status == 404
        assert two.seen == []
        with Client(gateway.port) as client:
            path = f"/v1/models?model=http://127.0.0.1:{two.port}/".encode()
            assert client.ask(get(path)).status == 404
    assert two.seen == []


def test_a_policy(two: Upstream) -> None:
    """Defaults, overrides and the caller's values, with the candidate's own policy."""
    policy = BodyPolicy({"temperature": 0.2, "k": {"a": 1}}, {"seed": 7}, "be brief")
    made = table([backend("a", two.port, served_model="m")], route("r", RouteCandidate(0, policy)))
    with running(made) as gateway:
        one(gateway.port, request(body(model="r", temperature=1.0, seed=1, k={"b": 2})))
    sent = two.seen[-1].document
    assert (sent["temperature"], sent["seed"], sent["k"]) == (1.0, 7, {"b": 2, "a": 1})
    assert sent["messages"][0] == {"role": "system", "content": "be brief"}


def test_round_robin(two: Upstream) -> None:
    made = table(
        [backend("a", two.ports[0]), backend("b", two.ports[1])],
        route("r", 0, 1, strategy="round_robin"),
    )
    with running(made) as gateway:
        for _ in range(6):
            assert one(gateway.port, request(body(model="r"))).status == 200
    assert sorted(served(two)) == [0, 0, 0, 1, 1, 1]


def test_a_dead_backend_is_passed_over(two: Upstream) -> None:
    """A connection that cannot be opened leads to the next one, with its receipt."""
    made = table(
        [backend("dead", DEAD), backend("b", two.port)], route("r", 0, 1, strategy="priority")
    )
    with running(made) as gateway:
        assert one(gateway.port, request(body(model="r"))).document == ANSWER
        gateway.wait_for(lambda: bool(gateway.receipts))
        receipt = gateway.receipts[0]
    assert (receipt.backend, receipt.retries, receipt.status) == ("b", 1, 200)
    assert receipt.reasons[0].startswith("dead: cannot connect")
    assert (receipt.input_tokens, receipt.output_tokens, receipt.finish_reason) == (3, 4, "stop")


@pytest.mark.parametrize("fallback", [False, True])
def test_a_request_that_was_sent(two: Upstream, fallback: bool) -> None:
    """A backend may have died of it: another one gets it only if the file says so."""
    two.modes["die"] = sends(b"", stays=False)
    made = table(
        [backend("a", two.ports[0]), backend("b", two.ports[1])],
        route("r", 0, 1, strategy="priority"),
        fallback=fallback,
    )
    with running(made) as gateway:
        assert one(gateway.port, request(body("die", "r"))).status == (503 if fallback else 502)
    assert len(two.seen) == (2 if fallback else 1)


def test_fallback_routes_end(two: Upstream) -> None:
    """A → B → A: each is tried once, then 503."""
    made = table(
        [backend("a", DEAD), backend("b", DEAD)],
        route("A", 0, fallbacks=("B",), kind="role"),
        route("B", 1, fallbacks=("A",), kind="role"),
    )
    with running(made) as gateway:
        found = one(gateway.port, request(body(model="A")))
        assert found.status == 503
        assert found.header(b"retry-after") == b"1"
        message = found.document["error"]["message"]
        assert message.count("cannot connect") == 2
        gateway.send(Snapshot(table([], route("A"), revision=2), gateway.snapshot.access))
        assert one(gateway.port, request(body(model="A"))).status == 503


def test_a_fallback_route_has_its_own_model(two: Upstream) -> None:
    made = table(
        [backend("a", DEAD, served_model="x"), backend("b", two.port, served_model="y")],
        route("A", 0, fallbacks=("E", "B"), kind="role", operation="chat"),
        route("B", 1, kind="role", operation="chat"),
        route("E", 1, kind="role", operation="embeddings"),
    )
    with running(made) as gateway:
        assert one(gateway.port, request(body(model="A"))).status == 200
        gateway.wait_for(lambda: bool(gateway.receipts))
        receipt = gateway.receipts[0]
    assert two.seen[-1].document["model"] == "y"
    assert (receipt.route, receipt.fallback_from, receipt.requested_model) == ("B", "A", "A")


def by_port(upstream: Upstream, *answers: bytes) -> None:
    """Each port answers every request in its own way."""

    async def behaviour(seen: object, _: object, writer: object) -> bool:
        writer.write(answers[upstream.ports.index(seen.port)])  # type: ignore[attr-defined]
        return True

    upstream.default = behaviour  # type: ignore[assignment]


BUSY = failure(b"429 Too Many Requests", "slow down", b"Retry-After: 30\r\n")


def test_busy_backends_are_respected(two: Upstream) -> None:
    """After 429 the other one is used, and the busy one is left alone; the only one is not."""
    by_port(two, BUSY, answer())
    pair = [backend("a", two.ports[0]), backend("b", two.ports[1])]
    made = table(pair, route("r", 0, 1, strategy="priority"), route("only", 0))
    with running(made) as gateway:
        for _ in range(3):
            assert one(gateway.port, request(body(model="r"))).status == 200
        assert served(two) == [0, 1, 1, 1]
        only = one(gateway.port, request(body(model="only")))
        assert (only.status, only.header(b"retry-after")) == (429, b"30")
        assert only.document["error"]["message"] == "slow down"


TOO_LONG = failure(b"400 Bad Request", "This model's maximum context length is 8192 tokens")
UNSAFE = failure(b"400 Bad Request", "the content filter refused the prompt")


@pytest.mark.parametrize(
    ("first", "contexts", "expected"),
    [
        (TOO_LONG, (8192, 65536), [0, 1]),
        (TOO_LONG, (8192, 8192), [0]),
        (TOO_LONG, (8192, None), [0]),
        (TOO_LONG, (None, 65536), [0]),
        (UNSAFE, (8192, 65536), [0]),
    ],
)
def test_a_prompt_that_is_too_long(
    two: Upstream, first: bytes, contexts: tuple[int | None, ...], expected: list[int]
) -> None:
    """It goes to a larger context, never to the same one; other refusals stay."""
    by_port(two, first, answer())
    pair = [
        backend("a", two.ports[0], context_tokens=contexts[0]),
        backend("b", two.ports[1], context_tokens=contexts[1]),
    ]
    made = table(pair, route("r", 0, 1, strategy="priority"), fallback=True)
    with running(made) as gateway:
        status = one(gateway.port, request(body(model="r"))).status
    assert served(two) == expected
    assert status == (200 if expected == [0, 1] else 400)


def test_a_backend_that_is_down_is_left_out(two: Upstream) -> None:
    """The prober's word counts within a sweep; a half-open backend gets one request."""
    pair = [backend("a", two.ports[0]), backend("b", two.ports[1])]
    made = table(pair, route("r", 0, 1, strategy="priority"), route("only", 0))
    with running(made) as gateway:
        gateway.counters.set_state(0, BackendState.DOWN)
        assert one(gateway.port, request(body(model="only"))).status == 503
        end = time.monotonic() + 10
        one(gateway.port, request(body(model="r")))
        while served(two)[-1] != 1 and time.monotonic() < end:
            one(gateway.port, request(body(model="r")))
        assert served(two)[-1] == 1


def test_a_full_backend(two: Upstream) -> None:
    """One at work, two wait in turn by key, the next one is refused with Retry-After."""
    limits = GatewayLimits(queue=3, queue_timeout_s=20)
    made = table([backend("a", two.port, max_in_flight=1)], route("r", 0), limits=limits)
    first, second = key(), key("sk-ms-2", "key2", 1)
    with running(made, first, second) as gateway:
        raw = [request(body("delay", "r", x_tag=tag)) for tag in range(4)]
        raw[3] = raw[3].replace(b"sk-ms-1", b"sk-ms-2")
        clients = [Client(gateway.port) for _ in range(5)]
        waiting = gateway.counters.backend(0, 2)
        for count, (client, content) in enumerate(zip(clients, raw, strict=False)):
            client.send(content)
            gateway.wait_for(lambda n=count: gateway.counters.total(waiting) == n)
            if not count:
                gateway.wait_for(lambda: len(two.seen) == 1)
        full = clients[4].ask(request(body("delay", "r")))
        assert (full.status, full.document["error"]["code"]) == (429, "queue_full")
        assert int(full.header(b"retry-after") or b"0") >= 1
        assert [client.read().status for client in clients[:4]] == [200] * 4
        for client in clients:
            client.close()
    assert [seen.document["x_tag"] for seen in two.seen] == [0, 1, 3, 2]


def test_waiting_ends(two: Upstream) -> None:
    """A client that disconnects is removed from the queue; one that waits too long gets an error."""
    limits = GatewayLimits(queue=4, queue_timeout_s=4)  # long enough to be seen waiting
    made = table([backend("a", two.port, max_in_flight=1)], route("r", 0), limits=limits)
    with running(made) as gateway:
        waiting = gateway.counters.backend(0, 2)
        with Client(gateway.port) as working:
            working.send(request(body("hang", "r")))
            gateway.wait_for(lambda: len(two.seen) == 1)
            with Client(gateway.port) as leaving:
                leaving.send(request(body(model="r")))
                gateway.wait_for(lambda: gateway.counters.total(waiting) == 1)
            gateway.wait_for(lambda: gateway.counters.total(waiting) == 0)
            assert one(gateway.port, request(body(model="r"))).status == 503
        assert one(gateway.port, request(body(model="r"))).status == 200


def test_a_slow_backend(two: Upstream) -> None:
    made = table(
        [backend("a", two.port)], route("r", 0), limits=GatewayLimits(request_timeout_s=0.3)
    )
    with running(made) as gateway:
        assert one(gateway.port, request(body("hang", "r"))).status == 504


def test_the_table_changes_while_requests_run(two: Upstream) -> None:
    """A running request ends on the old backend; the next one uses the new table."""
    pair = [backend("a", two.ports[0]), backend("b", two.ports[1])]
    with running(table(pair, route("r", 0))) as gateway, Client(gateway.port) as client:
        client.send(request(body("delay", "r")))
        gateway.wait_for(lambda: len(two.seen) == 1)
        changed = table(pair[1:], route("r", 0), revision=2)
        gateway.send(Snapshot(changed, gateway.snapshot.access, slots=(1,)))
        assert client.read().status == 200
        assert client.ask(request(body(model="r"))).status == 200
    assert served(two) == [0, 1]


def test_errors_in_the_callers_dialect(two: Upstream) -> None:
    made = table([backend("a", DEAD)], route("r", 0))
    with running(made) as gateway:
        message = one(gateway.port, request(body(model="x"), path=b"/v1/messages?beta=true"))
        assert message.document["type"] == "error"
        assert message.document["error"]["type"] == "not_found_error"
        chat = one(gateway.port, request(body(model="r")))
        assert (chat.status, chat.document["error"]["type"]) == (502, "upstream_error")
        page = one(gateway.port, get(b"/nowhere"))
        assert page.document["status"] == 404
        assert page.header(b"content-type") == b"application/problem+json"


def test_other_paths_pass(two: Upstream) -> None:
    """Any /v1 path with a known model; a path without a body by its query or the default."""
    made = table([backend("a", two.port, served_model="m", path="/api")], route("r", 0))
    with running(made) as gateway:
        assert one(gateway.port, request(body(model="r"), path=b"/v1/score?x=1")).status == 200
        assert two.seen[-1].head.startswith(b"POST /api/v1/score?x=1 HTTP/1.1\r\n")
        assert one(gateway.port, get(b"/v1/responses/1?model=r")).status == 200
        assert two.seen[-1].head.startswith(b"GET /api/v1/responses/1?model=r ")
        assert one(gateway.port, get(b"/v1/responses/1?model=x")).status == 404
