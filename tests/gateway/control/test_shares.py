"""Gateways share the limits of keys: never more in sum, while gateways join, leave or die."""

from __future__ import annotations

import contextlib
import math
import random
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from modelscan.gateway.control.shares import KeyCells, LimitShares
from modelscan.gateway.counters import Counters, CounterSizes
from modelscan.gateway.data import admission
from modelscan.gateway.data.errors import RefusedError
from modelscan.gateway.data.state import LiveKey
from modelscan.gateway.snapshot import Key
from modelscan.state.server import shares, sharing
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits
from modelscan.state.server.shares import GatewayLease
from modelscan.state.server.sharing import LimitPart, fair_share, next_share

RATE, CONCURRENT = 40, 7


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self, *_: object) -> float:
        return self.now


class Peer:
    """The counters, cells and lease of one gateway, with one key; no processes."""

    def __init__(self, database: ServerDatabase, clock: Clock) -> None:
        self.counters = Counters.create(CounterSizes(backends=1, keys=2, turns=1))
        self.worker = Counters.attach(self.counters.fileno(), 0)
        limits = KeyLimits(requests_per_minute=RATE, max_concurrent=CONCURRENT)
        record = SimpleNamespace(name="k", limits=limits)
        self.gateway: Any = SimpleNamespace(
            counters=self.counters, key_rows={"k": 1}, shares_limits=False, share_lock=threading.Lock(),
            loaded=SimpleNamespace(keys=[record]),
        )  # fmt: skip
        key = Key("k", b"", ("infer",), 1, None, RATE, CONCURRENT)
        self.key = LiveKey(key, self.worker)
        self.clock = clock
        self.cells = KeyCells(self.gateway, clock)
        self.lease = GatewayLease(database, "http://127.0.0.1", "0")
        self.shares = LimitShares(self.gateway, self.lease, self.cells)
        self.lease.join()
        self.since_exchange = 0
        self.tick()

    def tick(self) -> None:
        self.shares.tick()
        self.since_exchange = 0

    def ask(self) -> bool:
        """One request that stays under way, if it is admitted."""
        with contextlib.suppress(RefusedError):
            admission.check_inference(self.worker, self.key, "chat", self.clock.now)
            admission.enter(self.worker, self.key)
            self.since_exchange += 1
            return True
        return False

    def finish(self) -> None:
        if self.flying:
            admission.leave(self.worker, self.key)

    @property
    def flying(self) -> int:
        return self.worker.total(self.key.in_flight)

    @property
    def used(self) -> float:
        return admission.used_in_minute(self.counters, 1, self.clock.now)


@dataclass
class World:
    """Gateways on one database, and what must hold at every moment."""

    database: ServerDatabase
    clock: Clock
    peers: list[Peer] = field(default_factory=list)
    dead: list[tuple[float, float]] = field(default_factory=list)  # used, at
    slack: int = 0

    def check(self) -> None:
        assert sum(peer.flying for peer in self.peers) <= CONCURRENT
        gone = sum(used * max(0.0, 1 - (self.clock.now - at) / 60) for used, at in self.dead)
        assert sum(peer.used for peer in self.peers) + gone <= RATE + self.slack + 1e-6

    def kill(self, peer: Peer) -> None:
        """Without a word: its requests end with it, and its unreported ones are the bound."""
        self.peers.remove(peer)
        self.dead.append((peer.used, self.clock.now))
        self.slack += peer.since_exchange


@pytest.fixture
def world(server_database: ServerDatabase, monkeypatch: pytest.MonkeyPatch) -> World:
    clock = Clock()
    monkeypatch.setattr(shares, "moment", clock)
    monkeypatch.setattr(shares, "runs_here", lambda pid: True)
    return World(server_database, clock)


