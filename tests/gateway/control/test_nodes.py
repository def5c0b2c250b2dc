"""Nodes at a real gateway: registration, requests to their services, silence, drains, keys."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.node_messages import beat, registration, run, service
from support.patience import COMMAND_S
from support.served import Engine, Served, engines, routed, serving, until, write_routing

REGISTER, HEARTBEAT, LEAVE = "/v1/nodes/register", "/v1/nodes/heartbeat", "/v1/nodes/leave"
BEAT_S, PAUSE_S = 1.5, 0.15  # it reports more often than it says: this machine may be busy


def root(engine: Engine) -> str:
    return f"http://127.0.0.1:{engine.port}"


class Node:
    """A node that reports until it is stopped; ``pause`` makes it silent."""

    def __init__(
        self, gateway: Served, name: str, *services: dict[str, Any], key: str | None = None
    ):
        self.gateway, self.name, self.services, self.key = gateway, name, services, key
        self.sequence = 0
        self.silent = threading.Event()
        self.answers: list[int] = []
        self.more: dict[str, Any] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def extra(self) -> dict[str, Any]:
        self.sequence += 1
        return run(f"run-of-{self.name}", self.sequence, BEAT_S, **self.more)

    def register(self) -> tuple[int, Any]:
        body = registration(self.name, *self.services, modelscan=self.extra())
        return self.gateway.ask("POST", REGISTER, body, self.key)

    def start(self) -> Node:
        status, answer = self.register()
        assert status == 200, answer
        self._thread.start()
        return self

    def _live(self) -> None:
        while not self._end.wait(PAUSE_S):
            if self.silent.is_set():
                continue
            body = beat(self.name, modelscan=self.extra())
            try:
                status, _ = self.gateway.ask("POST", HEARTBEAT, body, self.key)
                self.answers.append(status)
                if status == 404:
                    self.register()
            except OSError:
                self.answers.append(0)

    def stop(self) -> None:
        self._end.set()
        self._thread.join(COMMAND_S)


@contextmanager
def nodes(*all_nodes: Node) -> Iterator[None]:
    for node in all_nodes:
        node.start()
    try:
        yield
    finally:
        for node in all_nodes:
            node.stop()


def statuses(gateway: Served, name: str) -> int:
    return gateway.chat(name)[0]


def test_a_node_of_geniehive_is_served_from_its_registration_to_its_departure(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    role = {"role_id": "mentor", "operation": "chat",
            "routing_policy": {"preferred_families": ["Qwen3"], "preferred_labels": ["test"]}}  # fmt: skip
    with engines("demo", "own") as (engine, own):
        write_routing(
            clean_environment, routed(own.entry(), roles=[role], aliases={"gpt-4o": "own"})
        )
        with serving() as gateway:
            box = service("box/chat/demo", root(engine))
            status, answer = gateway.ask("POST", REGISTER, registration("box", box))
            assert status == 200 and answer["status"] == "ok"
            host = answer["host"]
            assert host["labels"] == {"topology": "test", "runtime": "llama.cpp"}
            assert host["status"]["state"] == "online" and host["metrics"] == {}
            assert host["resources"]["ram_gb"] == 32.0 and host["modelscan"]["interval_s"] == 10.0
            status, answer = gateway.ask("POST", HEARTBEAT, beat("box"))
            assert (status, answer["host"]["metrics"]) == (200, {"service_count": 1})
            # Its own clock is years behind: shown, and not believed.
            now = time.time()
            assert now - 3600 < answer["host"]["status"]["last_seen"] <= now
            (problem,) = answer["host"]["modelscan"]["problems"]
            assert "behind the gateway's" in problem
            for name in ("demo", "box/chat/demo"):
                until(lambda name=name: statuses(gateway, name) == 200)  # type: ignore[misc]
            assert engine.requests[-1]["model"] == "demo"
            assert "authorization" not in engine.headers[-1]
            models = {row["id"]: row for row in gateway.get("/v1/models")[1]["data"]}
            assert models["box/chat/demo"]["modelscan"]["loaded"] is True
            assert models["demo"]["modelscan"]["where"] == ["self_hosted"]
            (row,) = gateway.get("/v1/cluster/services")[1]["data"]
            assert row["observed"]["p50_latency_ms"] == 900.0 and row["runtime"]["engine"]
            assert row["state"]["health"] == "healthy" and row["updated_at"]
            until(
                lambda: gateway.get("/v1/cluster/services")[1]["data"][0]["modelscan"]["routable"]
            )
            health = gateway.get("/v1/cluster/health")[1]
            assert (health["host_count"], health["online_host_count"]) == (1, 1)
            assert (health["service_count"], health["healthy_service_count"]) == (1, 1)
            listed = run_in_process("node", "list", "--json").json["nodes"]
            assert [(n["name"], n["state"]) for n in listed] == [("box", "ready")]
            assert [s["name"] for s in listed[0]["services"]] == ["box/chat/demo"]
            rows = run_in_process("route", "services", "--json").json["services"]
            assert [(s["name"], s["node"]) for s in rows] == [
                ("own", None),
                ("box/chat/demo", "box"),
            ]
            chosen = run_in_process("route", "explain", "demo", "--json").json
            found = run_in_process("route", "resolve", "demo", "--json").json
            assert found["route"]["name"] == "box/chat/demo"
            assert chosen["chosen"] == "box/chat/demo" and chosen["body"]["model"] == "demo"
            # What a person wrote wins over a node that reports the same names.
            names = ("own", "gpt-4o", "mentor", "lab/own")
            rival = [service(f"box/{i}", root(engine), name) for i, name in enumerate(names)]
            status, _ = gateway.ask("POST", REGISTER, registration("box", box, *rival))
            assert status == 200
            until(lambda: statuses(gateway, "box/3") == 200)
            own.requests.clear()
            assert {statuses(gateway, name) for name in ("own", "gpt-4o", "lab/own")} == {200}
            assert len(own.requests) == 3
            assert gateway.ask("POST", LEAVE, {"host_id": "box"})[0] == 200
            until(lambda: statuses(gateway, "demo") == 404)
            assert gateway.ask("POST", HEARTBEAT, beat("box"))[0] == 404
            assert run_in_process("node", "list", "--json").json["nodes"][0]["state"] == "left"
            assert gateway.get("/v1/cluster/hosts")[1]["data"] == []


def test_silent_paused_drained_and_lying_nodes(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    role = {"role_id": "pair", "operation": "chat", "routing_policy": {"strategy": "round_robin"}}
    write_routing(clean_environment, {"roles": [role]})
    with engines("one", "two") as (one, two), serving("--workers", "2") as gateway:
        first = Node(gateway, "first", service("first/chat", root(one), "shared"))
        second = Node(gateway, "second", service("second/chat", root(two), "shared"))
        with nodes(first, second):
            until(lambda: len(both(gateway)) == 2)
            _fair(gateway, one, two)
            _silent(gateway, first, one, two)
            _drained(gateway, run_in_process, second, one, two)
            _lying(gateway, second, two)
        assert set(first.answers) == {200} and set(second.answers) == {200}


def both(gateway: Served) -> set[str]:
    services = gateway.get("/v1/cluster/services")[1]["data"]
    return {one["host_id"] for one in services if one["modelscan"]["routable"]}


def _fair(gateway: Served, one: Engine, two: Engine) -> None:
    """A role takes turns, and nodes of one model share its requests."""
    until(lambda: gateway.chat("pair")[0] == 200 and gateway.chat("shared")[0] == 200)
    for name in ("pair", "shared"):
        one.requests.clear()
        two.requests.clear()
        assert {statuses(gateway, name) for _ in range(20)} == {200}
        counts = Counter({"one": len(one.requests), "two": len(two.requests)})
        assert sum(counts.values()) == 20 and min(counts.values()) >= 6, (name, counts)


def _silent(gateway: Served, node: Node, quiet: Engine, other: Engine) -> None:
    """No request reaches a host that is stale; it returns by itself."""
    node.silent.set()
    gateway.event("node", node=node.name, what="stale")

    def spared() -> bool:  # every worker knows it within the time that the state leaves for it
        quiet.requests.clear()
        names = ("pair", "shared") * 10
        assert {statuses(gateway, name) for name in names} == {200}
        return not quiet.requests

    until(spared)
    assert spared()
    assert statuses(gateway, "first/chat") in (404, 503)
    assert len(quiet.requests) == 0
    health = gateway.get("/v1/cluster/health")[1]
    assert (health["stale_host_count"], health["state"]) == (1, "degraded")
    (row,) = [s for s in gateway.get("/v1/cluster/services")[1]["data"] if s["host_id"] == "first"]
    assert not row["modelscan"]["routable"] and not row["state"]["accept_requests"]
    node.silent.clear()
    gateway.event("node", node=node.name, what="ready")
    until(lambda: statuses(gateway, "first/chat") == 200)


def _drained(
    gateway: Served, command: Callable[..., Ran], node: Node, other: Engine, engine: Engine
) -> None:
    """A drained host gets no new requests; the one that runs there ends."""
    engine.go.clear()
    results: list[int] = []
    running = threading.Thread(target=lambda: results.append(statuses(gateway, "second/chat")))
    count = len(engine.requests)
    running.start()
    until(lambda: len(engine.requests) == count + 1)
    done = command("node", "drain", "second", "--json").json
    assert [(n["name"], n["state"]) for n in done["nodes"]] == [("second", "draining")]
    gateway.event("node", node="second", what="draining")
    until(lambda: statuses(gateway, "second/chat") == 503)
    assert {statuses(gateway, "shared") for _ in range(6)} == {200}
    assert len(engine.requests) == count + 1
    engine.go.set()
    running.join(COMMAND_S)
    assert results == [200]
    assert command("node", "undrain", "second").code == 0
    until(lambda: statuses(gateway, "second/chat") == 200)


def _lying(gateway: Served, node: Node, engine: Engine) -> None:
    """A heartbeat that reports health does not hide what a probe found."""
    engine.stop()

    def found() -> Any:
        gateway.chat("second/chat")
        services = gateway.get("/v1/cluster/services")[1]["data"]
        (row,) = [one for one in services if one["host_id"] == "second"]
        return row if row["modelscan"]["probed_health"] == "down" else None

    row = until(found)
    sent = len(node.answers)
    until(lambda: len(node.answers) > sent + 2)
    row = found()
    assert row["modelscan"]["reported_health"] == "healthy"
    assert (row["state"]["health"], row["modelscan"]["routable"]) == ("unhealthy", False)
    assert "no answer" in row["modelscan"]["probe_reason"]


def test_keys_of_nodes_and_of_clients_stay_apart(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    keys = {}
    for name, scopes in (("gpu1", ["node"]), ("gpu2", ["node"]), ("app", ["infer", "read"])):
        words = [word for scope in scopes for word in ("--scope", scope)]
        keys[name] = run_in_process("key", "create", name, *words, "--json").json["key"]
    with engines("demo", "far") as (engine, other), serving() as gateway:
        gateway_url = root(engine)
        body = registration(
            "gpu1", service("gpu1/chat", gateway_url), service("gpu1/engine", root(other), "far"),
            modelscan=run("a", 1, 10.0, gateway=gateway_url, endpoint_key="sk-of-the-node"),
        )  # fmt: skip
        assert gateway.ask("POST", REGISTER, body)[0] == 401
        assert gateway.ask("POST", REGISTER, body, keys["app"])[0] == 403
        sent = {"X-GenieHive-Node-Key": keys["gpu1"]}
        status, answer = gateway.ask("POST", REGISTER, body, **sent)
        assert status == 200 and answer["host"]["modelscan"]["key"] == "gpu1"
        assert "sk-of-the-node" not in json.dumps(answer)
        for header in ("X-GenieHive-Node-Key", "X-Api-Key"):
            for path in ("/v1/cluster/hosts", "/v1/cluster/services", "/v1/models"):
                assert gateway.get(path, **{header: keys["gpu1"]})[0] == 403, path
        assert gateway.chat("gpu1/chat", keys["gpu1"])[0] == 403
        assert gateway.get("/v1/cluster/hosts", **{"X-Api-Key": keys["app"]})[0] == 200
        for path, message in ((HEARTBEAT, beat("gpu1")), (LEAVE, {"host_id": "gpu1"})):
            assert gateway.ask("POST", path, message, keys["app"])[0] == 403
        # The node's own key goes to its gateway only.
        until(lambda: gateway.chat("gpu1/chat", keys["app"])[0] == 200)
        until(lambda: gateway.chat("gpu1/engine", keys["app"])[0] == 200)
        assert engine.headers[-1]["authorization"] == "Bearer sk-of-the-node"
        assert "authorization" not in other.headers[-1]
        _refusals(gateway, keys, root(engine))
    state = clean_environment / "state"
    for file in state.rglob("*"):
        assert file.is_dir() or b"sk-of-the-node" not in file.read_bytes(), file


def _refusals(gateway: Served, keys: dict[str, str], endpoint: str) -> None:
    """Another machine's messages in the name of this host."""
    again = registration("gpu1", service("gpu1/chat", endpoint), modelscan=run("b", 1))
    assert gateway.ask("POST", REGISTER, again, keys["gpu1"])[0] == 409
    assert gateway.ask("POST", REGISTER, again, keys["gpu2"])[0] == 409
    gateway.event("node", node="gpu1", what="refused", code="host_taken")
    rival = registration("gpu2", service("gpu1/chat", endpoint), modelscan=run("c", 1))
    assert gateway.ask("POST", REGISTER, rival, keys["gpu2"])[0] == 409
    rival["services"][0]["host_id"] = "gpu1"
    assert gateway.ask("POST", REGISTER, rival, keys["gpu2"])[0] == 403
    taken = beat("gpu1", modelscan=run("a", 2))
    assert gateway.ask("POST", HEARTBEAT, taken, keys["gpu2"])[0] == 403
    assert gateway.ask("POST", LEAVE, {"host_id": "gpu1"}, keys["gpu2"])[0] == 403
    assert gateway.ask("POST", HEARTBEAT, taken, keys["gpu1"])[0] == 200
    status, answer = gateway.ask("POST", HEARTBEAT, taken, keys["gpu1"])
    assert (status, answer["code"]) == (409, "replayed")
    gateway.event("node", node="gpu1", what="refused", code="replayed")
    unknown = beat("gpu1", modelscan=run("a", 3, services=[{"service_id": "gpu1/new"}]))
    assert gateway.ask("POST", HEARTBEAT, unknown, keys["gpu1"])[0] == 404


