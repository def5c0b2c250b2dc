"""The registry of nodes over a real database, with a clock of its own: silence, restarts, others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pytest
from support.node_messages import beat, registration, run, service

from modelscan.core.node import Departure, Heartbeat, Registration
from modelscan.gateway.control.nodes.registry import NodeRegistry
from modelscan.gateway.control.nodes.rules import NodeCaller, NodeRefused
from modelscan.gateway.control.nodes.secret import Sealer
from modelscan.state.server.audit import Actor, list_audit
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.nodes import NodeStore

HERE = NodeCaller("key", "127.0.0.1", True)
ENDPOINT = "http://127.0.0.1:8000"
T = TypeVar("T")


@dataclass
class World:
    """Gateways over one database; ``now`` is their clock, ``wall`` the time that they agree on."""

    database: ServerDatabase
    now: float = 1000.0
    wall: float = 1_700_000_000.0
    sequence: dict[str, int] = field(default_factory=dict)

    def gateway(self, secret: bytes = b"s" * 32) -> NodeRegistry:
        store = NodeStore(self.database)
        made = NodeRegistry(store, Sealer(secret), clock=lambda: self.now, wall=lambda: self.wall)
        made.load()
        return made

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def next(self, name: str, **more: Any) -> dict[str, Any]:
        self.sequence[name] = self.sequence.get(name, 0) + 1
        return run(f"run-{name}", self.sequence[name], **more)

    def register(self, at: NodeRegistry, name: str, /, *services: Any, **more: Any) -> None:
        body = registration(name, *(services or (service(f"{name}/chat", ENDPOINT),)))
        body["modelscan"] = self.next(name, **more)
        do(at.register(msgspec.convert(body, Registration), HERE))

    def beat(self, at: NodeRegistry, name: str, /, state: str = "online", **more: Any) -> None:
        body = beat(name, modelscan=self.next(name, **more))
        body["status"] = {"state": state, "last_seen": self.wall}
        do(at.heartbeat(msgspec.convert(body, Heartbeat), HERE))


def do(awaitable: Awaitable[T]) -> T:
    async def run_it() -> T:
        return await awaitable

    return asyncio.run(run_it())


@pytest.fixture
def world(server_database: ServerDatabase) -> World:
    """On SQLite and on PostgreSQL."""
    return World(server_database)


def states(gateway: NodeRegistry) -> dict[str, str]:
    gateway.tick()
    return {name: host.state for name, host in gateway.hosts.items()}


def pass_time(world: World, seconds: float, *gateways: NodeRegistry) -> None:
    """Time with its ticks: a gateway whose ticks are late was stopped itself."""
    for _ in range(round(seconds)):
        world.sleep(1)
        for gateway in gateways:
            gateway.tick()


def test_a_host_falls_silent_and_returns(world: World) -> None:
    one = world.gateway()
    world.register(one, "a")
    world.register(one, "b", beat_s=1.0)
    pass_time(world, 3, one)
    assert states(one) == {"a": "ready", "b": "stale"}
    assert one.refusal("b") == "its node b has not reported for 3 s"
    pass_time(world, 16, one)
    assert states(one) == {"a": "ready", "b": "stale"}
    pass_time(world, 1, one)
    assert states(one)["a"] == "stale"
    version = one.version
    world.beat(one, "a")
    assert states(one)["a"] == "ready" and one.version > version
    version = one.version
    world.beat(one, "a", services=[{"service_id": "a/chat", "observed": {"in_flight": 3}}])
    assert one.version == version  # figures move no requests
    for state, moved in (({"health": "unhealthy"}, 1), ({"health": "healthy"}, 1)):
        version = one.version
        world.beat(one, "a", services=[{"service_id": "a/chat", "state": state}])
        assert one.version - version == moved
    scored = one.scored
    slow = {"p50_latency_ms": 9000.0}
    world.beat(one, "a", services=[{"service_id": "a/chat", "observed": slow}])
    assert one.scored == scored + 1
    world.beat(one, "a", state="draining")
    assert states(one)["a"] == "draining"


def test_a_gateway_that_was_stopped_itself_waits_for_the_nodes(world: World) -> None:
    one = world.gateway()
    world.register(one, "a", beat_s=1.0)
    world.sleep(60)  # no tick meanwhile
    assert states(one) == {"a": "ready"}
    pass_time(world, 2, one)
    assert states(one) == {"a": "stale"}


def test_a_restart_knows_the_hosts_and_trusts_only_new_heartbeats(world: World) -> None:
    one = world.gateway()
    far = service("a/far", "http://127.0.0.1:9000", "other")
    own = service("a/chat", ENDPOINT)
    world.register(one, "a", own, far, gateway=ENDPOINT, endpoint_key="sk-a")
    update = {"service_id": "a/chat", "state": {"health": "healthy", "accept_requests": False}}
    world.beat(one, "a", services=[update])
    do(one.exchange())
    names = [entry.route.name for entry in one.entries()]
    keys = {entry.route.name: entry.route.api_key for entry in one.entries()}
    assert names == ["a/chat", "a/far"] and keys == {"a/chat": "node:a", "a/far": None}
    world.sleep(5)
    again = world.gateway()
    assert states(again) == {"a": "ready"}  # it was heard 5 s ago
    assert again.hosts["a"].access_key == "sk-a"
    assert not again.hosts["a"].services["a/chat"].state.accept_requests
    assert [e.refused for e in again.entries()] == ["its node accepts no requests for it", None]
    assert world.gateway(b"t" * 32).hosts["a"].access_key is None
    world.sleep(30)
    late = world.gateway()
    assert states(late) == {"a": "stale"}
    world.beat(late, "a")
    assert states(late) == {"a": "ready"}
    with pytest.raises(NodeRefused, match="not newer"):
        world.sequence["a"] -= 1
        world.beat(late, "a")


def test_two_gateways_see_the_same_hosts(world: World) -> None:
    one, two = world.gateway(), world.gateway()
    world.register(one, "a", beat_s=2.0)
    assert do(two._known("a")).name == "a"  # before it has read the change
    world.register(one, "b", beat_s=2.0)
    do(two.exchange())
    assert states(two) == {"a": "ready", "b": "ready"}
    for _ in range(4):  # longer than they may be silent
        pass_time(world, 1, one, two)
        world.beat(one, "a")
        world.beat(two, "b")
        version = two.version
        do(one.exchange())
        do(two.exchange())
        assert two.version == version  # others' heartbeats make no new table either
    assert states(one) == states(two) == {"a": "ready", "b": "ready"}
    store = NodeStore(world.database)
    assert store.drain("a", True, Actor("user", "me"))
    world.beat(one, "a")  # not written yet
    do(one.exchange())
    do(two.exchange())
    assert states(one)["a"] == states(two)["a"] == "draining"
    world.beat(one, "a")
    do(two.leave(msgspec.convert({"host_id": "b"}, Departure), HERE))
    do(one.exchange())
    assert states(one)["b"] == "left"
    assert [entry.host_id for entry in one.entries()] == ["a"]
    assert store.remove(["a"]) == 1
    world.beat(one, "a")
    do(one.exchange())
    assert "a" not in one.hosts  # the row is gone: its next heartbeat gets 404
    with pytest.raises(NodeRefused) as error:
        world.beat(one, "a")
    assert error.value.status == 404


def test_a_service_moves_from_a_silent_host_to_a_live_one(world: World) -> None:
    one = world.gateway()
    world.register(one, "a")
    with pytest.raises(NodeRefused, match="live host a"):
        world.register(one, "b", service("a/chat", ENDPOINT))
    pass_time(world, 20, one)
    world.register(one, "b", service("a/chat", ENDPOINT))
    assert [(e.host_id, e.route.name) for e in one.entries()] == [("b", "a/chat")]
    assert [(e.host_id) for e in world.gateway().entries()] == ["b"]
    with pytest.raises(NodeRefused) as error:
        world.beat(one, "a", services=[{"service_id": "a/chat"}])
    assert error.value.code == "service_unknown"
    with pytest.raises(NodeRefused, match="live host b"):
        world.register(one, "a")


def test_old_hosts_are_forgotten(world: World) -> None:
    one = world.gateway()
    world.register(one, "a")
    world.register(one, "b")
    do(one.leave(msgspec.convert({"host_id": "a"}, Departure), HERE))
    do(one.tidy())
    assert set(one.hosts) == {"a", "b"}
    world.sleep(86_401)
    do(one.tidy())
    assert set(one.hosts) == {"b"} == set(world.gateway().hosts)
    world.sleep(30 * 86_400)
    do(one.tidy())
    assert not one.hosts and not world.gateway().hosts


def test_changes_and_suspicious_messages_are_recorded(world: World) -> None:
    one = world.gateway()
    world.register(one, "a")
    world.register(one, "a")  # the same run with other services
    for _ in range(3):
        do(one.note_refusal("a", "host_taken", HERE))
    world.sleep(61)
    do(one.note_refusal("a", "host_taken", HERE))
    store = NodeStore(world.database)
    store.drain("a", True, Actor("user", "me"))
    do(one.leave(msgspec.convert({"host_id": "a"}, Departure), HERE))
    store.remove(["a"], Actor("user", "me"))
    rows = list_audit(world.database, limit=10)
    changes = [(row.actor_kind, row.actor, row.action, row.target) for row in rows.changes]
    assert sorted(changes) == [
        ("key", "key", "node.leave", "a"),
        ("key", "key", "node.refused", "a"),
        ("key", "key", "node.refused", "a"),
        ("key", "key", "node.register", "a"),
        ("user", "me", "node.drain", "a"),
        ("user", "me", "node.remove", "a"),
    ]
    assert rows.broken_at is None


def test_a_tick_that_comes_late_never_makes_a_node_younger_than_its_last_message(
    world: World,
) -> None:
    """The gateway was stopped: the nodes' silence does not count, and no more than that."""
    gateway = world.gateway()
    world.register(gateway, "box", beat_s=1.0)
    gateway.tick()
    world.sleep(60)
    world.beat(gateway, "box", beat_s=1.0)  # read before the tick
    assert states(gateway) == {"box": "ready"}
    pass_time(world, 2.5, gateway)
    assert states(gateway) == {"box": "stale"}


