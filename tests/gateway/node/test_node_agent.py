"""``node join`` and ``serve --node`` against a control plane that keeps what it receives."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from support.control_planes import RecordingPlane
from support.fake_ollama import State
from support.fake_ollama import running as ollama_running
from support.served import Engine, engines, joining, routed, running, serving, until, write_routing
from support.tiny_gguf import write_tiny_gguf

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
def modelscan(cli: Any) -> Any:
    """The JSON document of a command that succeeds."""

    def run(*words: str) -> Any:
        ran = cli(*words, "--json")
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
            assert node.chat("alpha")[0] == 200
            assert node.stop() == 0
        plane.message("leave")
        assert plane.hosts == {}
    record = json.loads((home / "state" / "node.json").read_text())
    assert record["host_id"] == host, "the id stays"
    assert KEY not in (home / "state" / "node.json").read_text()


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


def test_a_wiped_control_plane_has_the_node_back_after_one_beat(home: Path) -> None:
    with RecordingPlane() as plane, joining(plane.url, **BEAT) as node:
        node.event("node", state="joined")
        plane.wait(lambda p: p.count("heartbeat") >= 2)
        registrations, beats = plane.count("register"), plane.count("heartbeat")
        plane.forget()
        plane.wait(lambda p: p.hosts)
        assert plane.count("register") == registrations + 1
        assert plane.count("heartbeat") <= beats + 2
        sequences = [body["modelscan"]["sequence"] for _, body, _ in plane.messages]
        assert sequences == sorted(set(sequences)), "a repeated message would be recognised"
        assert len({body["modelscan"]["instance"] for _, body, _ in plane.messages}) == 1


def test_a_dead_control_plane_stops_nothing_and_is_joined_again(home: Path) -> None:
    with engines("alpha") as (engine,):
        write_routing(home, routed(engine.entry()))
        plane = RecordingPlane().start()
        with joining(plane.url, **BEAT) as node:
            node.event("node", state="joined")
            plane.stop()
            node.event("node", state="unreachable")
            assert node.chat("alpha")[0] == 200
            plane.hosts.clear()
            plane.start()
            node.event("node", state="joined")
            assert plane.wait(lambda p: p.hosts)
            plane.stop()
            assert node.stop() == 0, "Ctrl-C ends it, although the control plane is gone"


def test_an_engine_appears_and_goes_without_a_restart(home: Path) -> None:
    engine = Engine("beta")
    engine.metrics = LLAMACPP.format(tokens=0, seconds=0)
    with (
        RecordingPlane() as plane,
        joining(plane.url, "--engine-port", str(engine.port), **BEAT) as node,
    ):
        node.event("node", state="joined")
        assert "beta" not in plane.services()
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


def _figures(plane: RecordingPlane, service_id: str, speed: float) -> dict[str, Any] | None:
    for kind, body, _ in reversed(plane.messages):
        if kind == "heartbeat":
            for row in body["modelscan"]["services"]:
                if row["service_id"] == service_id and row["observed"]["tokens_per_sec"] == speed:
                    return row["observed"]  # type: ignore[no-any-return]
    return None


def test_without_metrics_the_figures_are_those_of_the_receipts(home: Path) -> None:
    with engines("alpha") as (engine,), RecordingPlane() as plane:
        write_routing(home, routed(engine.entry()))
        with joining(plane.url, **BEAT) as node:
            node.event("node", state="joined")
            for _ in range(3):
                assert node.chat("alpha")[0] == 200
            row = plane.wait(lambda p: _measured(p, "alpha"))
            assert row["source"] == "receipts"
            assert row["tokens_per_sec"] > 0


def _measured(plane: RecordingPlane, name: str) -> dict[str, Any] | None:
    kind, body, _ = plane.messages[-1]
    if kind != "heartbeat":
        return None
    rows = [one for one in body["modelscan"]["services"] if one["service_id"].endswith(f"/{name}")]
    return rows[0]["observed"] if rows and rows[0]["observed"]["p50_latency_ms"] else None


def test_ollama_is_reported_with_what_it_has_in_memory(home: Path) -> None:
    state = State({"qwen3:8b": {}, "other:latest": {}}, {"qwen3:8b": 8192})
    with ollama_running(state) as url, RecordingPlane() as plane:
        variables = {"MODELSCAN_OLLAMA_ENDPOINT": url, **BEAT}
        with joining(plane.url, **variables) as node:
            node.event("node", state="joined")
            service = plane.wait(lambda p: p.services().get("qwen3:8b"))
            assets = {one["asset_id"]: one for one in service["assets"]}
            assert assets["qwen3:8b"]["loaded"] is True
            assert assets["qwen3:8b"]["context_size"] == 8192
            assert (
                assets["qwen3:8b"]["modelscan"]["vram_bytes"]
                == service["observed"]["vram_used_bytes"]
                > 0
            )
            assert assets["other:latest"]["loaded"] is False
            assert assets["other:latest"]["context_size"] is None
            state.loaded.clear()
            plane.wait(lambda p: _asset(p, "qwen3:8b")["loaded"] is False)


def _asset(plane: RecordingPlane, name: str) -> dict[str, Any]:
    service = plane.services()[name]
    return next(one for one in service["assets"] if one["asset_id"] == name)


def test_gateways_are_no_engines(home: Path, tmp_path: Path) -> None:
    """The control plane of this machine, and the node's own gateway, would lead to themselves."""
    with engines("alpha") as (engine,), RecordingPlane() as plane:
        write_routing(home, routed(engine.entry()))
        with serving() as other, serving(MODELSCAN_HOME=str(tmp_path / "empty")) as empty:
            until(lambda: other.chat("alpha")[0] == 200)
            ports = [one.url.rpartition(":")[2] for one in (other, empty)]
            options = [word for port in ports for word in ("--engine-port", port)]
            with joining(plane.url, *options, **BEAT) as node:
                node.event("node", state="joined")
                plane.wait(lambda p: p.count("heartbeat") >= 1)
                endpoints = {one["endpoint"] for one in plane.services().values()}
                assert not endpoints & {other.url, empty.url}
                assert plane.services()["alpha"]["endpoint"] == node.url