def test_two_gateways_a_restart_and_a_lost_database(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    with engines("demo") as (engine,):
        with serving() as gateway, serving() as twin:
            node = Node(gateway, "gpu1", service("gpu1/chat", root(engine)))
            with nodes(node):
                until(lambda: gateway.chat("demo")[0] == 200)
                until(lambda: twin.chat("demo")[0] == 200)
                count = len(node.answers)
                until(lambda: len(node.answers) >= count + 25)  # longer than the node may be silent
                assert twin.chat("demo")[0] == 200
                assert run_in_process("node", "remove", "gpu1").code == 0  # as a lost database
                until(lambda: 404 in node.answers and node.answers[-1] == 200)
                until(lambda: twin.chat("demo")[0] == 200)
            assert run_in_process("node", "show", "gpu1", "--json").json["node"]["name"] == "gpu1"
            until(lambda: twin.chat("demo")[0] in (404, 503))
        with serving() as gateway:
            (host,) = gateway.get("/v1/cluster/hosts")[1]["data"]
            assert host["status"]["state"] == "stale"
            assert gateway.chat("demo")[0] in (404, 503)
            node = Node(gateway, "gpu1", service("gpu1/chat", root(engine)))
            node.sequence = 10_000  # the same run goes on
            with nodes(node):
                until(lambda: gateway.chat("demo")[0] == 200)


MALFORMED = [
    (b"{", 400, "JSON"), (b"[]", 422, "object"), (b'{"host_id": 1}', 422, "$.host_id"),
    (b'{"host_id": ""}', 422, "$.host_id"), (b'{"host_id": "a\\u0000"}', 422, "$.host_id"),
    (b'{"host_id": "a", "services": {}}', 422, "$.services"),
    (b'{"host_id": "a", "services": [{"service_id": "x"}]}', 422, "endpoint"),
    (b'{"host_id": "a", "services": [{"service_id": "x", "endpoint": 3}]}', 422, "[0].endpoint"),
    (b'{"host_id": "a", "labels": []}', 422, "$.labels"),
    (b'{"host_id": "a", "modelscan": {"beat_s": 0}}', 422, "beat_s"),
    (b'{"host_id": "a", "modelscan": {"beat_s": 1e9}}', 422, "beat_s"),
    (b'{"host_id": "a", "modelscan": {"endpoint_key": "a\\r\\nb: c"}}', 422, "endpoint_key"),
    (b'{"host_id": "a", "labels": ' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}", 400, ""),
    (b'{"host_id": "a", "x": "' + b"y" * (1 << 20) + b'"}', 413, "most"),
    (b'{"host_id": "a", "services": ['
     + b",".join(b'{"service_id":"s%d","endpoint":"http://127.0.0.1:1"}' % n for n in range(300))
     + b"]}", 422, "services"),
]  # fmt: skip


def test_nodes_of_other_networks_are_refused(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    far = service("box/chat/one", "http://203.0.113.7:8000")
    with serving(MODELSCAN_NODE_NETWORKS="10.0.0.0/8") as gateway:
        status, problem = gateway.ask("POST", REGISTER, registration("box"))
        assert (status, problem["code"]) == (403, "network")
        assert "node_networks has 10.0.0.0/8" in problem["detail"]
    with serving() as gateway:
        status, problem = gateway.ask("POST", REGISTER, registration("box", far))
        assert (status, problem["code"]) == (422, "endpoint")
        assert "modelscan config set node_networks" in problem["detail"]
    with serving(MODELSCAN_NODE_NETWORKS="loopback,203.0.113.0/24") as gateway:
        assert gateway.ask("POST", REGISTER, registration("box", far))[0] == 200
    rows = run_in_process("server", "audit", "--json").json["changes"]
    assert sum(row["action"] == "node.refused" for row in rows) == 2
    assert run_in_process("config", "set", "node_networks", "internet").code == 2


def test_messages_that_are_not_of_a_node(clean_environment: Path) -> None:
    import urllib.error
    import urllib.request

    with serving() as gateway:
        for data, status, text in MALFORMED:
            request = urllib.request.Request(gateway.url + REGISTER, data, method="POST")
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(request, timeout=60)
            answer = error.value.read().decode()
            assert error.value.code == status, (data[:80], answer)
            assert text in answer, answer
        extra = {**registration("a"), "unknown": {"kept": None}, "services": []}
        assert gateway.ask("POST", REGISTER, extra)[0] == 200
        forwarded = registration("b", service("b/chat", "http://127.0.0.1:1"))
        status, answer = gateway.ask("POST", REGISTER, forwarded, **{"X-Forwarded-For": "10.0.0.9"})
        assert (status, answer["code"]) == (422, "endpoint")
        assert gateway.ask("GET", REGISTER, None)[0] == 405
