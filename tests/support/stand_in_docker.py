"""As much of the Docker Engine API as a GPUStack 2.3.0 worker asks for, on a unix socket.

    stand_in_docker.py SOCKET LOG_FOLDER

A container whose command has ``vllm serve`` in it becomes a process of this machine (the
stand-in engine); every other one only exists on paper. Images with ``missing`` in their name
cannot be pulled. Which calls a worker makes was seen on the wire.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socketserver
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

ENGINE = Path(__file__).with_name("stand_in_vllm.py")
NEVER = "0001-01-01T00:00:00Z"
KEPT = ("PATH", "HOME", "LANG", "STAND_IN_GGUF")


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())


def serve_words(spec: dict[str, Any]) -> list[str] | None:
    """The words from ``serve`` on, wherever entry point, command or a script has them."""
    words: list[str] = []
    for part in (spec.get("Entrypoint"), spec.get("Cmd")):
        words += [part] if isinstance(part, str) else list(part or [])
    for position, word in enumerate(words[:-1]):
        if word.rsplit("/", 1)[-1] == "vllm" and words[position + 1] == "serve":
            return words[position + 1 :]
    script = " ".join(words).replace("\\\n", " ")
    found = re.search(r"(?:^|[\s;&/])vllm\s+(serve\s[^\n;&]*)", script)
    return [w for w in shlex.split(found[1]) if w != "$@"] if found else None


class Box:
    """One container."""

    def __init__(self, name: str, spec: dict[str, Any], logs: Path) -> None:
        self.id = uuid.uuid4().hex * 2
        self.name, self.spec = name, spec
        self.created, self.started, self.finished = stamp(), NEVER, NEVER
        self.status, self.code = "created", 0
        self.engine: subprocess.Popen[bytes] | None = None
        self.log = logs / f"{name}-{self.id[:8]}.log"
        self.log.touch()

    def look(self) -> str:
        if self.status == "running" and self.engine and self.engine.poll() is not None:
            code = self.engine.returncode
            self.code = code if code >= 0 else 128 - code
            self.status, self.finished = "exited", stamp()
        return self.status

    def start(self) -> None:
        if self.look() == "running":
            return
        self.status, self.started, self.finished, self.code = "running", stamp(), NEVER, 0
        words = serve_words(self.spec)
        if words is None:
            return
        env = {key: os.environ[key] for key in KEPT if key in os.environ}
        env |= dict(pair.split("=", 1) for pair in self.spec.get("Env") or [] if "=" in pair)
        env["STAND_IN_GGUF"] = os.environ["STAND_IN_GGUF"]
        with self.log.open("ab") as log:
            self.engine = subprocess.Popen(
                [sys.executable, str(ENGINE), *words], env=env, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def end(self, number: int, patience_s: float) -> None:
        if self.engine and self.engine.poll() is None:
            self.engine.send_signal(number)
            try:
                self.engine.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.engine.kill()
                self.engine.wait()
        elif self.status == "running" and self.engine is None:
            self.status, self.finished = "exited", stamp()
        self.look()

    def row(self) -> dict[str, Any]:
        return {
            "Id": self.id, "Names": ["/" + self.name], "Image": self.spec.get("Image"),
            "ImageID": "sha256:0", "Command": "", "Created": 0, "Ports": [], "Mounts": [],
            "Labels": self.spec.get("Labels") or {}, "State": self.look(), "Status": self.status,
            "HostConfig": {"NetworkMode": "host"}, "NetworkSettings": {"Networks": {}},
        }  # fmt: skip

    def details(self) -> dict[str, Any]:
        status = self.look()
        spec = self.spec
        return {
            "Id": self.id, "Name": "/" + self.name, "Created": self.created, "Image": "sha256:0",
            "Path": "", "Args": [], "RestartCount": 0, "Mounts": [],
            "HostConfig": spec.get("HostConfig") or {},
            "State": {
                "Status": status, "Running": status == "running", "Paused": False, "Dead": False,
                "Restarting": False, "OOMKilled": False, "ExitCode": self.code, "Error": "",
                "Pid": self.engine.pid if self.engine else 0,
                "StartedAt": self.started, "FinishedAt": self.finished,
            },
            "Config": {
                "Labels": spec.get("Labels") or {}, "Image": spec.get("Image"), "Tty": True,
                "Env": spec.get("Env") or [], "Cmd": spec.get("Cmd"),
                "Entrypoint": spec.get("Entrypoint"), "Hostname": spec.get("Hostname") or "",
            },
            "NetworkSettings": {"Ports": {}, "Networks": {}, "IPAddress": "127.0.0.1"},
        }  # fmt: skip


class Engine(BaseHTTPRequestHandler):
    """The API. One lock: a worker is the only caller."""

    protocol_version = "HTTP/1.1"
    boxes: dict[str, Box] = {}  # noqa: RUF012 - one daemon per process
    images: dict[str, str] = {}  # noqa: RUF012
    logs: Path
    lock = threading.RLock()

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def address_string(self) -> str:
        return "worker"

    def answer(self, code: int, value: Any = None, *, raw: bytes | None = None) -> None:
        data = raw if raw is not None else b"" if value is None else json.dumps(value).encode()
        self.send_response(code)
        kind = "application/json" if raw is None else "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Api-Version", "1.44")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_call(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        path = re.sub(r"^/v[\d.]+", "", unquote(parts.path))
        query = dict(parse_qsl(parts.query))
        if self.command == "GET" and path.endswith("/logs") and query.get("follow", "") in _YES:
            self.stream_log(self.find(path.split("/")[2]), query)
            return
        with self.lock:
            self.dispatch(path, query, body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_call

    def dispatch(self, path: str, query: dict[str, str], body: bytes) -> None:
        fixed = {
            "/_ping": None,
            "/version": {"Version": "0", "ApiVersion": "1.44", "MinAPIVersion": "1.24",
                         "Os": "linux"},
            "/info": {"ID": "stand-in", "Runtimes": {"nvidia": {}, "runc": {}},
                      "DefaultRuntime": "runc", "OSType": "linux"},
            "/volumes": {"Volumes": [], "Warnings": []},
        }  # fmt: skip
        if path == "/_ping":
            self.answer(200, raw=b"OK")
        elif path in fixed:
            self.answer(200, fixed[path])
        elif path.startswith("/images/"):
            self.image(path.removeprefix("/images/"), query)
        elif path == "/containers/json":
            self.answer(200, self.listing(query))
        elif path == "/containers/create":
            self.create(query.get("name") or uuid.uuid4().hex, json.loads(body))
        else:
            _, _, reference, *verb = path.split("/")
            self.container(self.find(reference), verb[0] if verb else "", query)

    def image(self, path: str, query: dict[str, str]) -> None:
        name = query.get("fromImage", "") if path == "create" else path.removesuffix("/json")
        if "missing" in name:
            self.answer(404, {"message": f"manifest for {name} not found: manifest unknown"})
        elif path == "create":
            self.answer(200, {"status": "it is there"})
        else:
            known = name if name in self.images else f"sha256:{uuid.uuid5(_SPACE, name).hex * 2}"
            self.images.setdefault(known, name)
            self.answer(200, {"Id": known, "RepoTags": [self.images[known]], "RepoDigests": [],
                              "Config": {}})  # fmt: skip

    def listing(self, query: dict[str, str]) -> list[dict[str, Any]]:
        labels = (json.loads(query.get("filters", "{}")).get("label")) or []
        wanted = [label.partition("=") for label in labels]

        def fits(have: dict[str, str]) -> bool:
            return all(have.get(k) == v if equals else k in have for k, equals, v in wanted)

        rows = [box.row() for box in self.boxes.values()]
        every = query.get("all", "") in _YES
        return [r for r in rows if fits(r["Labels"]) and (every or r["State"] == "running")]

    def create(self, name: str, spec: dict[str, Any]) -> None:
        if self.find(name):
            self.answer(409, {"message": f"Conflict. The container name /{name} is in use"})
            return
        spec["Image"] = self.images.get(spec.get("Image"), spec.get("Image"))
        box = Box(name, spec, self.logs)
        self.boxes[box.id] = box
        self.answer(201, {"Id": box.id, "Warnings": []})

    def find(self, reference: str) -> Box | None:
        for box in self.boxes.values():
            if reference in (box.id, box.name) or box.id.startswith(reference.ljust(12, "?")):
                return box
        return None

    def container(self, box: Box | None, verb: str, query: dict[str, str]) -> None:
        if box is None:
            self.answer(404, {"message": "No such container"})
        elif self.command == "DELETE":
            box.end(signal.SIGKILL, 2)
            del self.boxes[box.id]
            self.answer(204)
        elif verb == "json":
            self.answer(200, box.details())
        elif verb == "logs":
            self.answer(200, raw=self.log_text(box, query))
        elif verb in ("start", "stop", "kill", "restart"):
            if verb != "start":
                patience_s = min(float(query.get("t") or 5), 5)
                box.end(signal.SIGKILL if verb == "kill" else signal.SIGTERM, patience_s)
            if verb in ("start", "restart"):
                box.start()
            self.answer(204)
        elif verb == "wait":
            self.answer(200, {"StatusCode": box.code})
        else:
            self.answer(200)

    def log_text(self, box: Box, query: dict[str, str], since: int = 0) -> bytes:
        lines = box.log.read_bytes().splitlines(keepends=True)[since:]
        if query.get("timestamps", "") in _YES:
            lines = [
                f"{box.started[:19]}.{since + i:09d}Z ".encode() + x for i, x in enumerate(lines)
            ]
        count = query.get("tail", "all")
        return b"".join(lines[-int(count) :] if count.isdigit() else lines)

    def stream_log(self, box: Box | None, query: dict[str, str]) -> None:
        if box is None:
            self.answer(404, {"message": "No such container"})
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.raw-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        text, seen = self.log_text(box, query), len(box.log.read_bytes().splitlines())
        self.close_connection = True
        with contextlib.suppress(OSError):
            while True:
                if text:
                    self.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
                if box.look() != "running" or box.id not in self.boxes:
                    break
                time.sleep(0.3)
                text = self.log_text(box, {**query, "tail": "all"}, seen)
                seen = len(box.log.read_bytes().splitlines())
            self.wfile.write(b"0\r\n\r\n")


_YES = ("1", "true", "True")
_SPACE = uuid.UUID(int=0)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main() -> None:
    address, Engine.logs = sys.argv[1], Path(sys.argv[2])
    Engine.logs.mkdir(parents=True, exist_ok=True)
    Path(address).unlink(missing_ok=True)
    server = Server(address, Engine)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(0.2)
    for box in list(Engine.boxes.values()):
        box.end(signal.SIGKILL, 2)


if __name__ == "__main__":
    main()
