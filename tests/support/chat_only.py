"""A scripted model server that speaks chat completions only, as strictly as chat templates are.

The scenario is the model's name: text, tool, reason, tools2, context, overloaded, cut, slow, and
script: the tool calls of ``ChatOnly.script``, one after the other.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16,
         "prompt_tokens_details": {"cached_tokens": 4}}  # fmt: skip
CONTEXT = {"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9031, "n_ctx": 8192,
                     "message": "request (9031 tokens) exceeds the available context size (8192 tokens), try increasing it"}}  # fmt: skip


def broken_rule(body: dict[str, Any]) -> str | None:
    """What a strict template or server would refuse."""
    messages = body.get("messages") or []
    if any(m["role"] == "system" for m in messages[1:]):
        return "System message must be at the beginning."
    if any(t.get("type") != "function" or "function" not in t for t in body.get("tools") or ()):
        return "only function tools are supported"
    calls = {c["id"] for m in messages for c in m.get("tool_calls") or ()}
    if any(m["role"] == "tool" and m["tool_call_id"] not in calls for m in messages):
        return "a tool result without its call"
    return None


def deltas(scenario: str, body: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The pieces of an answer and its finish reason. After a tool's result: its text."""
    last = (body.get("messages") or [{}])[-1]
    if last.get("role") == "tool":
        return [{"content": f"the tool said {last['content']}"}], "stop"
    if scenario in ("tool", "tools2") and body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        pieces = []
        count = 2 if scenario == "tools2" else 1
        for index in range(count):
            call = {"index": index, "id": f"call_{index}", "type": "function",
                    "function": {"name": name, "arguments": ""}}  # fmt: skip
            pieces.append({"tool_calls": [call]})
        for text in ('{"path":', '"a.txt"}'):
            pieces += [
                {"tool_calls": [{"index": i, "function": {"arguments": text}}]}
                for i in range(count)
            ]
        return pieces, "tool_calls"
    thought = [{"reasoning_content": "let me "}, {"reasoning_content": "think"}]
    return [
        *(thought if scenario == "reason" else []),
        {"content": "po"},
        {"content": "ng 🌱"},
    ], "stop"


def scripted(
    script: list[tuple[str, dict[str, Any]]], body: dict[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    """The next call of a script, by the results that came back so far; then a text."""
    done = sum(message["role"] == "tool" for message in body["messages"])
    if not body.get("tools") or done >= len(script):
        return [{"content": "the script is done"}], "stop"
    name, values = script[done]
    function = {"name": name, "arguments": json.dumps(values)}
    call = {"index": 0, "id": f"call_{done}", "type": "function", "function": function}
    return [{"tool_calls": [call]}], "tool_calls"


def joined(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """The pieces as one message."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, Any] = {}
    for piece in pieces:
        for key in ("content", "reasoning_content"):
            if key in piece:
                message[key] = (message.get(key) or "") + piece[key]
        for call in piece.get("tool_calls", ()):
            known = calls.setdefault(
                call["index"], {"type": "function", "function": {"arguments": ""}}
            )
            known |= {"id": call["id"]} if "id" in call else {}
            known["function"]["name"] = known["function"].get("name") or call["function"].get(
                "name"
            )
            known["function"]["arguments"] += call["function"]["arguments"]
    return message | ({"tool_calls": list(calls.values())} if calls else {})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatOnly

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        names = ["text", "tool", "tools2", "reason", "context", "overloaded", "cut"]
        rows = [{"id": name, "object": "model"} for name in names]
        answers = {"/v1/models": {"object": "list", "data": rows}, "/props": self.server.props}
        self._send(200, answers.get(self.path, {}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        wrong = broken_rule(body) if self.path == "/v1/chat/completions" else None
        scenario = body.get("model")
        if self.path == "/v1/embeddings":
            rows = [{"index": i, "embedding": [0.5, i]} for i, _ in enumerate(body["input"])]
            self._send(200, {"data": rows, "usage": {"prompt_tokens": 2}})
        elif self.path != "/v1/chat/completions":
            self._send(404, {"error": {"message": f"no {self.path}"}})
        elif wrong:
            self._send(400, {"error": {"message": wrong}})
        elif scenario == "context":
            self._send(400, CONTEXT)
        elif scenario == "overloaded":
            self._send(503, {"error": {"message": "Loading model"}})
        else:
            self._answer(scenario, body)

    def _answer(self, scenario: str, body: dict[str, Any]) -> None:
        script = self.server.script
        pieces, reason = scripted(script, body) if scenario == "script" else deltas(scenario, body)
        if not body.get("stream"):
            choice = {"index": 0, "message": joined(pieces), "finish_reason": reason}
            self._send(
                200, {"id": "c", "object": "chat.completion", "choices": [choice], "usage": USAGE}
            )
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces if scenario != "cut" else pieces[:1]:
            self._event({"choices": [{"index": 0, "delta": piece, "finish_reason": None}]})
        if scenario != "cut":
            self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
            self._event({"choices": [], "usage": USAGE})
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, data: Any) -> None:
        self.wfile.write(b"data: %s\n\n" % json.dumps(data, ensure_ascii=False).encode())

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class ChatOnly(ThreadingHTTPServer):
    """The server; ``requests`` are the paths and bodies that it received."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.props: dict[str, Any] = {}
        self.script: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """A client that left."""


@contextlib.contextmanager
def chat_only() -> Iterator[ChatOnly]:
    """A running one."""
    server = ChatOnly()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
