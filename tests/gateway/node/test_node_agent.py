"""``node join`` and ``serve --node`` against a control plane that keeps what it receives."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from support.control_planes import RecordingPlane
from support.fake_ollama import State
from support.fake_ollama import running as ollama_running
from support.served import Engine, engines, joining, routed, running, write_routing
from support.tiny_gguf import write_tiny_gguf

from modelscan.gateway.node import record

BEAT = {"MODELSCAN_NODE_BEAT_S": "0.2"}
KEY = "a-node-key-of-some-length"
LLAMACPP = """# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 3
llamacpp:requests_deferred 2
llamacpp:tokens_predicted_total {tokens}
llamacpp:tokens_predicted_seconds_total {seconds}
"""


@pytest.fixture
def home(clean_environment: Path) -> Path:
    return clean_environment


@pytest.fixture
def modelscan(run_in_process: Any) -> Any:
    """The JSON document of a command that succeeds."""

    def run(*words: str) -> Any:
        ran = run_in_process(*words, "--json")
        assert ran.code == 0, ran
        return ran.json

    return run


def test_registers_this_machine_with_the_entries_of_its_gateway(home: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    write_tiny_gguf(weights / "tiny-F32.gguf")
    (weights / "broken.gguf").write_bytes(b"not a header")
    with engines("alpha") as (engine,), RecordingPlane(KEY) as plane:
        hosted = {"name": "elsewhere", "type": "openai", "base_url": "https://example.org",
                  "model": "x/y"}  # fmt: skip
        write_routing(home, routed(engine.entry(context_tokens=4096), hosted))
        options = ("--key", "env:NODE_KEY", "--name", "lab", "--label", "zone=a", "--folder")
        with joining(plane.url, *options, str(weights), NODE_KEY=KEY, **BEAT) as node:
            node.event("node", state="joined")
            sent = plane.message("register")
            host = sent["host_id"]
            assert sent["display_name"] == "lab"
            assert sent["address"] == "127.0.0.1"
            assert sent["labels"] == {"zone": "a"}
            assert sent["resources"]["cpu_threads"] > 0
            assert sent["resources"]["ram_gb"] > 0
            service = plane.wait(lambda p: _healthy(p, "alpha"))
            assert service["service_id"] == f"{host}/chat/alpha"
            assert service["endpoint"] == node.url
            assert service["runtime"]["launcher"] == "external"
            asset = service["assets"][0]
            assert (asset["context_size"], asset["modelscan"]["model"]) == (4096, "lab/alpha")
            assert "elsewhere" not in plane.services(), "a hosted provider is not this machine's"
            files = {one["name"]: one for one in sent["resources"]["discovered_models"]}
            tiny = files["tiny-F32.gguf"]
            assert (tiny["architecture"], tiny["context_tokens"], tiny["quantization"]) == (
                "llama", 2048, "F32")  # fmt: skip
            assert "GGUF" in files["broken.gguf"]["problem"]
            assert sent["modelscan"]["endpoint_key"] is None, "loopback without keys needs none"
            headers = plane.messages[0][2]
            assert headers["authorization"] == f"Bearer {KEY}"
            # The name that is reported is one that the node's gateway answers to.
            assert [node.chat("alpha")[0] for _ in range(3)] == [200] * 3
            row = plane.wait(lambda p: _measured(p, "alpha"))
            assert (row["source"], row["tokens_per_sec"] > 0) == ("receipts", True)
            _wiped(plane)
            _dead(plane, node)
            assert node.stop() == 0
        plane.message("leave")
        assert plane.hosts == {}
    record = json.loads((home / "state" / "node.json").read_text())
    assert (record["host_id"], record["accepted"]) == (host, True), "the id stays"
    assert KEY not in (home / "state" / "node.json").read_text()


def _wiped(plane: RecordingPlane) -> None:
    """A control plane that lost its database has the node back after one beat."""
    registrations, beats = plane.count("register"), plane.count("heartbeat")
    plane.forget()
    plane.wait(lambda p: p.hosts)
    assert plane.count("register") == registrations + 1
    assert plane.count("heartbeat") <= beats + 2
    sequences = [body["modelscan"]["sequence"] for _, body, _ in plane.messages]
    assert sequences == sorted(set(sequences)), "a repeated message would be recognised"
    assert len({body["modelscan"]["instance"] for _, body, _ in plane.messages}) == 1


def _dead(plane: RecordingPlane, node: Any) -> None:
    """Without a control plane the node serves on, and joins again when it is back."""
    plane.stop()
    node.event("node", state="unreachable")
    assert node.chat("alpha")[0] == 200
    plane.hosts.clear()
    plane.start()
    node.event("node", state="joined")
    assert plane.wait(lambda p: p.hosts)


def _healthy(plane: RecordingPlane, name: str) -> dict[str, Any] | None:
    """The service once the node's own probes found it well: in a registration or in a beat."""
    service = plane.services().get(name)
    if service is None:
        return None
    for kind, body, _ in reversed(plane.messages):
        if kind in ("register", "heartbeat"):
            rows = body.get("services") or body["modelscan"]["services"]
            row = next(one for one in rows if one["service_id"] == service["service_id"])
            return service if row["state"]["health"] == "healthy" else None
    return None


