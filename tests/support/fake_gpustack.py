"""A GPUStack of one page: enough of its API for whole commands, in the shapes of 2.3.0 and 0.7.1.

What it does next is a test's to say: ``states`` are the instance states that a model goes through,
one per look, ``restarts`` its restart counts, ``attempts`` the log of each attempt; ``answers``
replaces the answer of a path. ``seen`` holds what was asked of it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

GIB = 2**30
KEYS = {"gpustack_all_0123456789abcdef": {"/v2", "/v1"},
        "gpustack_management_0123456789": {"/v2"}}  # fmt: skip
CARD: dict[str, Any] = {
    "name": "NVIDIA H100 80GB HBM3", "vendor": "nvidia", "index": 0, "type": "cuda",
    "compute_capability": "9.0", "memory": {"total": 80 * GIB, "allocated": 0, "used": None},
}  # fmt: skip


class FakeGpuStack:
    """Use as a context manager; ``url`` is where it listens."""

    def __init__(self, version: str = "v2.3.0") -> None:
        self.version = version
        self.management = "/v2" if version.lstrip("v").startswith("2") else "/v1"
        self.cards = [("one", 1, CARD)]  # worker, its cluster, its only card
        self.states = ["running"]
        self.restarts = [0]  # of the instance, one per look
        self.attempts = [b"the engine's last words\n"]  # the log of each attempt to start
        self.state_of: Callable[[dict[str, Any]], str] | None = None  # by the model's own fields
        self.message = ""
        self.models: dict[int, dict[str, Any]] = {}
        self.looks: dict[int, int] = {}
        self.answers: dict[str, tuple[int, Any]] = {}
        self.seen: list[tuple[str, str, Any]] = []
        self.lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                key = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                with fake.lock:
                    status, body = fake.answer(
                        self.command, self.path, json.loads(text) if text else None, key
                    )
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> FakeGpuStack:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def sent(self, method: str, path: str) -> list[Any]:
        """The bodies of such requests."""
        return [body for verb, where, body in self.seen if (verb, where) == (method, path)]

    def answer(self, method: str, target: str, body: Any, key: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        path, query = parts.path, parse_qs(parts.query)
        self.seen.append((method, path, body))
        given = self.answers.get(f"{method} {path}", self.answers.get(path))
        if given is not None:
            return given
        if path == "/version":
            return 200, {"version": self.version}
        if key not in KEYS:
            return 401, {"code": 401, "reason": "Unauthorized", "message": "Invalid credentials"}
        if path[:3] not in KEYS[key]:
            return 403, {"code": 403, "reason": "Forbidden", "message": "no such permission"}
        words = path.strip("/").split("/")
        handle = getattr(self, "_" + words[1].replace("-", "_"), None)
        if handle is None:
            return 404, {"detail": "Not Found"}
        found: tuple[int, Any] = handle(method, words, query, body)
        return found

    def _models(self, method: str, words: list[str], query: Any, body: Any) -> tuple[int, Any]:
        if f"/{words[0]}" != self.management:
            return 200, {"data": [{"id": m["name"]} for m in self.models.values() if m["replicas"]]}
        if len(words) == 2 and method == "POST":
            number = max(self.models, default=0) + 1
            self.models[number] = {"id": number, "state": "pending", "ready_replicas": 0, **body}
            return 200, self.models[number]
        if len(words) == 2:
            wanted = query.get("search", [""])[0]
            return page([m for m in self.models.values() if wanted in m["name"]])
        number = int(words[2])
        if number not in self.models:
            return 404, {"code": 404, "reason": "NotFound", "message": "Model not found"}
        if method == "DELETE":
            del self.models[number]
            return 200, None
        if method == "PUT":
            self.models[number] |= body
        return 200, self.models[number]

    def _model_instances(
        self, method: str, words: list[str], query: Any, body: Any
    ) -> tuple[int, Any]:
        if words[-1] == "logs":
            look = self.looks.get(int(words[2]), 0)
            attempt = self.restarts[min(look, len(self.restarts) - 1)]
            attempt -= query.get("previous") == ["true"] and attempt > 0
            return 200, self.attempts[min(attempt, len(self.attempts) - 1)]
        return page([self._instance(m) for m in self.models.values() if m["replicas"]])

    def _instance(self, model: dict[str, Any]) -> dict[str, Any]:
        number = model["id"]
        look = self.looks[number] = self.looks.get(number, -1) + 1
        state = self.states[min(look, len(self.states) - 1)]
        if self.state_of is not None:
            state = self.state_of(model)
        restarts = self.restarts[min(look, len(self.restarts) - 1)]
        return {"id": number, "model_id": number, "name": f"{model['name']}-1", "state": state,
                "state_message": self.message, "restart_count": restarts,
                "worker_name": "one"}  # fmt: skip

    def _workers(self, *_: Any) -> tuple[int, Any]:
        rows = []
        for number, (worker, cluster, card) in enumerate(self.cards, start=1):
            status = {"cpu": {"total": 8}, "memory": {"total": 64 * GIB}, "gpu_devices": [card]}
            rows.append({"id": number, "name": worker, "state": "ready", "status": status,
                         "cluster_id": cluster})  # fmt: skip
        return page(rows)

    def _gpu_devices(self, *_: Any) -> tuple[int, Any]:
        return page([{**card, "id": f"{worker}:cuda:0", "worker_name": worker, "cluster_id": cluster}
                     for worker, cluster, card in self.cards])  # fmt: skip

    def _clusters(self, *_: Any) -> tuple[int, Any]:
        return page([{"id": number, "name": f"cluster-{number}", "is_default": number == 1}
                     for number in sorted({cluster for _, cluster, _ in self.cards})])  # fmt: skip

    def _model_evaluations(self, *_: Any) -> tuple[int, Any]:
        return 200, {"results": [{"compatible": True, "resource_claim": None}]}

    def _chat(self, *_: Any) -> tuple[int, Any]:
        return 200, {"choices": [{"message": {"content": "Hello"}}]}


def page(rows: list[Any]) -> tuple[int, Any]:
    """A list as the server sends it."""
    return 200, {"items": rows, "pagination": {"page": 1, "totalPage": 1, "total": len(rows)}}
