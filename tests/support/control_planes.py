"""A control plane in miniature: answers nodes as the recorded wire does, and keeps what they sent."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.patience import COMMAND_S


class RecordingPlane:
    """``hosts`` are the registered ones. ``forget()``: as if its database had been wiped."""

    def __init__(self, key: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.key = key
        self.messages: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.hosts: dict[str, dict[str, Any]] = {}
        self.news = threading.Condition()
        self._tls = tls
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def start(self) -> RecordingPlane:
        plane = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Quiet."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, answer = plane._answer(self.path, body, headers)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that was refused by TLS."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> RecordingPlane:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def forget(self) -> None:
        with self.news:
            self.hosts.clear()

    def _answer(
        self, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        with self.news:
            try:
                if self.key is not None and headers.get("x-geniehive-node-key") != self.key:
                    return 401, {"detail": "invalid node key"}
                self.messages.append((path.rpartition("/")[2], body, headers))
                return self._accepted(path, body)
            finally:
                self.news.notify_all()

    def _accepted(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        host_id = body["host_id"]
        if path == "/v1/nodes/register":
            self.hosts[host_id] = body
        elif host_id not in self.hosts:
            return 404, {"detail": f"unknown host {host_id}"}
        elif path == "/v1/nodes/leave":
            del self.hosts[host_id]
        return 200, {"status": "ok", "host": {"host_id": host_id}}

    def wait(self, condition: Callable[[RecordingPlane], Any]) -> Any:
        """The first true value of a condition over what was received; the deadline ends a hang."""
        end = time.monotonic() + COMMAND_S
        with self.news:
            while True:
                value = condition(self)
                if value:
                    return value
                left = end - time.monotonic()
                if left <= 0:
                    seen = [(name, body.get("modelscan")) for name, body, _ in self.messages]
                    raise AssertionError(seen)
                self.news.wait(min(left, 0.5))

    def count(self, name: str) -> int:
        """How many messages of a name were accepted."""
        return sum(one == name for one, _, _ in self.messages)

    def message(self, name: str) -> dict[str, Any]:
        """The first message of that name, as soon as there is one."""
        return self.wait(lambda p: next((body for one, body, _ in p.messages if one == name), None))

    def services(self) -> dict[str, dict[str, Any]]:
        """The services of all registered hosts by the names that requests send."""
        return {
            asset["asset_id"]: service
            for host in self.hosts.values()
            for service in host["services"]
            for asset in service["assets"]
        }
