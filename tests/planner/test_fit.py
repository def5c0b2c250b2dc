"""Making one option fit: fewer requests before less context, and what stays on the GPU."""

from __future__ import annotations

from dataclasses import replace

from support.planner_cases import (
    DENSE_8B,
    DENSE_32B,
    DENSE_70B,
    H100,
    RTX_3060,
    RTX_4090,
    decide,
    machine,
    subject,
)

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Inventory
from modelscan.core.workload import Workload
from modelscan.engines.flags import parse, workload_of
from modelscan.planner.context import estimator


def test_fewer_requests_at_once_leave_room_for_the_context() -> None:
    """8B in BF16 on 24 GiB: 256 sequences of vLLM 0.21 would cost 3k tokens of the 32k."""
    model = subject(DENSE_8B, ("BF16",))
    wishes = Workload(backend="vllm", backend_version="0.21.0")
    plan = decide(model, machine(RTX_4090), wishes).plan
    assert plan is not None
    assert plan.backend == "vllm"
    assert plan.parameters[-2:] == ("--max-num-seqs", "64")
    assert any("--max-num-seqs 64" in reason for reason in plan.reasons)
    many = decide(model, machine(RTX_4090), Workload(mode="throughput", backend="vllm")).plan
    assert many is not None
    assert "--max-num-seqs" not in many.parameters
    roomy = decide(model, machine(H100), Workload()).plan
    assert roomy is not None
    assert "--max-num-seqs" not in roomy.parameters


def test_what_stays_on_the_gpu_is_the_most_that_fits() -> None:
    """Few estimates find it, and one part more would not fit."""
    calls = 0
    own = estimator("acme/model")

    def counted(shape: ModelShape, workload: Workload, here: Inventory) -> Estimate:
        nonlocal calls
        calls += 1
        return own(shape, workload, here)

    here = machine(RTX_3060)
    wanted = Workload(backend="llama.cpp", context_tokens=8192)
    model = subject(DENSE_32B, ("Q4_K_M",))
    plan = decide(model, here, wanted, estimator=counted, explain=False).plan
    assert plan is not None
    assert calls <= 8
    layers = int(plan.settings["n-gpu-layers"] or 0)
    assert 0 < layers < 64
    more = tuple(
        (name, str(layers + 1) if name == "n-gpu-layers" else value)
        for name, value in parse(plan.parameters)
    )
    above = own(model.candidates[0].shape, replace(workload_of(plan), parameters=more), here)
    assert above.verdict != "fits" or above.within_margin


def test_a_model_that_fits_one_way_only_has_other_settings_as_alternatives() -> None:
    """Part of it on the CPU: a smaller cache, half the context."""
    found = decide(subject(DENSE_70B, ("Q4_K_M",)), machine(RTX_3060), Workload())
    assert found.plan is not None
    assert "--n-gpu-layers" in found.plan.parameters
    flags = {plan.parameters for plan in (found.plan, *found.alternatives)}
    assert len(flags) >= 3
    assert all(plan.estimate.verdict == "fits" for plan in found.alternatives)


def test_the_context_is_at_most_what_the_model_was_trained_for() -> None:
    """More would cost memory that no request can use; the plan says what became of the wish."""
    model = subject(DENSE_8B | {"model_type": "llama"}, ("Q4_K_M",))
    mine = model.candidates[0]
    mine.variant = replace(mine.variant, source="local_path")
    trained = model.candidates[0].shape.architecture.context_tokens
    assert trained is not None
    wish = Workload(backend="llama.cpp", context_tokens=4 * trained)
    plan = decide(model, machine(RTX_4090), wish).plan
    assert plan is not None
    assert plan.context_tokens == plan.estimate.context_tokens == trained
    assert any("instead of the requested" in text for text in plan.estimate.warnings)
    extended = replace(wish, parameters=(("rope-scaling", "yarn"),))
    longer = decide(model, machine(H100, H100), extended).plan
    assert longer is not None and longer.context_tokens == 4 * trained
    assert not any("instead of the requested" in text for text in longer.estimate.warnings)
