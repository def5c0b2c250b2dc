"""A real control plane and real nodes, each with its own home, on loopback."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from support.served import Engine, Served, engines, joining, routed, serving, until, write_routing
from support.tls import Cluster, answered

from modelscan.supervisor.health import Address
from modelscan.supervisor.recognise import recognise

BEAT = {"MODELSCAN_NODE_BEAT_S": "0.5"}
ROLE = {"role_id": "both", "operation": "chat", "routing_policy": {"strategy": "round_robin"}}


@pytest.fixture
def homes(clean_environment: Path, tmp_path: Path) -> list[Path]:
    """The control plane's home and those of two nodes."""
    return [clean_environment, tmp_path / "node1", tmp_path / "node2"]


def at(home: Path) -> dict[str, str]:
    return {"MODELSCAN_HOME": str(home), **BEAT}


def hosts(plane: Served, key: str | None = None) -> dict[str, Any]:
    _, body = plane.get("/v1/cluster/hosts", key)
    return {row["display_name"]: row for row in body["data"]}


def recognised(gateway: Served) -> object:
    """What ``discover`` takes it for."""
    return recognise(Address("127.0.0.1", int(gateway.url.rpartition(":")[2])))


def node_of(home: Path, engine: Engine) -> None:
    """A node's routing file with one engine."""
    write_routing(home, routed(engine.entry()))


def test_requests_reach_a_node_by_every_name_and_leave_with_it(homes: list[Path]) -> None:
    with engines("alpha", "beta") as (alpha, beta):
        write_routing(homes[0], {"roles": [ROLE]})
        for home, engine in zip(homes[1:], (alpha, beta), strict=True):
            node_of(home, engine)
        with serving() as plane, joining(plane.url, "--name", "one", **at(homes[1])) as one:
            assert recognised(plane) is None, "a gateway without models is no engine"
            one.event("node", state="joined")
            host = hosts(plane)["one"]
            names = ("alpha", "lab/alpha", f"{host['host_id']}/chat/alpha", "both")
            for name in names:
                _, body = until(lambda n=name: _answer(plane, n))
                assert body["choices"][0]["message"]["content"] == "from alpha", name
            assert alpha.requests[-1]["model"] == "alpha"
            assert recognised(plane) is recognised(one) is None, "they would lead to themselves"
            with joining(plane.url, "--name", "two", **at(homes[2])) as two:
                two.event("node", state="joined")
                until(
                    lambda: {_text(plane, "both") for _ in range(4)} == {"from alpha", "from beta"}
                )
                one.process.send_signal(signal.SIGKILL)
                one.process.wait()
                one.stop = lambda: -9  # type: ignore[method-assign]
                until(lambda: [_text(plane, "both") for _ in range(4)] == ["from beta"] * 4)
            until(lambda: plane.chat("beta")[0] in (404, 503))
            assert hosts(plane).keys() <= {"one"}, "one left with a word, the other fell silent"


def _answer(plane: Served, name: str) -> tuple[int, Any] | None:
    status, body = plane.chat(name)
    return (status, body) if status == 200 else None


def _text(plane: Served, name: str) -> str:
    status, body = plane.chat(name)
    return body["choices"][0]["message"]["content"] if status == 200 else str(status)


def test_one_id_is_one_node(homes: list[Path]) -> None:
    """A killed node is back with its first message; a copy of its home waits until it is gone."""
    slow = {"MODELSCAN_HOME": str(homes[1]), "MODELSCAN_NODE_BEAT_S": "600"}
    with serving() as plane:
        with joining(plane.url, "--name", "one", **slow) as node:
            node.event("node", state="joined")
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
        with joining(plane.url, "--name", "again", **slow) as again:
            again.event("node", state="joined")
            assert hosts(plane).keys() == {"again"}, "it need not fall silent first"
            (homes[2] / "state").mkdir(parents=True)
            record = homes[1] / "state" / "node.json"
            (homes[2] / "state" / "node.json").write_bytes(record.read_bytes())
            with joining(plane.url, "--name", "copy", **at(homes[2])) as copy:
                problem = copy.event("node", state="refused")
                assert "another run of this host" in problem["text"]
                assert hosts(plane).keys() == {"again"}
                again.stop()
                copy.event("node", state="joined")
                assert hosts(plane).keys() == {"copy"}


def test_keys_protect_both_sides(
    homes: list[Path], run_in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control plane accepts nodes with a key of scope node only; the node's gateway accepts
    the control plane only, with a key of its own that it sends when it registers."""
    made = {
        scope: run_in_process("key", "create", scope, "--scope", scope, "-q").out.strip()
        for scope in ("node", "infer", "read")
    }
    with monkeypatch.context() as patched:
        patched.setenv("MODELSCAN_HOME", str(homes[1]))
        assert run_in_process("key", "create", "local-user", "-q").code == 0
    with engines("alpha") as (engine,):
        node_of(homes[1], engine)
        with serving() as plane:
            words = ("--key", "env:NODE_KEY")
            with joining(plane.url, *words, NODE_KEY=made["infer"], **at(homes[1])) as node:
                assert node.process.wait() == 4
            with joining(plane.url, *words, NODE_KEY=made["node"], **at(homes[1])) as node:
                node.event("node", state="joined")
                assert node.chat("alpha")[0] == 401
                until(lambda: plane.chat("alpha", made["infer"])[0] == 200)
                assert plane.chat("alpha", made["node"])[0] == 403
                assert engine.headers[-1].get("authorization") is None
                shown = str(plane.get("/v1/cluster/hosts", made["read"])) + str(node.events)
                assert "sk-ms-" not in shown
            monkeypatch.setenv("MODELSCAN_HOME", str(homes[1]))
            listed = run_in_process("key", "list", "-q").out.split()
            assert listed == ["local-user"], "the control plane's key ends with the node"


def test_mutual_tls_all_the_way(homes: list[Path], tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "certificates")
    cluster.folder.issue("n1", ["127.0.0.1"])
    files = ("--ca", str(cluster.cert("ca")), "--cert", str(cluster.cert("n1")),
             "--cert-key", str(cluster.key("n1")))  # fmt: skip
    with engines("alpha") as (engine,):
        node_of(homes[1], engine)
        with (
            serving(*cluster.listen()) as plane,
            joining(plane.url, *files, **at(homes[1])) as node,
        ):
            node.event("node", state="joined")
            assert answered(node.url, None) == b""
            text = until(lambda: _chat_over_tls(plane.url, cluster))
            assert b"HTTP/1.1 200" in text


def _chat_over_tls(url: str, cluster: Cluster) -> bytes | None:
    import json
    import socket

    host, _, port = url.rpartition("//")[2].rpartition(":")
    body = json.dumps({"model": "alpha", "messages": [{"role": "user", "content": "x"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    received = b""
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        cluster.client().wrap_socket(plain, server_hostname=host) as sock,
    ):
        sock.sendall(head + body)
        while part := sock.recv(4096):
            received += part
    return received if b"from alpha" in received else None
