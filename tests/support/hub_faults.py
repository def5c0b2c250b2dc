"""How the fake hub misbehaves on request."""

from __future__ import annotations

import functools
import gzip
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.fake_hub import FakeHub, Seen
    from support.hub_content import File

FAULTS = (
    "500", "503", "429", "401", "403", "404", "garbage", "html", "huge", "endless", "gzip-bomb",
    "redirect-loop", "slow-headers", "slow-body", "hang", "reset", "half", "ignore-range",
    "cut", "corrupt", "throttle",
)  # fmt: skip
FILE_FAULTS = ("cut", "corrupt", "throttle")  # a file's headers are right, its body is not
CHUNK = 1 << 20
BOMB_BYTES = 80 << 20


@functools.lru_cache
def bomb() -> bytes:
    """A small answer that unpacks to 80 MiB."""
    return gzip.compress(bytes(BOMB_BYTES), compresslevel=1)


def misbehave(handler: Any, hub: FakeHub, seen: Seen, mode: str) -> None:
    """Send what a broken server sends."""
    handler.close_connection = True
    if mode.isdigit():
        _send_status(handler, hub, int(mode))
    elif mode == "garbage":
        handler.send(_reply(b'{"models": [\x00\xff not json', 200), seen)
    elif mode == "html":
        page = b"<!doctype html><title>Sign in to the network</title>"
        handler.send(_reply(page, 200, {"Content-Type": "text/html"}), seen)
    elif mode == "redirect-loop":
        handler.send(_reply(b"", 302, {"Location": hub.url + handler.path}), seen)
    elif mode == "reset":
        linger = struct.pack("ii", 1, 0)  # close with RST
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()
    elif mode == "hang":
        hub.stopping.wait(60)
    elif mode == "slow-headers":
        _drip(handler, hub, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 4096)
    elif mode == "slow-body":
        handler.start(200, {"Content-Type": "application/json"})
        _drip(handler, hub, b" " * 4096)
    else:
        _send_much(handler, hub, seen, mode)


def _send_status(handler: Any, hub: FakeHub, status: int) -> None:
    headers = {}
    if status == 429:
        headers = {"RateLimit": '"api";r=0;t=55',
                   "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}  # fmt: skip
    if hub.retry_after is not None:
        headers["Retry-After"] = hub.retry_after
    body = b'{"error":"Internal Error - We\'re working hard to fix this as soon as possible!"}'
    handler.start(status, {**headers, "Content-Length": str(len(body))})
    handler.write(body)


def _drip(handler: Any, hub: FakeHub, data: bytes) -> None:
    for i in range(len(data)):
        if hub.stopping.is_set():
            return
        handler.wfile.write(data[i : i + 1])
        handler.wfile.flush()
        time.sleep(hub.drip_s if i > 20 else 0)


def _send_much(handler: Any, hub: FakeHub, seen: Seen, mode: str) -> None:
    """``huge`` announces 2 GB, ``endless`` nothing, the bomb little; ``half`` stops halfway."""
    if mode == "half":
        seen.headers.pop("if-none-match", None)  # a 304 has no half
        reply = hub.reply(seen)
        body = reply.body if reply.file is None else reply.file.read(0, 1 << 16)
        handler.start(reply.status, {**reply.headers, "Content-Length": str(len(body))})
        handler.write(body[: len(body) // 2])
        return
    headers = {"Content-Type": "application/json"}
    chunk = b" " * 65536
    if mode == "huge":
        headers["Content-Length"] = str(2_000_000_000)
    if mode == "gzip-bomb":
        headers |= {"Content-Encoding": "gzip", "Content-Length": str(len(bomb()))}
        handler.start(200, headers)
        handler.write(bomb())
        return
    handler.start(200, headers)
    for _ in range(2_000_000_000 // 65536):
        if hub.stopping.is_set():
            return
        handler.write(chunk)


def _reply(*args: Any) -> Any:
    from support.fake_hub import Reply

    return Reply(*args)


def send_body(
    handler: Any, hub: FakeHub, file: File, part: tuple[int, int], mode: str | None
) -> None:
    """The bytes [start, end) of a file: cut off, with a flipped byte, slowly, or as they are."""
    start, end = part
    stop = min(end, start + hub.cut_after_bytes) if mode == "cut" else end
    step = max(1, hub.bytes_per_s // 20) if mode == "throttle" else CHUNK
    for at in range(start, stop, step):
        data = file.read(at, min(stop, at + step))
        if mode == "corrupt" and at == start and data:
            data = bytes([data[0] ^ 0xFF]) + data[1:]
        handler.write(data)
        if mode == "throttle":
            handler.wfile.flush()
            time.sleep(step / hub.bytes_per_s)
    handler.close_connection = handler.close_connection or stop < end
