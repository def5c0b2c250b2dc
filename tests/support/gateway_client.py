"""A client that writes raw bytes to a gateway and reads raw answers."""

from __future__ import annotations

import json
import re
import socket
import time
from dataclasses import dataclass
from typing import Any

AUTH = b"Authorization: Bearer sk-ms-1\r\n"
HEAD = b"Host: x\r\n" + AUTH + b"Content-Type: application/json\r\n"
CHAT = b"/v1/chat/completions"
DEADLINE_S = 30.0


@dataclass
class Answer:
    """One answer. ``end``: what the connection did then: open, closed or reset."""

    raw: bytes
    end: str

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def status(self) -> int:
        found = re.match(rb"HTTP/1\.1 (\d{3})", self.raw)
        return int(found.group(1)) if found else 0

    @property
    def is_chunked(self) -> bool:
        return b"\r\ntransfer-encoding: chunked" in self.head

    @property
    def body(self) -> bytes:
        """The body without its framing."""
        data = self.raw.partition(b"\r\n\r\n")[2]
        if not self.is_chunked:
            return data
        body = b""
        while data:
            size, _, data = data.partition(b"\r\n")
            length = int(size or b"0", 16)
            body += data[:length]
            data = data[length + 2 :]
            if not length:
                break
        return body

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    def header(self, name: bytes) -> bytes | None:
        found = re.search(rb"\r\n" + name + rb": ([^\r]*)", self.head, re.IGNORECASE)
        return found.group(1) if found else None


def is_whole(raw: bytes) -> bool:
    """Whether an answer is complete by its framing."""
    head, mark, body = raw.partition(b"\r\n\r\n")
    if not mark:
        return False
    if raw.startswith(b"HTTP/1.1 100"):
        return is_whole(body)
    found = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    if found:
        return len(body) >= int(found.group(1))
    return body.endswith(b"0\r\n\r\n") or b" 204 " in head[:20]


class Client:
    """One connection."""

    def __init__(self, port: int, sock: socket.socket | None = None) -> None:
        self.sock = sock or socket.create_connection(("127.0.0.1", port), 10)
        self.sock.settimeout(DEADLINE_S)
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, raw: bytes) -> None:
        self.sock.sendall(raw)

    def read(self, whole: bool = True) -> Answer:
        """The next answer; with ``whole`` False everything until the connection ends."""
        raw = b""
        end = time.monotonic() + DEADLINE_S
        while not (whole and is_whole(raw)):
            if time.monotonic() > end:  # a deadline that ends a hang
                raise AssertionError(f"no answer in time: {raw[:300]!r}")
            try:
                data = self.sock.recv(65_536)
            except ConnectionError:
                return Answer(raw, "reset")
            if not data:
                return Answer(raw, "closed")
            raw += data
        return Answer(raw, "open")

    def ask(self, raw: bytes) -> Answer:
        self.send(raw)
        return self.read()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def body(mode: str = "", model: str = "fast", pad: int = 0, **fields: object) -> bytes:
    """A chat body; ``mode`` is what the backend shall do."""
    document: dict[str, object] = {"model": model, "x_mode": mode, **fields}
    document["messages"] = [{"role": "user", "content": "x" * pad}]
    return json.dumps(document).encode()


def request(
    content: bytes | None = None,
    *,
    path: bytes = CHAT,
    method: bytes = b"POST",
    version: bytes = b"1.1",
    head: bytes = HEAD,
    extra: bytes = b"",
) -> bytes:
    """A request with Content-Length."""
    content = body() if content is None else content
    start = method + b" " + path + b" HTTP/" + version + b"\r\n"
    return start + head + extra + b"Content-Length: %d\r\n\r\n" % len(content) + content


def chunked(content: bytes, size: int = 7, *, trailer: bytes = b"", extra: bytes = b"") -> bytes:
    """The same in chunks."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    start = b"POST " + CHAT + b" HTTP/1.1\r\n" + HEAD + extra
    return start + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n" + trailer + b"\r\n"


def get(path: bytes, extra: bytes = b"", method: bytes = b"GET") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n" + AUTH + extra + b"\r\n"


def one(port: int, raw: bytes, whole: bool = True) -> Answer:
    """One request on a connection of its own."""
    with Client(port) as client:
        client.send(raw)
        return client.read(whole)