def test_engines_appear_and_go_without_a_restart(home: Path) -> None:
    engine = Engine("beta")
    engine.metrics = LLAMACPP.format(tokens=0, seconds=0)
    ollama = State({"qwen3:8b": {}, "other:latest": {}}, {"qwen3:8b": 8192})
    with (
        ollama_running(ollama) as url,
        RecordingPlane() as plane,
        joining(plane.url, "--engine-port", str(engine.port),
                MODELSCAN_OLLAMA_ENDPOINT=url, **BEAT) as node,
    ):  # fmt: skip
        node.event("node", state="joined")
        assert "beta" not in plane.services()
        _in_memory(plane, ollama)
        engine.start()
        service = plane.wait(lambda p: p.services().get("beta"))
        assert service["endpoint"] == f"http://127.0.0.1:{engine.port}"
        assert service["modelscan"]["via"] == "engine"
        assert service["assets"][0]["context_size"] == 4096
        assert service["state"] == {
            "health": "healthy", "load_state": "loaded", "accept_requests": True}  # fmt: skip
        engine.metrics = LLAMACPP.format(tokens=100, seconds=4)
        seen = plane.wait(lambda p: _figures(p, service["service_id"], 25.0))
        assert (seen["in_flight"], seen["queue_depth"]) == (3, 2)
        assert seen["source"] == "engine_metrics"
        engine.stop()
        plane.wait(lambda p: "beta" not in p.services())
        _hangs(plane, engine.port)


def _figures(plane: RecordingPlane, service_id: str, speed: float) -> dict[str, Any] | None:
    for kind, body, _ in reversed(plane.messages):
        if kind == "heartbeat":
            for row in body["modelscan"]["services"]:
                if row["service_id"] == service_id and row["observed"]["tokens_per_sec"] == speed:
                    return row["observed"]  # type: ignore[no-any-return]
    return None


def _measured(plane: RecordingPlane, name: str) -> dict[str, Any] | None:
    kind, body, _ = plane.messages[-1]
    if kind != "heartbeat":
        return None
    rows = [one for one in body["modelscan"]["services"] if one["service_id"].endswith(f"/{name}")]
    return rows[0]["observed"] if rows and rows[0]["observed"]["p50_latency_ms"] else None


def _hangs(plane: RecordingPlane, port: int) -> None:
    """A server that accepts connections and never answers: each of a dozen requests of one look
    waits for it, and the heartbeats do not.
    """
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", port)) as server:
        thread = threading.Thread(target=_hold, args=(server, held), daemon=True)
        thread.start()
        plane.wait(lambda _: held)
        beats, begun = plane.count("heartbeat"), len(held)
        plane.wait(lambda p: p.count("heartbeat") >= beats + 8)
        assert (len(held) - begun) / 4 <= plane.count("heartbeat") - beats
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for one in held:
        one.close()


def _hold(server: socket.socket, held: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):
        while True:
            held.append(server.accept()[0])