@pytest.mark.parametrize("seed", range(2))
def test_the_sum_is_never_more_than_the_limit(world: World, seed: int) -> None:
    chance = random.Random(seed)
    world.peers = [Peer(world.database, world.clock) for _ in range(2)]
    for _ in range(400 if world.database.file else 150):
        peer = chance.choice(world.peers)
        action = chance.choices(("ask", "finish", "tick", "wait", "join", "leave", "kill"),
                                (10, 6, 6, 3, 0.2, 0.1, 0.1))[0]  # fmt: skip
        if action == "ask":
            peer.ask()
        elif action == "finish":
            peer.finish()
        elif action == "tick":
            peer.tick()
        elif action == "wait":
            for one in world.peers:  # all of them are seen before a lease ends
                one.tick()
            world.clock.now += chance.uniform(0, 9)
        elif action == "join" and len(world.peers) < 4:
            world.peers.append(Peer(world.database, world.clock))
        elif action == "leave" and len(world.peers) > 1:
            while peer.flying:
                peer.finish()
            peer.lease.leave({"k": peer.cells.use("k")})
            world.dead.append((peer.used, world.clock.now))
            world.peers.remove(peer)
        elif action == "kill" and len(world.peers) > 1:
            world.kill(peer)
        world.check()


def test_one_gateway_gets_what_the_others_do_not_use(world: World) -> None:
    first, second = (Peer(world.database, world.clock) for _ in range(2))
    assert not second.ask()  # the first one was alone and has everything
    for peer in (first, second):
        peer.tick()
    assert second.ask() and first.ask()
    admitted = 2
    for _ in range(12):
        for peer in (first, second):
            peer.tick()
        while first.ask():
            admitted += 1
            first.finish()
        for peer in (first, second):
            peer.finish()
    assert RATE - RATE // 10 <= admitted <= RATE
    world.clock.now += 130
    for _ in range(15):  # what was busy becomes idle
        for peer in (first, second):
            peer.tick()
    assert second.ask() and first.ask()


def test_a_gateway_that_dies_gives_its_lease_back(world: World) -> None:
    first, second = (Peer(world.database, world.clock) for _ in range(2))
    for peer in (first, second):
        peer.tick()
    while second.ask():
        pass
    used, flying = math.ceil(second.used), second.flying
    second.tick()
    world.clock.now += sharing.LEASE_S - 1
    first.tick()
    assert first.counters.cells[first.key.concurrent_cap] - 1 <= CONCURRENT - flying
    world.clock.now += 2
    first.tick()
    assert first.counters.cells[first.key.concurrent_cap] - 1 == CONCURRENT
    assert first.counters.cells[first.key.rate_cap] - 1 < RATE - used // 2
    world.clock.now += sharing.WINDOW_S
    first.tick()
    assert first.counters.cells[first.key.rate_cap] == 0  # alone again: the whole limit
    assert first.gateway.shares_limits is False


def test_a_gateway_that_was_taken_for_dead_comes_back(world: World) -> None:
    first, second = (Peer(world.database, world.clock) for _ in range(2))
    world.clock.now += sharing.LEASE_S + 1
    first.tick()
    second.tick()
    first.tick()
    world.peers = [first, second]
    while first.ask() or second.ask():
        world.check()


def test_a_restart_after_a_crash_waits_for_no_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that had the limits is gone from this machine: nothing is left of it."""
    crashed = Peer(world.database, world.clock)
    assert crashed.ask()
    monkeypatch.setattr(shares, "runs_here", lambda pid: False)
    restarted = Peer(world.database, world.clock)
    for _ in range(CONCURRENT):
        assert restarted.ask()
    assert not restarted.ask()


def test_shares_add_up_and_follow_the_demand() -> None:
    idle = LimitPart(5, 0)
    assert [fair_share(10, idle, [idle]), fair_share(10, idle, [idle, idle])] == [5, 4]
    busy = LimitPart(5, 5, 20.0)
    assert fair_share(10, busy, [idle]) == 10
    assert fair_share(100, busy, [idle]) > 90
    assert fair_share(100, idle, [busy]) >= 5  # a reserve for its first requests
    assert next_share(10, busy, [LimitPart(None, 0)]) == 5  # no more than it has used
    assert next_share(10, busy, [LimitPart(3, 0)]) == 7
    assert next_share(10, LimitPart(0, 0, 1.0), [LimitPart(0, 0)], gone=9) == 1
    assert next_share(1, idle, [idle]) in (0, 1)
