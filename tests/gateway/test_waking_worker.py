"""Workers hold the requests of sleepers: limits, clients that leave, comments, errors in a stream."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from support.gateway_client import Answer, Client, body, one, request
from support.gateway_fixtures import QUICK
from support.gateway_rig import Gateway, access, backend, key, route, table
from support.gateway_upstream import ANSWER, PIECES, Upstream

from modelscan.gateway.counters import BackendRow, BackendState
from modelscan.gateway.snapshot import Snapshot, Wake
from modelscan.routing.table import GatewayLimits

pytest_plugins = ("support.gateway_fixtures",)
ASLEEP, READY = Wake("b1", "asleep"), Wake("b1", "ready")


class Sleeper:
    """A gateway whose only backend sleeps; the test is its serving process."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def say(self, *wakes: Wake, state: BackendState = BackendState.ASLEEP) -> None:
        """Another snapshot, as the serving process would send it."""
        before = self.gateway.snapshot
        made = replace(before.table, revision=before.table.revision + 1)
        self.gateway.counters.set_state(0, state)
        self.gateway.send(replace(before, table=made, wakes=wakes))

    def wake(self) -> None:
        """It is ready; what waits may go on."""
        self.say(READY, state=BackendState.UP)

    def waits(self, count: int) -> None:
        """Until so many requests of all workers are reported as waiting."""
        rows = self.gateway.waiting
        self.gateway.wait_for(lambda: sum(w.count for r in rows.values() for w in r) == count)


def sleeping(upstream: Upstream, workers: int = 1, **limits: Any) -> Iterator[Sleeper]:
    two = [backend("b1", upstream.port, served_model="m", deployment="d"),
           backend("b2", upstream.port, served_model="other")]  # fmt: skip
    made = table(
        two, route("fast", 0), route("both", 0, 1), route("then", 0, fallbacks=("other",)),
        route("other", 1), limits=GatewayLimits(**limits),
    )  # fmt: skip
    snapshot = Snapshot(made, access(key()), wakes=(ASLEEP,))
    with Gateway(snapshot, workers=workers, timing=QUICK) as gateway:
        sleeper = Sleeper(gateway)
        sleeper.say(ASLEEP)
        yield sleeper


@pytest.fixture
def sleeper(upstream: Upstream) -> Iterator[Sleeper]:
    yield from sleeping(upstream, queue=2, wake_timeout_s=60.0, loading_comments=True)


def test_it_waits_and_then_is_answered(sleeper: Sleeper, upstream: Upstream) -> None:
    before = len(upstream.seen)
    with Client(sleeper.gateway.port) as client:
        client.send(request(body()))
        sleeper.waits(1)
        assert len(upstream.seen) == before
        sleeper.say(Wake("b1", "loading"))  # goes on waiting
        sleeper.wake()
        assert (client.read().status, len(upstream.seen)) == (200, before + 1)
        sleeper.waits(0)
        assert client.ask(request(body())).document == ANSWER  # nothing waits any more
    sleeper.gateway.wait_for(lambda: len(sleeper.gateway.receipts) == 2)
    first, second = sleeper.gateway.receipts
    assert first.wake_s is not None and first.wake_s > 0 and second.wake_s is None


def test_a_backend_that_runs_is_taken_first(sleeper: Sleeper) -> None:
    answer = one(sleeper.gateway.port, request(body(model="both")))
    assert answer.status == 200
    sleeper.gateway.wait_for(lambda: len(sleeper.gateway.receipts) == 1)
    assert sleeper.gateway.receipts[0].backend == "b2"


def test_a_wake_that_failed_is_told_and_a_fallback_answers(sleeper: Sleeper) -> None:
    port = sleeper.gateway.port
    with Client(port) as client:
        client.send(request(body()))
        sleeper.waits(1)
        sleeper.say(Wake("b1", "refused", "it is broken", time.time() + 90))
        answer = client.read()
    assert (answer.status, answer.document["error"]["code"]) == (503, "model_asleep")
    assert answer.document["error"]["message"] == "it is broken"
    assert 1 <= int(answer.header(b"retry-after") or 0) <= 90
    again = one(port, request(body()))  # at once, until then
    assert (again.status, again.document["error"]["message"]) == (503, "it is broken")
    assert one(port, request(body(model="then"))).status == 200
    sleeper.say(Wake("b1", "refused", "late", time.time() - 1))  # it may be tried again
    with Client(port) as client:
        client.send(request(body()))
        sleeper.waits(1)
        sleeper.say(Wake("b1", "refused", "stopped", None))
        answer = client.read()
        assert answer.status == 503 and answer.header(b"retry-after") is None


