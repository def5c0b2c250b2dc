"""A control application in small, on a unix socket: what it receives can be read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from support.loop_thread import LoopThread

MODELS = json.dumps({"object": "list", "data": [{"id": "fast", "object": "model"}]}).encode()


class Control(LoopThread):
    """Answers /v1/models and /health; everything else is 404. ``heads`` are the heads received."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.begin(self._listen())

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        super().stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await _body(reader, head)
                self.heads.append(head)
                self.bodies.append(body)
                path = head.split(b" ")[1].split(b"?")[0]
                writer.write(_answer(path))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    low = head.lower()
    if b"transfer-encoding: chunked" in low:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body
    if b"content-length: " not in low:
        return b""
    return await reader.readexactly(int(low.split(b"content-length: ")[1].split(b"\r\n")[0]))


def _answer(path: bytes) -> bytes:
    known = {b"/v1/models": MODELS, b"/health": b'{"status":"ok"}', b"/": b"<html></html>"}
    body = known.get(path)
    status = b"200 OK" if body is not None else b"404 Not Found"
    body = body or b'{"title":"Not Found"}'
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body
