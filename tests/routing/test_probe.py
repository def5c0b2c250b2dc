"""Probing a routing entry: a scripted server stands for servers that misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from modelscan.core.errors import OfflineError
from modelscan.core.route import Route
from modelscan.routing.probe import RouteProbe, probe_route

CHAT = {"choices": [{"message": {"content": "Hi"}}]}
MODELS = {"data": [{"id": "tiny"}, {"id": "other"}]}


class Script:
    """What the server answers, by path: (status, body, headers); and what it was sent."""

    def __init__(self) -> None:
        self.replies: dict[str, tuple[int, Any, dict[str, str]]] = {}
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []

    def set(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        self.replies[f"/v1/{path}"] = (status, body, headers)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def route(script: Script) -> Iterator[Route]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            value = json.loads(sent) if sent else None
            script.seen.append((self.command, self.path, dict(self.headers), value))
            status, body, headers = script.replies.get(self.path, (404, {"error": "no"}, {}))
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, header in headers.items():
                self.send_header(name, header)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    yield Route(name="r", type="local", base_url=url, model="tiny")
    server.shutdown()
    server.server_close()


def probe(route: Route, **options: Any) -> RouteProbe:
    return probe_route(route, **{"chat": True, "timeout_s": 10.0, "offline": False, **options})


def test_a_real_answer(script: Script, route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-secret")
    script.set("models", MODELS)
    script.set("chat/completions", CHAT)
    result = probe(replace(route, api_key="env:KEY"))
    assert (result.ok, result.status, result.answer) == (True, 200, "Hi")
    assert result.models == ("tiny", "other")
    assert result.elapsed_s is not None
    assert [headers["Authorization"] for *_, headers, _ in script.seen] == ["Bearer sk-secret"] * 2
    assert script.seen[1][3]["max_tokens"] == 1


def test_without_chat_no_token_is_spent(script: Script, route: Route) -> None:
    script.set("models", MODELS)
    result = probe(route, chat=False)
    assert (result.ok, result.detail, result.answer) == (True, "the model is served", None)
    assert [path for _, path, *_ in script.seen] == ["/v1/models"]


def test_embeddings(script: Script, route: Route) -> None:
    script.set("models", {"items": [{"name": "tiny"}]})  # GPUStack 0.7
    script.set("embeddings", {"data": [{"embedding": [0.5, 0.25, 1.0]}]})
    result = probe(replace(route, tags=("embedding",)))
    assert (result.ok, result.answer) == (True, "3 dimensions")


@pytest.mark.parametrize(
    ("models", "status", "detail"),
    [
        ({"data": [{"id": "x"}]}, 200, "'tiny' is not among the 1 served models"),
        (b"<html>", 200, "/models did not answer with a list of models"),
        ([1], 200, "/models did not answer with a list of models"),
        ({"error": "key"}, 401, '/models answered 401: {"error": "key"}'),
    ],
)
def test_a_list_that_is_none(
    script: Script, route: Route, models: Any, status: int, detail: str
) -> None:
    script.set("models", models, status)
    result = probe(route)
    assert (result.ok, result.status, result.detail) == (False, status, detail)
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"choices": []}, 200, '/chat/completions answered 200: {"choices": []}'),
        ({"choices": [{"message": None}]}, 200, "/chat/completions answered 200"),
        ({"error": "busy"}, 503, '/chat/completions answered 503: {"error": "busy"}'),
    ],
)
def test_a_200_is_not_trusted(
    script: Script, route: Route, body: Any, status: int, detail: str
) -> None:
    script.set("models", MODELS)
    script.set("chat/completions", body, status)
    result = probe(route)
    assert (result.ok, result.status, result.answer) == (False, status, None)
    assert (result.detail or "").startswith(detail)
    assert len(script.seen) == 2  # a token is never requested twice


def test_a_redirect_is_not_followed(script: Script, route: Route) -> None:
    script.set("models", b"", 302, Location="http://127.0.0.1:9/v1/models")
    result = probe(route)
    assert (result.ok, result.status) == (False, 302)


def test_an_endless_list_is_refused(script: Script, route: Route) -> None:
    script.set("models", b" " * (9 << 20))
    result = probe(route)
    assert (result.ok, result.status) == (False, None)
    assert "8.00 MiB" in (result.detail or "")


def test_nothing_listens(route: Route) -> None:
    result = probe(replace(route, base_url="http://127.0.0.1:9"))
    assert (result.ok, result.status, result.models) == (False, None, None)
    assert "cannot connect to 127.0.0.1:9" in (result.detail or "")


@pytest.mark.parametrize("host", ["llm.example", "127.example.com"])
def test_offline(route: Route, host: str) -> None:
    with pytest.raises(OfflineError):
        probe(replace(route, base_url=f"https://{host}"), offline=True)
