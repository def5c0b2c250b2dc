"""``modelscan serve`` as a real process, and engines for it that can be ended and started again."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.patience import COMMAND_S

_POLL_S = 0.05


@dataclass
class Served:
    """A running gateway: its root, its process, and the events that it reported so far."""

    process: subprocess.Popen[str]
    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def event(self, name: str, **values: Any) -> dict[str, Any]:
        """The next event of that name with these values; fails if the process ends first."""
        while True:
            line = self._lines.get(timeout=COMMAND_S)
            assert line is not None, f"no event {name}; so far {self.events}"
            row = json.loads(line)
            self.events.append(row)
            if row.get("event") == name and values.items() <= row.items():
                return row

    def get(self, path: str, key: str | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON body of a GET request."""
        return self.ask("GET", path, None, key, **headers)

    def chat(self, model: str, key: str | None = None, **fields: Any) -> tuple[int, Any]:
        """Status and body of a chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}
        return self.ask("POST", "/v1/chat/completions", body, key)

    def ask(
        self, method: str, path: str, body: Any, key: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, _decoded(response.read())
        except urllib.error.HTTPError as error:
            return error.code, _decoded(error.read())

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(COMMAND_S)


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


def serving(*arguments: str, **variables: str) -> contextlib.AbstractContextManager[Served]:
    """A gateway that accepts connections; ended at the end of the block."""
    return running("serve", *arguments, **variables)


def joining(
    url: str, *arguments: str, log: Path | None = None, **variables: str
) -> contextlib.AbstractContextManager[Served]:
    """A node of a control plane, with its gateway."""
    return running("node", "join", url, *arguments, log=log, **variables)


@contextlib.contextmanager
def running(*words: str, log: Path | None = None, **variables: str) -> Iterator[Served]:
    """A command that opens a gateway, once it accepts connections; ``log``: its output is kept."""
    port = [] if "--port" in words else ["--port", "0"]
    command = [sys.executable, "-m", "modelscan", *words, "--json", *port]
    environment = {**os.environ, **variables}
    with contextlib.ExitStack() as files:
        kept = None if log is None else files.enter_context(log.open("a"))
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=kept, text=True, env=environment
        )
    served = Served(process)
    arguments = (process, served._lines, log)
    thread = threading.Thread(target=_read, args=arguments, daemon=True)
    thread.start()
    try:
        served.url = served.event("ready")["url"]
        yield served
    finally:
        if process.poll() is None:
            served.stop()
        thread.join(COMMAND_S)
        assert process.stdout is not None
        process.stdout.close()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None], log: Path | None) -> None:
    assert process.stdout is not None
    with open(os.devnull if log is None else log, "a") as kept:
        for line in process.stdout:
            kept.write(line)
            kept.flush()
            lines.put(line)
    lines.put(None)


def until(
    condition: Callable[[], Any], what: Callable[[], str] = lambda: "", within_s: float = COMMAND_S
) -> Any:
    """The first true value of a condition; the deadline ends a hang. ``what``: for its message."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(_POLL_S)
    raise AssertionError(f"it never became true: {what()}")


class Engine:
    """A stand-in for a model server with one model; ``port`` stays the same when it restarts.

    ``unix_socket``: it listens there instead.
    """

    def __init__(self, name: str, context: int = 4096, unix_socket: str | None = None) -> None:
        self.unix_socket = unix_socket
        self.name = name
        self.context = context
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.metrics: str | None = None
        self.go = threading.Event()
        self.go.set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._server: ThreadingHTTPServer | None = None

    def text(self, body: dict[str, Any]) -> str:
        """What it answers."""
        return f"from {self.name}"

    def start(self) -> Engine:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Quiet."""

            def do_GET(self) -> None:
                row = {"id": engine.name, "object": "model", "owned_by": "vllm",
                       "max_model_len": engine.context}  # fmt: skip
                answers = {"/health": {}, "/v1/models": {"object": "list", "data": [row]}}
                if engine.metrics is not None and self.path == "/metrics":
                    return self._send_text(engine.metrics)
                known = self.path in answers
                self._send(200 if known else 404, answers.get(self.path, {}))

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length))
                engine.requests.append(body)
                engine.headers.append({k.lower(): v for k, v in self.headers.items()})
                engine.go.wait()
                text = engine.text(body)
                if body.get("stream"):
                    return self._stream(text)
                message = {"role": "assistant", "content": text}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
                self._send(200, {"id": "c", "object": "chat.completion", "model": engine.name,
                                 "choices": [choice], "usage": usage})  # fmt: skip

            def _stream(self, text: str) -> None:
                chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]},
                          {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]  # fmt: skip
                events = [b"data: %s\n\n" % json.dumps(one).encode() for one in chunks]
                data = b"".join([*events, b"data: [DONE]\n\n"])
                self._send_bytes(200, data, "text/event-stream")

            def _send(self, status: int, body: Any) -> None:
                self._send_bytes(status, json.dumps(body).encode(), "application/json")

            def _send_text(self, text: str) -> None:
                self._send_bytes(200, text.encode(), "text/plain")

            def _send_bytes(self, status: int, data: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        if self.unix_socket is None:
            self._server = _Server(("127.0.0.1", self.port), Handler)
        else:
            Handler.address_string = lambda _: "local"  # type: ignore[method-assign]
            self._server = _SocketServer(self.unix_socket, Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """End it with its connections, as a killed process would."""
        if self._server is not None:
            self._server.shutdown()
            self._server.close_all()
            self._server = None

    def entry(self, **fields: Any) -> dict[str, Any]:
        """Its entry of a routing file."""
        return {"name": self.name, "type": "local", "base_url": f"http://127.0.0.1:{self.port}",
                "model": f"lab/{self.name}", "served_model": self.name, **fields}  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, address: Any) -> None:
        self._open.add(request)
        super().process_request(request, address)

    def handle_error(self, *_: Any) -> None:
        """A connection that we closed."""

    def close_all(self) -> None:
        self.server_close()
        if self.address_family == socket.AF_UNIX:
            Path(str(self.server_address)).unlink(missing_ok=True)
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _SocketServer(_Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """HTTPServer's own one wants a host and a port."""
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> Any:
        """An address of a unix socket has no host either."""
        return super().get_request()[0], ("local", 0)


@contextlib.contextmanager
def engines(*names: str) -> Iterator[list[Engine]]:
    """Running stand-ins."""
    started = [Engine(name).start() for name in names]
    try:
        yield started
    finally:
        for engine in started:
            engine.go.set()
            engine.stop()


def write_routing(home: Path, routing: dict[str, Any]) -> Path:
    """The home's routing file (JSON is YAML), replaced as a whole."""
    file = home / "config" / "routing.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"version": 1, "routing": {"mode": "direct", **routing}}))
    new.replace(file)
    return file


def routed(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A routing section with these entries; the first one is the default."""
    return {"direct": {"default_provider": entries[0]["name"], "providers": list(entries)}, **more}
