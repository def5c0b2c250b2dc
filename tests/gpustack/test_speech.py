"""Speech models on a cluster: what the catalog's recipes give to VoxBox, on the bundled catalog."""

from __future__ import annotations

import pytest

from modelscan.core.machine import Machine, simulated_machine
from modelscan.core.plan import ResolvedModel
from modelscan.core.units import GIB
from modelscan.core.verdict import Verdict
from modelscan.core.workload import Workload
from modelscan.models.decide import decide_here
from modelscan.models.resolve import load_deployable
from modelscan.state.config import load
from modelscan.targets.gpustack.body import Choices, create_body
from modelscan.targets.gpustack.client import Dialect
from modelscan.targets.gpustack.inventory import inventory
from modelscan.targets.gpustack.machine import cluster_machine, engines
from modelscan.targets.gpustack.plan import decide_on_cluster, recipe
from modelscan.targets.gpustack.types import parse_worker

NEW, OLD = Dialect("v2.3.0", "/v2", "/v1"), Dialect("0.7.1", "/v1", "/v1-openai")
PLAIN = Workload()


def cluster(dialect: Dialect, memory: int, vendor: str = "nvidia") -> Machine:
    device = {"name": "card", "vendor": vendor, "type": "cuda", "compute_capability": "8.9",
              "memory": {"total": memory}}  # fmt: skip
    worker = {"id": 1, "name": "a", "state": "ready", "status": {
        "cpu": {"total": 8}, "memory": {"total": 64 * GIB, "used": 0},
        "gpu_devices": [{**device, "index": index} for index in (0, 1)]}}  # fmt: skip
    rows = inventory([parse_worker(worker)], [], "lab", engines(dialect))
    return cluster_machine(rows, dialect, "lab")


def speech(name: str) -> ResolvedModel:
    return load_deployable(name, load({"offline": True}), PLAIN)


@pytest.mark.parametrize(
    ("name", "gib", "category"),
    [
        ("systran/faster-whisper-large-v3", 10, "speech_to_text"),
        ("systran/faster-whisper-medium", 5, "speech_to_text"),
        ("gpustack/cosyvoice2-0.5b", 3, "text_to_speech"),
        ("nari-labs/dia-1.6b", 10, "text_to_speech"),
    ],
)
def test_a_recipe_for_voxbox_is_planned_with_the_memory_it_reserves(
    name: str, gib: int, category: str
) -> None:
    model = speech(name)
    for dialect, backend in ((NEW, "VoxBox"), (OLD, "vox-box")):
        machine = cluster(dialect, 24 * GIB)
        plan = decide_on_cluster(machine, model, PLAIN).plan
        assert plan is not None
        assert (plan.backend, plan.gpus, plan.estimate.total_bytes) == ("voxbox", (0,), gib * GIB)
        spec = recipe(model, plan, machine.inventory, "standard")
        body = create_body("n", plan, dialect, Choices(), cluster_id=1, spec=spec)
        assert body["backend"] == backend
        assert body["env"] == {"GPUSTACK_MODEL_VRAM_CLAIM": str(gib * GIB)}
        assert body["categories"] == [category]
        assert "backend_parameters" not in body


def test_the_reservation_decides_and_one_card_holds_it() -> None:
    model = speech("systran/faster-whisper-large-v3")
    decision = decide_on_cluster(cluster(NEW, 8 * GIB), model, PLAIN)
    assert decision.plan is None
    assert decision.refusal is not None
    assert decision.refusal.verdict is Verdict.DOES_NOT_FIT
    assert decision.refusal.needed_bytes == 10 * GIB
    assert "2 x" not in " ".join(decision.refusal.reasons)


def test_other_cards_and_machines_that_are_no_cluster() -> None:
    model = speech("systran/faster-whisper-large-v3")
    on_amd = decide_on_cluster(cluster(NEW, 24 * GIB, "amd"), model, PLAIN).refusal
    assert on_amd is not None
    assert any("NVIDIA" in reason for reason in on_amd.reasons)
    alone = simulated_machine(cluster(NEW, 24 * GIB).inventory)
    here = decide_here(alone, model, PLAIN).refusal
    assert here is not None
    assert here.verdict is Verdict.NOT_SUPPORTED
    assert any("VoxBox" in reason and "GPUStack" in reason for reason in here.reasons)


def test_a_chat_model_is_never_given_to_it() -> None:
    plan = decide_on_cluster(cluster(NEW, 24 * GIB), speech("qwen3-8b"), PLAIN).plan
    assert plan is not None
    assert plan.backend != "voxbox"
