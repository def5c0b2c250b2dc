"""Clients and a backend that behave badly at random, and what of it must still be true."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field

from support.gateway_client import AUTH
from support.gateway_upstream import SSE_HEAD, chunk

AT_ONCE = 40
POISON = b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n"POISON"'
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


async def misbehave(
    pick: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve requests, each in one of many ways; every answer repeats the request's tag."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(head)
            assert found is not None
            content = await reader.readexactly(int(found.group(1)))
            tag = json.loads(content.decode("utf-8", "replace")).get("tag")
            pad = "y" * pick.choice([0, 10, 70_000, 400_000])
            if not await _answer(pick, writer, json.dumps({"tag": tag, "pad": pad}).encode()):
                return
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _answer(pick: random.Random, writer: asyncio.StreamWriter, body: bytes) -> bool:
    """One answer; False: the connection ends."""
    kind = pick.random()
    if kind < 0.05:
        return False
    if kind < 0.08:
        writer.transport.abort()
        return False
    if kind < 0.12:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(body) + 5) + body)
        return False
    if kind < 0.15:
        writer.write(b"garbage\r\n\r\n")
        return False
    if kind < 0.2:
        await asyncio.sleep(pick.random() * 0.1)
    if kind < 0.25:
        writer.write(b"HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}")
        return True
    if kind < 0.6:
        return await _stream(pick, writer, body)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return _end(pick, writer, head % len(body) + body)


async def _stream(pick: random.Random, writer: asyncio.StreamWriter, body: bytes) -> bool:
    writer.write(SSE_HEAD)
    step = max(1, len(body) // 9)
    for start in range(0, len(body), step):
        writer.write(chunk(body[start : start + step]))
        if pick.random() < 0.5:
            await asyncio.sleep(0.0005)
        if pick.random() < 0.01:
            writer.transport.abort()
            return False
    return _end(pick, writer, b"0\r\n\r\n")


def _end(pick: random.Random, writer: asyncio.StreamWriter, last: bytes) -> bool:
    """Close, or stay; sometimes with a further answer, to no request. (One that is sent only when
    the next request is there could not be told from its answer by any HTTP/1.1 client.)"""
    if len(last) < 60_000 and pick.random() < 0.05:
        last += POISON
    writer.write(last)
    return pick.random() > 0.1


@dataclass
class Chaos:
    """``checked`` answers carried the tag of their request; ``wrong`` is what must be empty."""

    port: int
    pick: random.Random
    checked: int = 0
    wrong: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    async def run(self, clients: int) -> None:
        """Clients, some at once."""
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with at_once:
                await self._client(number)

        await asyncio.gather(*(one(number) for number in range(clients)))

    async def _client(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        try:
            for nth in range(self.pick.randint(1, 5)):
                if not await self._request(f"{number}-{nth}", reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # a broken answer, as it should look
        finally:
            writer.close()

    async def _request(
        self, tag: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request, perhaps damaged; False: this client leaves."""
        pick = self.pick
        raw, damaged = _raw(pick, tag), False
        kind = pick.random()
        if kind < 0.1:
            writer.write(raw[: pick.randint(1, len(raw))])
            await asyncio.sleep(pick.random() * 0.01)
            if pick.random() < 0.5:
                writer.transport.abort()
            return False
        if kind < 0.15:
            at, damaged = pick.randrange(len(raw)), True
            raw = raw[:at] + bytes([pick.randrange(256)]) + raw[at + 1 :]
        at = pick.randint(0, min(len(raw), 400)) if pick.random() < 0.3 else 0
        writer.write(raw[:at])
        if at:
            await asyncio.sleep(0.0005)
        writer.write(raw[at:])
        if pick.random() < 0.1:
            await asyncio.sleep(pick.random() * 0.01)
            writer.transport.abort()
            return False
        return await self._check(tag, reader, damaged)

    async def _check(self, tag: str, reader: asyncio.StreamReader, damaged: bool) -> bool:
        try:
            head, body = await asyncio.wait_for(_read(reader), 30)
        except (asyncio.TimeoutError, TimeoutError):
            if not damaged:  # a changed Content-Length may wait for ever
                self.wrong.append(f"no answer for {tag}")
            return False
        self.statuses[head[9:12].decode()] += 1
        if b"POISON" in body:
            self.wrong.append(f"{tag} received an answer to no request")
        if b" 200 " in head[:20] and not damaged:
            if b"POISON" not in body and json.loads(body)["tag"] != tag:
                self.wrong.append(f"{tag} received {body[:60]!r}")
            self.checked += 1
        return True


def _raw(pick: random.Random, tag: str) -> bytes:
    document = {"model": "fast", "tag": tag, "m": "z" * pick.choice([0, 5, 90_000])}
    body = json.dumps(document).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + AUTH
    if pick.random() < 0.7:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(body) + b"0\r\n\r\n"


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    found = _LENGTH.search(head)
    if found:
        return head, await reader.readexactly(int(found.group(1)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return head, body
