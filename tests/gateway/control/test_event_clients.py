"""Many readers of events and one writer on a running gateway: every event once and in order.

40 readers here; ``make bench-events`` (CLIENTS=1000) prints the memory of the gateway's processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import threading
import time
from pathlib import Path

import psutil
from support.patience import COMMAND_S
from support.served import Served, serving, write_routing

from modelscan.gateway.descriptors import raise_descriptor_limit

CLIENTS = int(os.environ.get("EVENT_CLIENTS", "40"))
EVENTS = int(os.environ.get("EVENT_COUNT", "60"))
_ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)
MODELS = "/v1/registry/models"


class Reader:
    """Reads ids; ``goes`` of them lose their connection on the way and come back with the last."""

    def __init__(self, address: tuple[str, int], goes: int) -> None:
        self.ids: list[int] = []
        self.times: list[float] = []
        self.opened = asyncio.Event()
        self._address = address
        self._goes = goes
        self._rest = b""

    async def run(self, last: int) -> None:
        """Until the event ``last`` of this count has arrived."""
        while len(self.ids) < last:
            await self._connection(last)

    async def _connection(self, last: int) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        since = f"Last-Event-ID: {self.ids[-1]}\r\n" if self.ids else ""
        writer.write(
            f"GET /v1/events?kind=alias HTTP/1.1\r\nHost: localhost\r\n{since}\r\n".encode()
        )
        self._rest = b""
        leave_at = (
            random.Random(len(self.ids) + id(self)).randrange(1, last) if self._goes else None
        )
        try:
            while len(self.ids) < last:
                piece = await reader.read(65536)
                if not piece:
                    return
                self._take(piece)
                if leave_at is not None and len(self.ids) >= leave_at:
                    self._goes -= 1
                    return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _take(self, piece: bytes) -> None:
        text = self._rest + piece
        whole, _, self._rest = text.rpartition(b"\n\n")
        if b": connected" in whole or b": connected" in text:
            self.opened.set()
        now = time.monotonic()
        for match in _ID.finditer(whole):
            self.ids.append(int(match[1]))
            self.times.append(now)


def test_every_reader_gets_every_event_once_and_in_order(tmp_path: Path) -> None:
    raise_descriptor_limit()
    home = tmp_path / "home"
    write_routing(home, {"limits": {"max_connections": CLIENTS + 200}})
    with serving(MODELSCAN_HOME=str(home)) as gateway:
        for body in ({"slug": "a"},):
            assert gateway.ask("POST", MODELS, body)[0] == 201
        for number in (1, 2):
            facts = {"weights_url": f"https://hub.test/{number}"}
            assert gateway.ask("POST", f"{MODELS}/a/versions", facts)[0] == 201
        before = memory(gateway)
        asyncio.run(asyncio.wait_for(_race(gateway, before), 10 * COMMAND_S))


async def _race(gateway: Served, before: dict[str, int]) -> None:
    host, port = gateway.url.partition("//")[2].split(":")
    readers = [Reader((host, int(port)), goes=number % 5 == 0) for number in range(CLIENTS)]
    tasks = [asyncio.create_task(reader.run(EVENTS)) for reader in readers]
    await asyncio.gather(*(reader.opened.wait() for reader in readers))
    connected = memory(gateway)
    written: list[float] = []
    writer = threading.Thread(target=_write, args=(gateway, written))
    writer.start()
    await asyncio.gather(*tasks)
    writer.join()
    assert len(readers[0].ids) == EVENTS
    expected = readers[0].ids
    assert expected == sorted(set(expected))
    assert all(reader.ids == expected for reader in readers)
    _state(before, connected, memory(gateway))


def _write(gateway: Served, written: list[float]) -> None:
    for number in range(EVENTS):
        body = {"version": str(1 + number % 2)}
        status, answer = gateway.ask("PUT", f"{MODELS}/a/aliases/champion", body)
        assert status == 200, answer
        written.append(time.monotonic())


def memory(gateway: Served) -> dict[str, int]:
    """RSS in bytes: of the serving process, and of its workers together."""
    process = psutil.Process(gateway.process.pid)
    workers = sum(child.memory_info().rss for child in process.children())
    return {"control": process.memory_info().rss, "workers": workers}


def _state(before: dict[str, int], connected: dict[str, int], after: dict[str, int]) -> None:
    row = {
        f"{name}_rss_mib": [round(one[name] / 2**20, 1) for one in (before, connected, after)]
        for name in before
    }
    per_reader = sum(connected.values()) - sum(before.values())
    print(json.dumps({"readers": CLIENTS, "events": EVENTS, **row,
                      "bytes_per_reader": per_reader // CLIENTS}))  # fmt: skip
