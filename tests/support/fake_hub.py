"""A hub on 127.0.0.1: Hugging Face, ModelScope, models.dev and a GPUStack server in one process.

It answers in the shapes the real services use, so that real client libraries (huggingface_hub, our
own) work against it, and it misbehaves on request (``fault``). Every request is kept in ``log``.

    with FakeHub() as hub:
        hub.add("acme/tiny", {"config.json": b"{}"})
        hub.fault("/api/models", "500", times=1)
        env = hub.environment()          # HF_ENDPOINT, MODELSCOPE_ENDPOINT, …
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support import hub_faults, hub_huggingface, hub_modelscope
from support.hub_content import File, Repo, as_file


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names are lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    host: str


@dataclass
class Fault:
    """Requests whose path starts with ``prefix`` meet ``mode``, ``times`` times (None: always)."""

    prefix: str
    mode: str
    times: int | None = None


class Reply:
    """An answer to be sent: status, headers, and a body of bytes or a File with a range."""

    def __init__(
        self,
        body: bytes | str | Any = b"",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        file: File | None = None,
    ) -> None:
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        self.body = body.encode() if isinstance(body, str) else body
        self.status = status
        self.headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        self.file = file


class FakeHub:
    """The server and its state. ``tokens`` are valid; ``granted`` ones read gated repositories."""

    def __init__(self, *, page_size: int = 1000, tls: ssl.SSLContext | None = None) -> None:
        self.repos: dict[str, Repo] = {}  # Hugging Face
        self.scope: dict[str, Repo] = {}  # ModelScope
        self.documents: dict[str, bytes] = {}  # models.dev: "/api.json" …
        self.model_sets: list[dict[str, Any]] = []  # GPUStack
        self.specs: dict[int, list[dict[str, Any]]] = {}
        self.gpustack_key: str | None = None
        self.gpustack_version = "v2.3.0"
        self.tokens: set[str] = {"hf_valid"}
        self.granted: set[str] = {"hf_valid"}
        self.redirects: dict[str, str] = {}  # renamed repositories
        self.page_size = page_size
        self.retry_after: str | None = None
        self.drip_s = 0.2
        self.cut_after_bytes = 0  # of each answer that meets "cut"
        self.bytes_per_s = 1 << 20  # of each answer that meets "throttle"
        self.log: list[Seen] = []
        self.sent_bytes = 0
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.counting = threading.Lock()
        self._server = _Server(self)
        self._scheme = "http"
        if tls is not None:
            self._scheme, listening = "https", self._server.socket
            self._server.socket = tls.wrap_socket(
                listening, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self.stopping = threading.Event()

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def cdn_url(self) -> str:
        """Another host name of the same server: what LFS downloads are redirected to."""
        return f"{self._scheme}://localhost:{self.port}/cdn"

    def environment(self) -> dict[str, str]:
        """The variables that point modelscan and huggingface_hub here."""
        return {
            "HF_ENDPOINT": self.url,
            "MODELSCOPE_ENDPOINT": self.url,
            "MODELSCAN_MODELSDEV_ENDPOINT": self.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def add(
        self, repo: str, files: Mapping[str, bytes | File], *, on: str = "hf", **facts: Any
    ) -> Repo:
        """Add a repository to ``hf`` or ``ms``."""
        made = Repo(repo, {path: as_file(content) for path, content in files.items()}, **facts)
        (self.repos if on == "hf" else self.scope)[repo] = made
        return made

    def fault(self, prefix: str, mode: str, times: int | None = None) -> None:
        """From now on, requests under ``prefix`` meet ``mode``."""
        if mode not in hub_faults.FAULTS:
            raise ValueError(mode)
        self._faults.append(Fault(prefix, mode, times))

    def heal(self) -> None:
        """End all faults."""
        self._faults.clear()

    def seen(self, prefix: str = "/") -> list[Seen]:
        """The requests so far under ``prefix``."""
        return [request for request in list(self.log) if request.path.startswith(prefix)]

    def take_fault(self, path: str) -> str | None:
        with self._lock:
            for fault in self._faults:
                if path.startswith(fault.prefix) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault.mode
        return None

    def may_read(self, repo: Repo, token: str | None) -> bool:
        """Whether a request with this token sees a private repository."""
        return not repo.private or token in self.tokens

    def reply(self, seen: Seen) -> Reply:
        """The answer to a request."""
        path = seen.path
        for answer in (hub_modelscope.reply, hub_huggingface.reply):
            found = answer(self, seen)
            if found is not None:
                return found
        if path in self.documents:
            return self._document(seen)
        served = "/v1" if self.gpustack_version.startswith("0.") else "/v2"
        if path.startswith(f"{served}/model-sets"):
            return self._model_sets(seen)
        if path == "/version":
            return Reply({"version": self.gpustack_version, "git_commit": "0" * 8})
        return Reply({"error": "Not Found"}, 404)

    def _document(self, seen: Seen) -> Reply:
        body = self.documents[seen.path]
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if seen.headers.get("if-none-match") == etag:
            return Reply(b"", 304, {"ETag": etag})
        return Reply(body, 200, {"ETag": etag, "Cache-Control": "public, max-age=300"})

    def _model_sets(self, seen: Seen) -> Reply:
        if self.gpustack_key and seen.headers.get("authorization") != f"Bearer {self.gpustack_key}":
            text = "Invalid authentication credentials"
            return Reply({"code": 401, "reason": "Unauthorized", "message": text}, 401)
        parts = seen.path.strip("/").split("/")
        items = self.specs.get(int(parts[2]), []) if len(parts) == 4 else self.model_sets
        page = int(seen.query.get("page", ["1"])[0])
        size = int(seen.query.get("perPage", ["100"])[0])
        shown = items if page == -1 else items[(page - 1) * size : page * size]
        total = {"page": page, "perPage": size, "total": len(items), "totalPage": 1}
        return Reply({"items": shown, "pagination": total})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what many tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_GET

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(parts.query, keep_blank_values=True)
        if body and "json" in headers.get("content-type", ""):
            query["_body"] = [body.decode()]
        elif body:
            query.update(parse_qs(body.decode(), keep_blank_values=True))
        host = headers.get("host", "")
        seen = Seen(self.command, unquote(parts.path), query, headers, host)
        self.server.hub.log.append(seen)
        mode = self.server.hub.take_fault(seen.path)
        if mode == "ignore-range":
            seen.headers.pop("range", None)
        elif mode is not None and mode not in hub_faults.FILE_FAULTS:
            hub_faults.misbehave(self, self.server.hub, seen, mode)
            return
        self.send(self.server.hub.reply(seen), seen, mode)

    def send(self, reply: Reply, seen: Seen, mode: str | None = None) -> None:
        if reply.file is not None:
            self._send_file(reply, seen, mode)
            return
        self.start(reply.status, {**reply.headers, "Content-Length": str(len(reply.body))})
        if self.command != "HEAD":
            self.write(reply.body)

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection and "Connection" not in headers:  # no client reuses it then
            self.send_header("Connection", "close")
        self.end_headers()

    def write(self, data: bytes) -> None:
        hub = self.server.hub
        with hub.counting:  # before: a client that has the bytes finds them counted
            hub.sent_bytes += len(data)
        self.wfile.write(data)

    def _send_file(self, reply: Reply, seen: Seen, mode: str | None) -> None:
        file = reply.file
        assert file is not None
        start, end, status = 0, file.size, reply.status
        asked = seen.headers.get("range", "")
        headers = {**reply.headers, "Accept-Ranges": "bytes"}
        if asked.startswith("bytes="):
            first, _, last = asked[6:].partition("-")
            start = int(first) if first else max(0, file.size - int(last))
            end = min(file.size, int(last) + 1) if first and last else file.size
            if start >= file.size:
                self.start(416, {"Content-Range": f"bytes */{file.size}", "Content-Length": "0"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        self.start(status, {**headers, "Content-Length": str(end - start)})
        if self.command == "HEAD":
            return
        hub_faults.send_body(self, self.server.hub, file, (start, end), mode)