def _in_memory(plane: RecordingPlane, ollama: State) -> None:
    """Of Ollama's models, those in memory are loaded and have a context."""
    service = plane.wait(lambda p: p.services().get("qwen3:8b"))
    assets = {one["asset_id"]: one for one in service["assets"]}
    loaded, other = assets["qwen3:8b"], assets["other:latest"]
    assert (loaded["loaded"], loaded["context_size"]) == (True, 8192)
    assert loaded["modelscan"]["vram_bytes"] == service["observed"]["vram_used_bytes"] > 0
    assert (other["loaded"], other["context_size"]) == (False, None)
    ollama.loaded.clear()
    plane.wait(lambda p: _asset(p, "qwen3:8b")["loaded"] is False)


def _asset(plane: RecordingPlane, name: str) -> dict[str, Any]:
    service = plane.services()[name]
    return next(one for one in service["assets"] if one["asset_id"] == name)


def test_a_refused_node_joins_with_the_right_key(home: Path, tmp_path: Path) -> None:
    """``serve`` goes on without a cluster, and reads the key again; ``node join`` ends."""
    file = tmp_path / "key"
    file.write_text("another-key-of-some-length")
    with RecordingPlane(KEY) as plane:
        with joining(plane.url, "--key", f"file:{file}", **BEAT) as node:
            assert node.process.wait() == 4
        assert plane.messages == []
        words = ("serve", "--node", plane.url, "--node-key", f"file:{file}")
        with running(*words, **BEAT) as gateway:
            problem = gateway.event("node", state="refused")
            assert "refuses the key (401): invalid node key" in problem["text"]
            assert "key create" in problem["text"]
            assert gateway.get("/health")[0] == 200
            file.write_text(KEY)
            gateway.event("node", state="joined")


def test_node_leave_and_status(home: Path, modelscan: Any) -> None:
    with RecordingPlane() as plane:
        words = ("serve", "--node", plane.url, "--node-key", "env:NODE_KEY")
        with running(*words, NODE_KEY=KEY, **BEAT) as gateway:  # leave has no such variable
            gateway.event("node", state="joined")
            status = modelscan("node", "status")
            assert (status["state"], status["gateway"]) == ("joined", gateway.url)
            assert modelscan("node", "leave")["problem"] is None
            gateway.event("node", state="left")
            assert gateway.get("/health")[0] == 200, "it serves on"
            assert plane.hosts == {}
            assert modelscan("node", "status")["state"] == "not_joined"
        with joining(plane.url, **BEAT) as node:
            node.event("node", state="joined")
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
        assert modelscan("node", "status")["state"] == "not_running"
        with joining(plane.url, **BEAT) as node:
            node.event("node", state="joined")
            modelscan("node", "leave")
            assert node.process.wait() == 0, "a node only is nothing without its cluster"
        assert plane.hosts == {}


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (("ftp://x",), ("not an http(s) address",)),
        (("http://10.1.2.3:8900", "--advertise", "10.1.2.4"), ("--expose",)),
        (("http://127.0.0.1:9", "--label", "zone"), ("no label", "--label zone=lab")),
        (("http://127.0.0.1:9", "--key", "secret"), ("reference",)),
        (("http://127.0.0.1:9", "--advertise", "a b"), ("--advertise",)),
        (("http://user:pw@127.0.0.1:9",), ("only the address",)),
    ],
)  # fmt: skip
def test_mistakes(home: Path, run_in_process: Any, words: tuple[str, ...], texts: Any) -> None:
    ran = run_in_process("node", "join", *words)
    assert ran.code == 2, ran
    assert all(text in ran.err for text in texts), ran.err
    assert "pw" not in ran.err
    assert not (home / "state" / "node.json").exists()


def test_a_machine_joins_once(home: Path, run_in_process: Any) -> None:
    """A second agent would take the key that the first one's requests are sent with."""
    (home / "state").mkdir(parents=True)
    pid = os.getpid()
    status = record.AgentStatus("joined", pid, record.started_at(pid) or 0, None, 10.0, "run", 1)
    record.write_json(record.status_file(home / "state"), status)
    ran = run_in_process("node", "join", "http://127.0.0.1:9")
    assert ran.code == 2 and f"already: process {pid}" in ran.err, ran
    assert "modelscan node leave" in ran.err
    assert not (home / "state" / "node.json").exists()


def test_options_of_a_node_need_a_control_plane(home: Path, run_in_process: Any) -> None:
    ran = run_in_process("serve", "--label", "zone=lab")
    assert (ran.code, "--label needs --node URL" in ran.err) == (2, True)
