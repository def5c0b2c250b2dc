"""What counts as an answer. A scripted server stands for engines that misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from modelscan.supervisor.health import Address, busy_requests, health, verify

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
    assert verify(serve(200, body), task, "m", timeout_s=5) is None


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
    assert said in (verify(serve(status, body), task, "m", timeout_s=5) or "")


def test_running_requests_are_counted(serve: Serve) -> None:
    metrics = b"# HELP x\nllamacpp:requests_processing 3\nllamacpp:requests_deferred 1\n"
    assert busy_requests(serve(200, metrics)) == 3
    assert busy_requests(serve(404, {})) is None
    assert busy_requests(Address("127.0.0.1", 9)) is None
