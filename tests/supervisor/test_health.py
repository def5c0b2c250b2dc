"""What counts as an answer. A scripted server stands for engines that misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from modelscan.supervisor.health import Address, health, verify
from modelscan.supervisor.load import (
    Connections,
    EngineLoad,
    Requests,
    load_of,
    parse_connections,
    parse_requests,
)

Serve = Callable[[int, Any], Address]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def start(status: int, body: Any) -> Address:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return Address("127.0.0.1", server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "word"), [(200, "ok"), (503, "loading"), (500, "unhealthy"), (404, "unhealthy")]
)
def test_health(serve: Serve, status: int, word: str) -> None:
    assert health(serve(status, {})) == word


def test_nobody_there_is_unhealthy() -> None:
    assert health(Address("127.0.0.1", 9), timeout_s=0.5) == "unhealthy"
    assert "did not answer" in (verify(Address("127.0.0.1", 9), "chat", "m", timeout_s=0.5) or "")


CHAT = {"choices": [{"message": {"role": "assistant", "content": ""}}]}


@pytest.mark.parametrize(
    ("task", "body"),
    [
        ("chat", CHAT),
        ("embedding", {"data": [{"embedding": [0.0, 0.5]}]}),
        ("rerank", {"results": [{"index": 0}, {"index": 1}]}),
    ],
)
def test_a_real_answer_is_accepted(serve: Serve, task: str, body: Any) -> None:
    assert verify(serve(200, body), task, "m", timeout_s=60) is None


@pytest.mark.parametrize(
    ("task", "status", "body", "said"),
    [
        ("chat", 200, {"choices": []}, "200 without a result"),
        ("chat", 200, b"<html>proxy</html>", "200 without a result"),
        ("chat", 200, {"error": "no"}, "200 without a result"),
        ("chat", 500, {"error": {"message": "template is broken"}}, "500: template is broken"),
        ("chat", 401, {"error": "denied"}, "401: denied"),
        ("embedding", 200, {"data": [{"embedding": [0.0, 0.0]}]}, "200 without a result"),
        ("embedding", 200, b'{"data": [{"embedding": [NaN, 1.0]}]}', "200 without a result"),
        ("rerank", 200, {"results": []}, "200 without a result"),
    ],
)
def test_a_200_is_not_trusted(serve: Serve, task: str, status: int, body: Any, said: str) -> None:
    assert said in (verify(serve(status, body), task, "m", timeout_s=60) or "")


def test_running_and_waiting_requests_are_counted(serve: Serve) -> None:
    metrics = b"# HELP x\nllamacpp:requests_processing 3\nllamacpp:requests_deferred 1\n"
    load = load_of(serve(200, metrics))
    assert load.requests == Requests(3, 1)
    assert not load.idle
    assert load_of(serve(404, {})).requests is None
    gone = load_of(Address("127.0.0.1", 9))
    assert gone.requests is None
    assert gone.idle is (gone.connections is not None)  # no connection: nothing can be cut


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm:num_requests_running{m=\"a\"} 1.0\nvllm:num_requests_running{m=\"b\"} 2\n"
         "vllm:num_requests_waiting{m=\"a\"} 4.0\n", Requests(3, 4)),
        ("sglang:num_running_reqs 0\nsglang:num_queue_reqs 2\n", Requests(0, 2)),
        ("llamacpp:requests_processing x\nllamacpp:requests_processing 1.2.3\n", None),
        ("llamacpp:requests_processing NaN\n", None),
        ("process_cpu_seconds_total 1\n", None), ("", None),
    ],
)  # fmt: skip
def test_the_gauges_of_each_engine(text: str, expected: Requests | None) -> None:
    assert parse_requests(text) == expected


TABLE = """  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:A2C1 00000000:0000 0A 00000000:00000000 00:00000000
   1: 0100007F:A2C1 0100007F:D431 01 00000000:00000000 02:000004FF
   2: 0100007F:A2C1 0100007F:D432 01 00000010:00000000 01:000004FF
   3: 0100007F:A2C1 0100007F:D433 01 00000000:00000007 00:00000000
   4: 0100007F:A2C1 0100007F:D434 08 00000000:00000001 00:00000000
   5: 0100007F:D431 0100007F:A2C1 01 00000000:00000000 00:00000000
"""


def test_connections_of_clients_are_seen() -> None:
    """Listening and half-closed sockets do not count; unread bytes belong to a request."""
    found = parse_connections(TABLE, 0xA2C1)
    assert found == Connections(open=3, unread=2)
    assert not EngineLoad(Requests(0, 0), found).idle
    assert EngineLoad(Requests(0, 0), Connections(3, 0)).idle
    assert not EngineLoad(None, Connections(1, 0)).idle
    assert EngineLoad(None, Connections(0, 0)).idle
    assert not EngineLoad(None, None).idle
