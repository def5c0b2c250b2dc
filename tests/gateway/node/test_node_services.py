"""Which services a node reports, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelscan.core.jsonform import to_json
from modelscan.deploy.discover import DiscoveredModel
from modelscan.gateway.node.services import (
    DiscoveredEngine,
    NodePlace,
    OwnEntry,
    engine_services,
    own_service,
    service_id,
    unknown_engines,
)
from modelscan.gateway.node.wire import (
    NodeHardware,
    NodeReport,
    NodeServiceFigures,
    NodeServiceState,
    NodeSession,
    heartbeat,
    needs_registration,
    registration,
)
from modelscan.supervisor.health import Address
from modelscan.supervisor.load import Requests
from modelscan.supervisor.recognise import DiscoveredServer, ServedModel
from modelscan.supervisor.speed import EngineSpeed
from modelscan.targets.ollama.client import Loaded, Stored

HERE = NodePlace("host-1", "127.0.0.1", "http://127.0.0.1:8900")
LAN = NodePlace("host-1", "gpu1.lan", "https://gpu1.lan:8900")
SESSION = NodeSession("run", 1, 10.0, 1.0, "1", endpoint_key="sk-secret")


def entry(**fields: object) -> OwnEntry:
    made = OwnEntry(
        "coder", Address("127.0.0.1", 8001), NodeServiceState("healthy", "loaded", True), "vllm",
        "qwen/qwen3-8b", "qwen", 8192, True, ("chat", "tokenize"), (), (), None, None,
        NodeServiceFigures(p50_latency_ms=900.0, in_flight=1, source="receipts"),
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


def offer(name: str, port: int = 8001, engine: str = "vllm", **fields: object) -> DiscoveredModel:
    model = ServedModel(name, 4096)
    server = DiscoveredServer("127.0.0.1", port, engine, None, (model,))  # type: ignore[arg-type]
    return replace(DiscoveredModel(server, model, name), **fields)  # type: ignore[arg-type]


def test_an_entry_is_served_by_the_gateway() -> None:
    service = own_service(entry(), LAN, None)
    assert service.endpoint == "https://gpu1.lan:8900"
    assert service.service_id == "host-1/chat/coder"
    assert service.assets[0].asset_id == "coder"
    assert service.observed.p50_latency_ms == 900.0
    assert service.observed.source == "receipts"
    embedder = own_service(entry(operations=("embeddings", "tokenize")), LAN, None)
    assert embedder.kind == "embeddings"


def test_the_engines_own_figures_come_first() -> None:
    service = own_service(entry(), HERE, EngineSpeed(Requests(4, 2), tokens_per_s=31.0))
    seen = service.observed
    assert (seen.in_flight, seen.queue_depth, seen.tokens_per_sec) == (4, 2, 31.0)
    assert seen.p50_latency_ms == 900.0, "llama.cpp measures no durations: the receipts do"


def test_what_an_entry_leads_to_is_not_reported_twice() -> None:
    offers = [offer("qwen"), offer("other"), offer("adopted", 8002, deployment="adopted")]
    assert [one.name for one in unknown_engines(offers, [entry()])[8001]] == ["other"]
    assert unknown_engines(offers, [entry(served_model=None)]) == {}, "a server of many models"
    latest = [offer("qwen:latest")]
    assert unknown_engines(latest, [entry()]) == {}


@pytest.mark.parametrize(
    ("place", "listens", "accepts"),
    [
        (HERE, frozenset({"127.0.0.1"}), True),
        (LAN, frozenset({"127.0.0.1"}), False),
        (LAN, frozenset({"127.0.0.1", "::1"}), False),
        (LAN, frozenset({"0.0.0.0"}), True),
        (LAN, frozenset({"127.0.0.1", "192.168.1.4"}), True),
        (LAN, None, True),
    ],
)
def test_an_engine_that_others_cannot_reach_accepts_nothing(
    place: NodePlace, listens: frozenset[str] | None, accepts: bool
) -> None:
    (service,) = engine_services(DiscoveredEngine(offer("m").server, (offer("m"),), listens), place, None)  # fmt: skip
    assert service.state.accept_requests is accepts
    assert (service.modelscan.reason is None) is accepts
    if not accepts:
        assert "modelscan discover --adopt m" in str(service.modelscan.reason)


def test_ollama_has_a_service_per_kind() -> None:
    models = (offer("qwen3:8b", 11434, "ollama"), offer("nomic", 11434, "ollama"))
    engine = DiscoveredEngine(
        models[0].server, models, None,
        (Loaded("nomic:latest", 500, 400, 2048),),
        (Stored("nomic:latest", 1, "F16", "nomic-bert", None), Stored("qwen3:8b", 2, "Q4_K_M", "qwen3", None)),
    )  # fmt: skip
    services = {one.kind: one for one in engine_services(engine, HERE, None)}
    assert services["embeddings"].assets[0].asset_id == "nomic"
    assert services["embeddings"].state.load_state == "loaded"
    assert services["embeddings"].observed.vram_used_bytes == 400
    assert services["chat"].state.load_state == "cold"
    assert services["chat"].assets[0].context_size is None, "not loaded: no context yet"


def report(*services: object) -> NodeReport:
    return NodeReport("host-1", "lab", "gpu1.lan", {}, NodeHardware((), 4, 8 << 30, 1), (),
                      tuple(services))  # type: ignore[arg-type]  # fmt: skip


def test_figures_alone_need_no_registration() -> None:
    first = report(own_service(entry(), HERE, None))
    slower = report(own_service(entry(), HERE, EngineSpeed(tokens_per_s=3.0)))
    cold = report(own_service(entry(loaded=False), HERE, None))
    assert needs_registration(None, first)
    assert not needs_registration(first, slower)
    assert needs_registration(first, cold)
    assert needs_registration(first, report())


def test_a_heartbeat_carries_no_key() -> None:
    one = report(own_service(entry(), HERE, None))
    assert registration(one, SESSION)["modelscan"]["endpoint_key"] == "sk-secret"
    assert "sk-secret" not in str(heartbeat(one, SESSION))
    assert "sk-secret" not in repr(SESSION)
    assert to_json(one.services[0])["modelscan"]["via"] == "gateway"


def test_ids_have_three_parts() -> None:
    assert service_id("h", "chat", "a/b c") == "h/chat/a-b-c"