def test_more_than_the_queue_is_refused_and_a_client_that_leaves_makes_place(
    sleeper: Sleeper,
) -> None:
    port = sleeper.gateway.port
    with Client(port) as first, Client(port) as second:
        first.send(request(body()))
        second.send(request(body()))
        sleeper.waits(2)
        full = one(port, request(body()))
        assert (full.status, full.document["error"]["code"]) == (429, "queue_full")
        assert full.header(b"retry-after")
        second.close()
        sleeper.waits(1)
        sleeper.wake()
        assert first.read().status == 200
    counters = sleeper.gateway.counters
    rows = (BackendRow.IN_FLIGHT, BackendRow.WAITING)
    assert [counters.total(counters.backend(0, row)) for row in rows] == [0, 0]


def test_waiting_ends_after_its_limit(upstream: Upstream) -> None:
    for sleeper in sleeping(upstream, wake_timeout_s=0.3):
        answer = one(sleeper.gateway.port, request(body()))
        assert (answer.status, answer.document["error"]["code"]) == (503, "model_loading")
        assert answer.header(b"retry-after")
        sleeper.waits(0)


def test_all_workers_report(upstream: Upstream) -> None:
    for sleeper in sleeping(upstream, workers=2):
        with ThreadPoolExecutor(12) as pool:
            found = [pool.submit(one, sleeper.gateway.port, request(body())) for _ in range(12)]
            sleeper.waits(12)
            sleeper.wake()
            assert [answer.result().status for answer in found] == [200] * 12


def stream(sleeper: Sleeper, mode: str, path: bytes = b"/v1/chat/completions") -> Answer:
    """A stream that is opened by a comment before its model is ready."""
    with Client(sleeper.gateway.port) as client:
        client.send(request(body(mode, stream=True, max_tokens=3, input="Hi"), path=path))
        sleeper.waits(1)
        opened = client.sock.recv(4096)
        assert opened.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream")
        assert opened.endswith(b": loading\n\n\r\n")
        sleeper.wake()
        raw = opened
        while not raw.endswith(b"0\r\n\r\n"):
            data = client.sock.recv(65_536)
            assert data, raw
            raw += data
    return Answer(raw, "open")


def test_a_stream_begins_with_comments_and_is_the_same_then(sleeper: Sleeper) -> None:
    answer = stream(sleeper, "three")
    assert answer.body == b": loading\n\n" + b"".join(PIECES)
    assert answer.raw.endswith(b"0\r\n\r\n") and answer.raw.count(b"HTTP/1.1") == 1


def test_an_error_after_the_first_comment_is_an_event(sleeper: Sleeper) -> None:
    answer = stream(sleeper, "s500")
    _, event, done = answer.body.decode().strip().split("\n\n")
    error = json.loads(event.removeprefix("data: "))["error"]
    assert (error["code"], done) == ("upstream_failed", "data: [DONE]")
    sleeper.gateway.wait_for(lambda: len(sleeper.gateway.receipts) == 1)
    assert sleeper.gateway.receipts[0].status == 599  # the client saw 200


@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/responses"])
def test_such_an_error_is_in_the_dialect(sleeper: Sleeper, path: bytes) -> None:
    answer = stream(sleeper, "s500", path)
    event = answer.body.decode().strip().split("\n\n")[1]
    name, data = event.split("\n")
    assert name == "event: error" and json.loads(data.removeprefix("data: "))["type"] == "error"


def test_what_is_no_event_stream_just_waits(sleeper: Sleeper) -> None:
    with Client(sleeper.gateway.port) as client:
        client.send(request(body(stream=False)))
        sleeper.waits(1)
        client.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)
        client.sock.settimeout(30)
        sleeper.wake()
        assert client.read().document == ANSWER


def test_the_end_of_the_worker_is_told_to_those_that_wait(sleeper: Sleeper) -> None:
    with Client(sleeper.gateway.port) as client:
        client.send(request(body()))
        sleeper.waits(1)
        sleeper.gateway.stop()
        answer = client.read()
    assert (answer.status, answer.document["error"]["code"]) == (503, "gateway_stopping")
    assert answer.header(b"retry-after")