def test_gateways_find_a_node_silent_at_the_same_time(world: World) -> None:
    """Also one that reads its heartbeats later; a wrong clock makes no live node stale."""
    first, second = world.gateway(), world.gateway()
    world.register(first, "box")
    do(first.exchange())
    do(second.exchange())
    world.sleep(1)
    world.beat(first, "box")
    do(first.exchange())
    world.sleep(3)
    do(second.exchange())
    assert second.silent_s(second.hosts["box"]) == first.silent_s(first.hosts["box"]) == 3.0
    world.beat(first, "box")
    do(first.exchange())
    world.wall += 86_400
    do(second.exchange())
    assert second.silent_s(second.hosts["box"]) == 5.0


def test_a_heartbeat_with_services_has_all_of_them(world: World) -> None:
    """As GenieHive's node sends them where it discovers models."""
    one = world.gateway()
    first, second = service("a/one", ENDPOINT), service("a/two", ENDPOINT, "other")
    do(one.register(msgspec.convert(registration("a", first, second), Registration), HERE))
    models = [{"asset_id": "demo", "loaded": False}, {"asset_id": "qwen3:8b", "loaded": True}]
    found = {**first, "assets": models, "observed": {"loaded_model_count": 1}}

    def sent(*services: Any) -> Heartbeat:
        return msgspec.convert(beat("a", services=list(services)), Heartbeat)

    do(one.heartbeat(sent(found), HERE))
    do(one.exchange())
    for gateway in (one, world.gateway()):  # and one that starts later
        services = gateway.hosts["a"].services
        assert list(services) == ["a/one"]
        assert [row.asset_id for row in services["a/one"].assets] == ["demo", "qwen3:8b"]
        assert services["a/one"].observed.loaded_model_count == 1
    moved = {**first, "endpoint": "http://127.0.0.1:8001"}
    for refused, status in (
        (second, 404), (moved, 404), ({**first, "kind": "embeddings"}, 404),
        ({**first, "host_id": "b"}, 403),
    ):  # fmt: skip
        with pytest.raises(NodeRefused) as error:
            do(one.heartbeat(sent(refused), HERE))
        assert error.value.status == status
    do(one.register(msgspec.convert(registration("a", first, second), Registration), HERE))
    do(one.heartbeat(sent(first, second), HERE))
    assert list(one.hosts["a"].services) == ["a/one", "a/two"]
