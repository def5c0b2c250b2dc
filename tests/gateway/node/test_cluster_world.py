"""Clients all the time, while nodes are killed, stopped, silent and forgotten, and the control plane
is killed and restored. Run by ``make bench-cluster MINUTES=30``; CI runs one of each.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from support.cluster_world import MODEL, ClusterWorld, Kinds, Outage, misrouted
from support.served import until

from modelscan.state.config import load
from modelscan.state.server.database import open_server
from modelscan.traces.store import ReceiptFilter, ReceiptStore

MINUTES = float(os.environ.get("CLUSTER_MINUTES", "0"))
KINDS = Kinds(real=6, light=2, deployed=2) if MINUTES else Kinds(real=2, light=1)
SEED = int(os.environ.get("CLUSTER_SEED", "1"))
CLIENTS = 16 if MINUTES else 4
BEAT_S = 2.0 if MINUTES else 0.5
MARGIN_S = 1.0  # from the report of a state to every worker's knowledge of it
LAGS = 3  # a process that the system does not run learns later, by some of the longest such times
EVENTS = ("killed", "paused", "silent", "removed", "control plane")
pytestmark = pytest.mark.timeout(int(MINUTES * 60) + 1200)


@dataclass
class Tally:
    """What the clients saw. ``down``: no connection, while the control plane was dead."""

    answered: int = 0
    down: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[object] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def ask(port: int, name: str, text: str) -> tuple[int, bytes]:
    message = {"role": "user", "content": text}
    body = json.dumps({"model": name, "messages": [message], "max_tokens": 4})
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
        connection.request(
            "POST", "/v1/chat/completions", body, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, answer.read()


class Lag(threading.Thread):
    """The longest time that this machine did not run a process that was ready, until ``stop``."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.longest_s = 0.0
        self._stop_event = stop

    def run(self) -> None:
        before = time.monotonic()
        while not self._stop_event.wait(0.05):
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - before - 0.05)
            before = now


def client(world: ClusterWorld, number: int, stop: threading.Event, tally: Tally) -> None:
    """One request after the other, each with a text of its own."""
    count = 0
    while not stop.is_set():
        count += 1
        text = f"tag-{number}-{count}-."
        try:
            status, data = ask(world.port, ("all", MODEL)[count % 2], text)
        except (OSError, http.client.HTTPException):
            with tally.lock:
                tally.down += 1
            time.sleep(0.05)
            continue
        with tally.lock:
            if status == 200:
                tally.answered += 1
                if not _is_answer(data, text):
                    tally.wrong.append((text, data[:200]))
            else:
                tally.refused[f"{_reason(status, data)} ({world.now})"] += 1
        time.sleep(0.01)


def _is_answer(data: bytes, text: str) -> bool:
    """Whether an answer is the one to this text; that of a deployment has no text in common."""
    body = json.loads(data)
    own = 1 if body["model"] == MODEL else 0
    count = data.count(text.encode()), data.count(b"tag-")
    return bool(body["choices"]) and count == (own, own)


def _reason(status: int, data: bytes) -> str:
    """Status and code of a refusal; without an error in the caller's form it is no refusal."""
    error = json.loads(data)["error"]
    assert error["message"], data
    return f"{status} {error.get('code')}"


def receipts_of(world: ClusterWorld, since: float) -> list[tuple[float, str]]:
    with open_server(load(environ={"MODELSCAN_HOME": str(world.home)})) as database:
        rows = ReceiptStore(database).newest(10_000_000, ReceiptFilter(since=since))
    return [(one.at, one.backend) for one in rows if one.backend]


def rss_mib(world: ClusterWorld) -> float:
    process = psutil.Process(world.plane.process.pid)
    tree = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in tree) / 2**20


def fairness(world: ClusterWorld) -> list[int]:
    """Requests by role, one after the other, over all nodes: how many each backend answered."""
    settle(world)
    before = world.requests()
    for number in range(20 * len(before)):
        assert ask(world.port, "all", f"tag-fair-{number}-.")[0] == 200
    settle(world)
    return [count - before[name] for name, count in world.requests().items()]


def settle(world: ClusterWorld) -> None:
    """Until every request before was counted: a worker reports them in their order."""
    body = {"model": "no such model", "messages": []}
    with closing(http.client.HTTPConnection("127.0.0.1", world.port, timeout=300)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        answer = connection.getresponse()
        trace_id = str(answer.headers["x-request-id"])
        assert answer.read() and answer.status == 404
    with open_server(load(environ={"MODELSCAN_HOME": str(world.home)})) as database:
        store = ReceiptStore(database)
        until(lambda: store.find(trace_id))


def disturb(world: ClusterWorld, end: float, memory: list[float]) -> None:
    """One event of each kind, in a seeded order, again and again until the end."""
    while True:
        order = list(EVENTS)
        world.dice.shuffle(order)
        for what in order:
            world.happen(what)
            memory.append(rss_mib(world))
        if time.time() >= end:
            return


def test_a_cluster_under_disturbances(clean_environment: Path, tmp_path: Path) -> None:
    world = ClusterWorld(tmp_path, KINDS, BEAT_S, SEED)
    tally, stop, memory = Tally(), threading.Event(), []  # type: ignore[var-annotated]
    lag = Lag(stop)
    begun = time.time()
    with world.alive():
        threads = [
            threading.Thread(target=client, args=(world, number, stop, tally), daemon=True)
            for number in range(CLIENTS)
        ]
        for thread in (lag, *threads):
            thread.start()
        try:
            disturb(world, begun + MINUTES * 60, memory)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        shares = fairness(world)
    margin_s = MARGIN_S + LAGS * lag.longest_s
    late = misrouted(receipts_of(world, begun), world.outages, margin_s)
    _print(world, tally, shares, memory, margin_s)
    assert tally.wrong == []
    assert late == [], "requests at hosts that were known to be silent"
    assert tally.answered > 10 * CLIENTS
    assert max(shares) - min(shares) <= 2, shares
    assert {one.partition(" (")[0] for one in tally.refused} <= ALLOWED, tally.refused
    if len(memory) > 20:
        assert memory[-1] < memory[len(memory) // 4] * 1.2 + 16, memory


# Refusals that say what to do: no node is left at that moment, or one died with a request at work.
ALLOWED = {"502 backend_failed", "503 no_backend", "504 backend_timeout", "503 backend_unavailable"}


def _print(
    world: ClusterWorld, tally: Tally, shares: list[int], memory: list[float], margin_s: float
) -> None:
    waits = [one.stale - one.since for one in world.outages if one.stale is not None]
    print(
        f"\n{len(world.log)} events ({world.restarts} restarts of the control plane), "
        f"{tally.answered} answered, {dict(tally.refused)} refused, {tally.down} without connection"
        f"\nstale after at most {max(waits, default=0.0):.1f} s (a beat is {BEAT_S:g} s); "
        f"shares {shares}; memory {memory[0]:.0f} to {memory[-1]:.0f} MiB; margin {margin_s:.1f} s"
    )


def test_misrouted_requests_are_found() -> None:
    outage = Outage("n1", "paused", 100.0, stale=104.0, until=120.0)
    requests = [
        (103.0, "n1/chat/echo"), (104.5, "n1/chat/echo"), (109.0, "n1/chat/echo"),
        (109.0, "n2/chat/echo"), (119.5, "n1/chat/echo"), (121.0, "n1/chat/echo"),
    ]  # fmt: skip
    assert misrouted(requests, [outage], 1.0) == [("n1", 5.0)]
