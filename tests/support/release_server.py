"""A release server on 127.0.0.1 in the shape of GitHub's, with real archives of a real engine.

An archive has a ``llama-server`` that answers ``--version``, ``--help`` and ``--list-devices`` and
serves with the embedded engine. Releases are added, and ``fault`` makes the server misbehave.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from modelscan.engines.llamacpp.options import OPTIONS

TAG = "b11549"
LINUX = "llama-{tag}-bin-ubuntu-{kind}x64.tar.gz"


def program(tag: str, devices: tuple[str, ...] = ()) -> str:
    """The text of a ``llama-server`` that is the embedded engine."""
    listed = "\n".join(f"  {name}: Stand-in GPU (8192 MiB, 8000 MiB free)" for name in devices)
    options = "\n".join(
        f"--{name}{'' if option.convert is None else ' VALUE'}   as the embedded engine has it"
        for name, option in OPTIONS.items()
    )
    return f"""#!{sys.executable}
import os, sys
if "--version" in sys.argv:
    sys.exit(sys.stderr.write("version: {tag.removeprefix("b")} (stand-in)\\n") and 0)
if "--list-devices" in sys.argv:
    sys.exit(print({f"Available devices:{chr(10)}{listed}"!r}))
if "--help" in sys.argv:
    sys.exit(print({options!r}))
os.environ["PYTHONPATH"] = {":".join(sys.path)!r}
module = "modelscan.supervisor.embedded.launcher"
os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]])
"""


def archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A ``.tar.gz`` of these files, all executable, and links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


def engine_archive(tag: str, devices: tuple[str, ...] = (), weight: bytes = b"") -> bytes:
    """An archive as the project publishes it: a folder with the server and linked libraries."""
    folder = f"llama-{tag}"
    files = {
        f"{folder}/llama-server": program(tag, devices).encode(),
        f"{folder}/libllama.so.0.0.1": bytes(200_000),
        f"{folder}/LICENSE": b"MIT" + weight,
    }
    return archive(files, {f"{folder}/libllama.so": "libllama.so.0.0.1"})


@dataclass
class ReleaseServer:
    """``with ReleaseServer() as server: server.add("b1", {name: data})``; ``fault``: what happens
    to archives: ``flip`` a byte, ``stall`` after half of them until ``resume`` is set, ``dead``
    closes every connection."""

    releases: dict[str, dict[str, bytes]] = field(default_factory=dict)
    digests: bool = True
    fault: str | None = None
    requests: list[str] = field(default_factory=list)
    resume: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> ReleaseServer:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Nothing: the requests are kept."""

            def do_GET(self) -> None:
                owner.requests.append(self.path)
                owner.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.resume.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address for ``llamacpp_releases``."""
        return f"http://127.0.0.1:{self._server.server_port}/releases"

    def add(self, tag: str, files: dict[str, bytes] | None = None) -> None:
        """A newer release, by default with the CPU build for Linux."""
        default = {LINUX.format(tag=tag, kind=""): engine_archive(tag)}
        self.releases[tag] = default if files is None else files

    def row(self, tag: str) -> dict[str, Any]:
        """A release as GitHub describes it."""
        assets = [
            {"name": name, "size": len(data), "browser_download_url": f"{self.url}/get/{tag}/{name}",
             "digest": f"sha256:{hashlib.sha256(data).hexdigest()}" if self.digests else None}
            for name, data in self.releases[tag].items()
        ]  # fmt: skip
        return {"tag_name": tag, "draft": False, "prerelease": False, "assets": assets}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = request.path.partition("?")[0].removeprefix("/releases").strip("/")
        tags = list(self.releases)
        if self.fault == "dead":
            request.close_connection = True
        elif path.startswith("get/"):
            _, tag, name = path.split("/")
            self._file(request, self.releases[tag][name])
        elif path == "":
            _json(request, [self.row(tag) for tag in reversed(tags)])
        elif path == "latest" and tags:
            _json(request, self.row(tags[-1]))
        elif path.removeprefix("tags/") in tags:
            _json(request, self.row(path.removeprefix("tags/")))
        else:
            _send(request, 404, b'{"message": "Not Found"}')

    def _file(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        if self.fault == "flip":
            data = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        start = int((request.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        if self.fault == "stall" and start == 0:
            _send(request, 200, data, send=len(data) // 2)
            request.wfile.flush()
            self.resume.wait()
            request.close_connection = True
            return
        status = 206 if start else 200
        extra = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        _send(request, status, data[start:], extra)


def _json(request: BaseHTTPRequestHandler, value: Any) -> None:
    _send(request, 200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    send: int | None = None,
) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body if send is None else body[:send])