def test_a_wrong_key_ends_node_join_and_not_serve(home: Path) -> None:
    with RecordingPlane(KEY) as plane:
        options = ("--node-key", "env:NODE_KEY")
        wrong = {"NODE_KEY": "another-key-of-some-length", **BEAT}
        with running("serve", "--node", plane.url, *options, **wrong) as gateway:
            problem = gateway.event("node", state="refused")
            assert "refuses the key (401): invalid node key" in problem["text"]
            assert "key create" in problem["text"]
            assert gateway.get("/health")[0] == 200
        with joining(plane.url, "--key", "env:NODE_KEY", **wrong) as node:
            assert node.process.wait() == 4
        assert plane.messages == []


def test_node_leave_ends_the_agent_and_the_gateway(home: Path, modelscan: Any) -> None:
    with RecordingPlane() as plane:
        with joining(plane.url, **BEAT) as node:
            node.event("node", state="joined")
            status = modelscan("node", "status")
            assert status["state"] == "joined"
            assert status["gateway"] == node.url
            left = modelscan("node", "leave")
            assert left["problem"] is None
            assert node.process.wait() == 0
        assert plane.hosts == {}
        assert modelscan("node", "status")["state"] == "not_joined"


def test_serve_goes_on_after_node_leave(home: Path, modelscan: Any) -> None:
    with RecordingPlane() as plane, running("serve", "--node", plane.url, **BEAT) as gateway:
        gateway.event("node", state="joined")
        modelscan("node", "leave")
        gateway.event("node", state="left")
        assert gateway.get("/health")[0] == 200
        assert plane.hosts == {}


def test_a_killed_agent_is_not_running(home: Path, modelscan: Any) -> None:
    with RecordingPlane() as plane:
        with joining(plane.url, **BEAT) as node:
            node.event("node", state="joined")
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
        assert modelscan("node", "status")["state"] == "not_running"


@pytest.mark.parametrize(
    ("words", "code", "texts"),
    [
        (("ftp://x",), 2, ("not an http(s) address",)),
        (("http://10.1.2.3:8900", "--advertise", "10.1.2.4"), 2, ("--expose",)),
        (("http://127.0.0.1:9", "--label", "zone"), 2, ("no label", "--label zone=lab")),
        (("http://127.0.0.1:9", "--key", "secret"), 2, ("reference",)),
        (("http://127.0.0.1:9", "--advertise", "a b"), 2, ("--advertise",)),
    ],
)  # fmt: skip
def test_mistakes(home: Path, cli: Any, words: tuple[str, ...], code: int, texts: Any) -> None:
    ran = cli("node", "join", *words)
    assert ran.code == code, ran
    assert all(text in ran.err for text in texts), ran.err
    assert not (home / "state" / "node.json").exists() or "membership" in (
        home / "state" / "node.json").read_text()  # fmt: skip
