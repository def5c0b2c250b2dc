"""A long run of ``modelscan serve``: clients all the time, backends killed and started again, the
routing file edited. Run by ``make soak-gateway MINUTES=30``; CI runs a few seconds of it.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.served import Engine, routed, serving, write_routing

pytest_plugins = ("support.engine_fixtures",)
MINUTES = float(os.environ.get("SOAK_MINUTES", "0.15"))
CLIENTS = int(os.environ.get("SOAK_CLIENTS", "64" if MINUTES > 1 else "8"))
pytestmark = pytest.mark.timeout(int(MINUTES * 60) + 600)


@dataclass
class Tally:
    """What the clients saw; ``wrong`` are answers that were not theirs, or not complete."""

    answered: int = 0
    streamed: int = 0
    repeated: int = 0
    refused: list[tuple[int, bytes]] = field(default_factory=list)
    wrong: list[object] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Echo(Engine):
    """An engine that answers with the last message's text, and keeps nothing."""

    def text(self, body: dict[str, Any]) -> str:
        del self.requests[:-50], self.headers[:-50]
        return str(body["messages"][-1]["content"])


def ask(connection: http.client.HTTPConnection, text: str, stream: bool) -> tuple[int, bytes]:
    body = {"model": "both", "stream": stream, "messages": [{"role": "user", "content": text}]}
    data = json.dumps(body).encode()
    connection.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def patiently(
    connection: http.client.HTTPConnection, text: str, stream: bool, tally: Tally
) -> tuple[int, bytes]:
    """The answer. Both backends may die during one request: 503 says so, and it is sent again."""
    for _ in range(10):
        status, data = ask(connection, text, stream)
        if status != 503:
            break
        with tally.lock:
            tally.repeated += 1
        time.sleep(0.5)
    return status, data


def client(port: int, number: int, stop: threading.Event, tally: Tally) -> None:
    """One request after the other over one connection, each with a text of its own."""
    dice = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    count = 0
    while not stop.is_set():
        count += 1
        text = f"tag-{number}-{count}-" + "x" * dice.randrange(2000)
        stream = dice.random() < 0.3
        try:
            status, data = patiently(connection, text, stream, tally)
        except (OSError, http.client.HTTPException) as error:
            with tally.lock:
                tally.wrong.append((text[:20], repr(error)))
            connection.close()
            continue
        with tally.lock:
            if status != 200:
                tally.refused.append((status, data[:200]))
            elif data.count(text.encode()) != 1 or data.count(b"tag-") != 1:
                tally.wrong.append((text[:20], data[:200]))
            else:
                tally.answered += 1
                tally.streamed += stream
    connection.close()


def rss_mib(process: psutil.Process) -> float:
    """The memory of the serving process and its workers."""
    tree = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in tree) / 2**20


def trouble(home: Path, backends: list[Echo], number: int) -> None:
    """One event: a backend dies and comes back, or the file gets another revision."""
    if number % 3 == 2:
        write_routing(home, routing(backends, revision=number))
        return
    one = backends[number % 2]
    one.stop()
    time.sleep(0.3)
    one.start()


def routing(backends: list[Echo], revision: int) -> dict[str, Any]:
    entries = [one.entry(tags=["pool", f"r{revision}"]) for one in backends]
    role = {"role_id": "both", "operation": "chat",
            "routing_policy": {"strategy": "round_robin", "requires_tags": ["pool"]}}  # fmt: skip
    return routed(*entries, fallback=True, roles=[role])


def test_nothing_is_lost_and_memory_stays(home: Path) -> None:
    backends = [Echo("first"), Echo("second")]
    for one in backends:
        one.start()
    write_routing(home, routing(backends, 0))
    tally, stop = Tally(), threading.Event()
    try:
        with serving("--workers", "2") as gateway:
            port = int(gateway.url.rpartition(":")[2])
            threads = [
                threading.Thread(target=client, args=(port, number, stop, tally), daemon=True)
                for number in range(CLIENTS)
            ]
            for thread in threads:
                thread.start()
            process = psutil.Process(gateway.process.pid)
            samples = []
            end = time.monotonic() + MINUTES * 60
            number = 0
            while time.monotonic() < end:
                time.sleep(2.0)
                trouble(home, backends, number)
                number += 1
                samples.append(rss_mib(process))
            stop.set()
            for thread in threads:
                thread.join(180)
            status, health = gateway.get("/health")
    finally:
        stop.set()
        for one in backends:
            one.stop()
    print(f"{tally.answered} answers, {tally.streamed} streams, {tally.repeated} repeated, "
          f"{number} events, memory {samples[0]:.1f} to {samples[-1]:.1f} MiB")  # fmt: skip
    assert status == 200, health
    assert tally.wrong == []
    assert tally.refused == []
    assert tally.answered > CLIENTS
    early, late = samples[len(samples) // 4], samples[-1]
    assert late < early * 1.15 + 8, samples
