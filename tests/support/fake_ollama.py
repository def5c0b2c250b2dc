"""An Ollama server in miniature on loopback: the API's shapes, with models in memory.

Shapes follow Ollama's docs/api.md: streamed JSON lines of pull and create, ``/api/ps`` with
``size_vram`` and ``context_length``, blobs by digest, 404 with ``{"error": …}``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIZE, VRAM = 5_368_709_120, 4_294_967_296


@dataclass
class State:
    """What the server knows; tests look and change it."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    loaded: dict[str, int] = field(default_factory=dict)  # name -> context
    blobs: dict[str, bytes] = field(default_factory=dict)
    registry: set[str] = field(default_factory=set)  # what a pull finds
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    cut_pulls: int = 0  # this many pulls end in the middle
    deaf: bool = False  # unload is ignored
    refuses: str = ""  # to load: the error


def tagged(name: str) -> str:
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, value: Any = None, *, lines: list[Any] | None = None) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines) if lines else json.dumps(value)
        data = b"" if value is None and not lines else text.encode()
        self.send_response(status)
        kind = "application/x-ndjson" if lines else "application/json; charset=utf-8"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _not_found(self, name: str) -> None:
        self._send(404, {"error": f"model '{name}' not found"})

    def do_GET(self) -> None:
        state = self.state
        if self.path == "/api/version":
            self._send(200, {"version": "0.12.3"})
        elif self.path == "/api/tags":
            self._send(200, {"models": [_tag_row(name, row) for name, row in state.models.items()]})
        elif self.path == "/api/ps":
            self._send(200, {"models": [_ps_row(name, n) for name, n in state.loaded.items()]})
        elif self.path == "/v1/models":
            rows = [
                {"id": name, "object": "model", "created": 1, "owned_by": "library"}
                for name in state.models
            ]
            self._send(200, {"object": "list", "data": rows})
        else:
            self._send(404, {"error": "page not found"})

    def do_HEAD(self) -> None:
        self._send(200 if self.path.rpartition("/")[2] in self.state.blobs else 404)

    def do_DELETE(self) -> None:
        name = tagged(json.loads(self._body())["model"])
        self.state.calls.append(("DELETE", self.path, name))
        if self.state.models.pop(name, None) is None:
            self._not_found(name)
            return
        self.state.loaded.pop(name, None)
        self._send(200)

    def do_POST(self) -> None:
        raw = self._body()
        if self.path.startswith("/api/blobs/"):
            self._blob(raw)
            return
        body = json.loads(raw)
        self.state.calls.append(("POST", self.path, body))
        handler = {
            "/api/pull": self._pull, "/api/create": self._create, "/api/generate": self._generate,
            "/api/embed": self._generate, "/api/show": self._show,
            "/v1/chat/completions": self._chat, "/v1/embeddings": self._embed,
        }.get(self.path)  # fmt: skip
        if handler is None:
            self._send(404, {"error": "page not found"})
        else:
            handler(body)

    def _blob(self, raw: bytes) -> None:
        digest = self.path.rpartition("/")[2]
        if f"sha256:{hashlib.sha256(raw).hexdigest()}" != digest:
            self._send(400, {"error": "digest mismatch"})
            return
        self.state.blobs[digest] = raw
        self._send(201)

    def _pull(self, body: dict[str, Any]) -> None:
        name = body["model"]
        steps: list[Any] = [{"status": "pulling manifest"}]
        if name not in self.state.registry:
            self._send(200, lines=[*steps, {"error": "pull model manifest: file does not exist"}])
            return
        row = {"status": "pulling 1f2a", "digest": "sha256:1f2a", "total": 200}
        steps += [row | {"completed": done} for done in (0, 100)]
        if self.state.cut_pulls:
            self.state.cut_pulls -= 1
            self._send(200, lines=steps)
            return
        self.state.models[tagged(name)] = {"parameters": {}}
        self._send(200, lines=[*steps, row | {"completed": 200}, {"status": "success"}])

    def _create(self, body: dict[str, Any]) -> None:
        base, files = body.get("from"), body.get("files") or {}
        if base and tagged(base) not in self.state.models:
            self._send(400, {"error": f"model '{base}' not found"})
            return
        if not base and not all(digest in self.state.blobs for digest in files.values()):
            self._send(400, {"error": "blob not found"})
            return
        self.state.models[tagged(body["model"])] = {"parameters": body.get("parameters") or {}}
        self._send(200, lines=[{"status": "creating new layer"}, {"status": "success"}])

    def _generate(self, body: dict[str, Any]) -> None:
        name = tagged(body["model"])
        if name not in self.state.models:
            self._not_found(name)
            return
        if body.get("keep_alive") == 0:
            if not self.state.deaf:
                self.state.loaded.pop(name, None)
            self._send(200, {"model": name, "done": True, "done_reason": "unload"})
            return
        if self.state.refuses:
            self._send(500, {"error": self.state.refuses})
            return
        parameters = self.state.models[name]["parameters"]
        self.state.loaded[name] = int(parameters.get("num_ctx", 4096))
        self._send(200, {"model": name, "response": "", "done": True, "done_reason": "load"})

    def _show(self, body: dict[str, Any]) -> None:
        name = tagged(body["model"])
        if name not in self.state.models:
            self._not_found(name)
        else:
            self._send(200, {"details": {"format": "gguf"}, "model_info": {}, "parameters": ""})

    def _chat(self, body: dict[str, Any]) -> None:
        if tagged(body["model"]) not in self.state.models:
            self._send(404, {"error": {"message": f"model '{body['model']}' not found"}})
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}}
        self._send(200, {"object": "chat.completion", "choices": [choice]})

    def _embed(self, body: dict[str, Any]) -> None:
        self._send(200, {"object": "list", "data": [{"embedding": [0.5, 0.5], "index": 0}]})


def _tag_row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    details = {"format": "gguf", "family": "qwen3", "parameter_size": "8.2B",
               "quantization_level": "Q4_K_M"}  # fmt: skip
    return {"name": name, "model": name, "modified_at": "2026-01-01T00:00:00Z", "size": 5_225_388_164,
            "digest": "500a1f", "details": details}  # fmt: skip


def _ps_row(name: str, context: int) -> dict[str, Any]:
    return {**_tag_row(name, {}), "size": SIZE, "size_vram": VRAM, "context_length": context,
            "expires_at": "2318-01-01T00:00:00Z"}  # fmt: skip


@contextlib.contextmanager
def running(state: State) -> Iterator[str]:
    """The server's address."""
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
