"""An OpenAI-compatible server that knows the reference answers of the suites."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from modelscan.evals.items import EvalSuite, ModelAnswer


class AnsweringServer(ThreadingHTTPServer):
    """``answers`` by prompt; ``refused`` prompts get a 400; ``silent`` ones none until the end.

    ``requests`` are the bodies with the headers, in order.
    """

    daemon_threads = True

    def __init__(
        self, answers: Mapping[str, ModelAnswer], tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.answers = dict(answers)
        self.refused: set[str] = set()
        self.silent: set[str] = set()
        self.requests: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"


@contextmanager
def answering(suite: EvalSuite, tls: ssl.SSLContext | None = None) -> Iterator[AnsweringServer]:
    server = AnsweringServer({item.prompt: item.reference for item in suite.items}, tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: AnsweringServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._send(200, {"data": [{"id": "scripted", "max_model_len": 8192}]})
        else:
            self._send(404, {"error": {"message": "no such path"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((body, {k.lower(): v for k, v in self.headers.items()}))
        prompt = body["messages"][-1]["content"]
        if prompt in self.server.silent:
            self.server.ended.wait()
        if prompt in self.server.refused:
            self._send(400, {"error": {"message": "the prompt is refused", "type": "invalid"}})
            return
        completion = _completion(self.server.answers[prompt])
        if body.get("stream"):
            self._stream(completion)
        else:
            self._send(200, completion)

    def _stream(self, completion: dict[str, Any]) -> None:
        """The role first, then the whole answer, then the usage, as model servers do."""
        message = completion["choices"][0].pop("message")
        calls = [{**call, "index": at} for at, call in enumerate(message.get("tool_calls") or [])]
        head = {**completion, "object": "chat.completion.chunk", "usage": None}
        delta = {"content": message["content"], **({"tool_calls": calls} if calls else {})}
        chunks = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
            for delta, reason in (
                ({"role": "assistant", "content": None}, None), (delta, None),
                ({}, completion["choices"][0]["finish_reason"]),
            )
        ]  # fmt: skip
        chunks.append({**head, "choices": [], "usage": completion["usage"]})
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        with contextlib.suppress(ConnectionError):
            self._write(200, text.encode(), "text/event-stream")

    def _send(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        with contextlib.suppress(ConnectionError):  # the client was interrupted
            self._write(status, data)

    def _write(self, status: int, data: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _completion(answer: ModelAnswer) -> dict[str, Any]:
    calls = [
        {"id": f"call-{number}", "type": "function",
         "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
        for number, call in enumerate(answer.calls)
    ]  # fmt: skip
    message = {"role": "assistant", "content": answer.text or None}
    return {
        "id": "1", "object": "chat.completion", "created": 1, "model": "scripted-v1",
        "choices": [{"index": 0, "message": {**message, **({"tool_calls": calls} if calls else {})},
                     "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35},
    }  # fmt: skip
