"""Servers that answer like engines do: paths and what they return (JSON, or text).

vLLM's answers have the shape of vLLM 0.32.0's (asked here), SGLang's the fields that its
http_server.py of 0.5 returns.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}


def vllm(name: str = "tiny", context: int = 1024) -> dict[str, Any]:
    row = {"id": name, "object": "model", "created": 1, "owned_by": "vllm", "root": "/weights/tiny",
           "parent": None, "max_model_len": context, "permission": []}  # fmt: skip
    return {
        "/health": "", "/version": {"version": "0.32.0"},
        "/v1/models": {"object": "list", "data": [row]},
        "/metrics": '# HELP vllm:num_requests_running N\nvllm:num_requests_running{engine="0"} 2.0\n',
        "/v1/chat/completions": _CHAT,
    }  # fmt: skip


def sglang(name: str = "glm", context: int = 8192) -> dict[str, Any]:
    row = {"id": name, "object": "model", "created": 1, "owned_by": "sglang", "root": name,
           "max_model_len": context}  # fmt: skip
    return {
        "/health": "", "/get_model_info": {"model_path": "/weights/glm", "is_generation": True},
        "/get_server_info": {"version": "0.5.23", "context_length": context},
        "/v1/models": {"object": "list", "data": [row]},
        "/metrics": "sglang:num_running_reqs 1.0\n", "/v1/chat/completions": _CHAT,
    }  # fmt: skip


def other(name: str = "phi") -> dict[str, Any]:
    rows = [{"id": name, "object": "model", "owned_by": "organization_owner"}]
    return {"/v1/models": {"data": rows, "object": "list"}, "/v1/chat/completions": _CHAT}


@contextlib.contextmanager
def serving(answers: Mapping[str, Any], *, key: str | None = None) -> Iterator[int]:
    """Its port. With ``key``, ``/v1`` answers 401 without it."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            wrong = key and self.headers.get("Authorization") != f"Bearer {key}"
            if wrong and self.path.startswith("/v1"):
                self._send(401, {"error": "Unauthorized"})
            elif self.path in answers:
                self._send(200, answers[self.path])
            else:
                self._send(404, {"detail": "Not Found"})

        do_POST = do_GET

        def _send(self, status: int, value: Any) -> None:
            data = (value if isinstance(value, str) else json.dumps(value)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
