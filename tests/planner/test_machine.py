"""What a machine is changes the answer: its engines, their versions and devices, its promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.planner_cases import (
    BARE,
    DENSE_8B,
    DENSE_70B,
    EXPERTS_30B,
    H100,
    RTX_3060,
    RTX_4090,
    machine,
    subject,
)

from modelscan.core.machine import EngineHere, Machine, MissingEngine, simulated_machine
from modelscan.core.model import Variant
from modelscan.core.plan import Candidate, ResolvedModel
from modelscan.core.units import GIB
from modelscan.core.verdict import Verdict
from modelscan.core.workload import Backend, Workload
from modelscan.memory.shape import from_config
from modelscan.models.decide import decide_here, estimate_here, refused
from modelscan.models.shape_from_parameter_count import shape_by_parameters

CPU_BUILD = EngineHere("llama.cpp", "2026.10.11549", "bundled", gpus=(), note="built for the CPU")
NO_GPU_BUILD = MissingEngine("llama.cpp", "a CPU build", "set llama_server", "cpu_only_build")
NO_VLLM = MissingEngine("vllm", "vLLM is not installed", "pip install vllm")
HERE = replace(machine(H100), source="local")
MODEL = subject(DENSE_8B, ("BF16", "FP8", "Q8_0", "Q4_K_M"))


def here(*engines: EngineHere, missing: tuple[MissingEngine, ...] = (), **more: bool) -> Machine:
    return Machine(HERE, engines, missing, **more)  # type: ignore[arg-type]


def test_the_plan_is_for_the_engines_that_are_there() -> None:
    decision = decide_here(here(CPU_BUILD, missing=(NO_GPU_BUILD, NO_VLLM)), MODEL, Workload(),
                           explain=True)  # fmt: skip
    plan = decision.plan
    assert plan is not None
    assert (plan.backend, plan.gpus, plan.offload) == ("llama.cpp", (), "cpu")
    assert plan.backend_version == "2026.10.11549"
    assert "built for the CPU" in plan.estimate.warnings
    gaps = {gap.name: gap for gap in decision.missing}
    assert gaps["vllm"].command == "pip install vllm"
    assert gaps["vllm"].plan is not None and gaps["vllm"].plan.backend == "vllm"
    assert gaps["llama.cpp"].plan is not None and gaps["llama.cpp"].plan.gpus == (0,)


def test_a_better_engine_that_is_here_leaves_nothing_missing() -> None:
    vllm = EngineHere("vllm", "0.28.0", "installed")
    decision = decide_here(here(CPU_BUILD, vllm, missing=(NO_GPU_BUILD,)), MODEL, Workload(),
                           explain=True)  # fmt: skip
    assert decision.plan is not None and decision.plan.backend_version == "0.28.0"
    assert decision.missing == ()


@pytest.mark.parametrize(("version", "share"), [("0.11.0", "0.9"), ("0.32.0", "0.92")])
def test_the_version_that_is_installed_is_counted_on(version: str, share: str) -> None:
    found = decide_here(here(EngineHere("vllm", version)), MODEL, Workload()).plan
    assert found is not None and found.backend_version == version
    assert found.parameters[found.parameters.index("--gpu-memory-utilization") + 1] == share
    other = decide_here(
        here(EngineHere("vllm", version)), MODEL, Workload(backend_version="0.20.0")
    )
    assert other.plan is not None and other.plan.backend_version == "0.20.0"


def test_devices_that_were_picked_are_not_left_out() -> None:
    there = here(CPU_BUILD, missing=(NO_GPU_BUILD,), selected=True)
    decision = decide_here(there, MODEL, Workload())
    assert decision.verdict is Verdict.NOT_SUPPORTED
    error = refused(decision, there)
    assert (error.code, error.hint) == ("cpu_only_build", "set llama_server")


def test_only_a_missing_engine_could_run_it() -> None:
    safetensors = subject(DENSE_8B, ("BF16",))
    decision = decide_here(here(CPU_BUILD, missing=(NO_VLLM,)), safetensors, Workload())
    assert decision.refusal is not None
    assert (decision.verdict, decision.refusal.code) == (Verdict.NOT_SUPPORTED, "engine_missing")
    assert decision.refusal.reasons[0] == "vLLM is not installed"
    large = subject(DENSE_70B, ("BF16",))
    decision = decide_here(here(CPU_BUILD, missing=(NO_VLLM,)), large, Workload())
    assert decision.verdict is not Verdict.FITS and decision.missing == ()


def test_an_engine_that_a_place_does_not_have() -> None:
    decision = decide_here(here(EngineHere("vllm")), MODEL, Workload(backend="ollama"))
    assert decision.refusal is not None
    assert decision.verdict is Verdict.NOT_SUPPORTED
    assert "this machine has vllm" in " ".join(decision.refusal.reasons)


def test_files_that_are_not_listed_are_unknown_and_not_too_large() -> None:
    hidden = replace(subject(DENSE_8B, ("BF16",)), unlisted=("acme/model-GGUF",))
    decision = decide_here(simulated_machine(machine(RTX_3060)), hidden, Workload())
    assert decision.verdict is Verdict.UNKNOWN
    assert decision.missing[0].command == "modelscan plan hf:acme/model-GGUF"
    huge = replace(subject(DENSE_70B, ("BF16",)), unlisted=("acme/model-GGUF",))
    small = simulated_machine(machine(RTX_3060, host_gib=8))
    assert decide_here(small, huge, Workload()).verdict is Verdict.DOES_NOT_FIT


def test_a_shape_that_is_a_range_is_unknown_where_its_lower_end_fits() -> None:
    shape = shape_by_parameters(
        12 * 10**9, active_parameters=None, context_tokens=32768, file_format="safetensors",
        quantization="BF16", weight_bytes=None,
    )  # fmt: skip
    candidate = subject(DENSE_8B, ("BF16",)).candidates[0]
    guessed = type(candidate)(candidate.variant, shape, candidate.quality, int(12e9))
    model = ResolvedModel("acme/odd", "odd", "chat", (guessed,))
    verdicts = {
        gib: decide_here(simulated_machine(machine(replace(RTX_4090, memory_bytes=gib * GIB,
                                                           free_bytes=gib * GIB))),
                         model, Workload()).verdict
        for gib in (12, 24, 80)
    }  # fmt: skip
    assert verdicts == {12: "does_not_fit", 24: "unknown", 80: "fits"}


def test_a_model_without_a_repository_is_unknown() -> None:
    nothing = ResolvedModel("acme/new", "new", "chat", ())
    decision = decide_here(simulated_machine(machine(H100)), nothing, Workload())
    assert (decision.verdict, decision.missing[0].kind) == (Verdict.UNKNOWN, "repository")
    spoken = replace(subject(DENSE_8B), task="speech_to_text")
    decision = decide_here(simulated_machine(machine(H100)), spoken, Workload())
    assert decision.verdict is Verdict.NOT_SUPPORTED


def test_an_estimate_is_of_what_the_plan_chooses() -> None:
    there = simulated_machine(machine(RTX_3060))
    found, decision = estimate_here(there, MODEL, Workload())
    assert decision.plan is not None
    assert found.total_bytes == decision.plan.estimate.total_bytes
    assert "as `plan` chooses" in found.assumptions[0]
    small = simulated_machine(machine(RTX_3060, host_gib=8))
    unfit, _ = estimate_here(small, subject(DENSE_70B, ("BF16",)), Workload())
    assert (unfit.verdict, unfit.speed) == (Verdict.DOES_NOT_FIT, None)


@pytest.mark.parametrize(
    ("quantization", "verdict"), [("UD-Q8_K_XL", Verdict.UNKNOWN), ("UD-Q4_K_XL", Verdict.FITS)]
)
def test_only_the_file_tells_whether_a_dynamic_quantization_fits(
    quantization: str, verdict: Verdict
) -> None:
    """8B in UD-Q8_K_XL: 7.9 to 10 GiB on a card of 12 with 20k of full cache."""
    shape = from_config(DENSE_8B, quantization=quantization, format="gguf")
    variant = Variant(repo="acme/model-GGUF", format="gguf", quantization=quantization)
    model = ResolvedModel("acme/model", "model", "chat", (Candidate(variant, shape, None),))
    wishes = Workload(context_tokens=20480, backend="llama.cpp", kv_cache_k="f16", kv_cache_v="f16")
    found, decision = estimate_here(simulated_machine(machine(RTX_3060)), model, wishes)
    assert decision.plan is not None
    assert (found.quantization, found.basis, found.verdict) == (quantization, "range", verdict)
    assert ("depends on the size of the file" in found.warnings[-1]) is (verdict != "fits")


@pytest.mark.parametrize("backend", ["llama.cpp", "vllm", None])
def test_an_estimate_of_a_launch_keeps_the_engines_own_cache(backend: Backend | None) -> None:
    """A plan may choose 8 bits to fit; the estimate of what a user starts does not."""
    model = subject(DENSE_8B, ("BF16", "Q8_0"))
    here = simulated_machine(machine(RTX_3060))
    if backend is None:
        model = subject(DENSE_8B, ("Q8_0",))
        mine = model.candidates[0]
        mine.variant = replace(mine.variant, source="local_path")
    found, _ = estimate_here(here, model, Workload(backend=backend, context_tokens=32_768))
    assert found.kv_bytes_per_token == 36 * 2 * 8 * 128 * 2
    beyond, _ = estimate_here(here, model, Workload(backend=backend, context_tokens=65_536))
    assert beyond.context_tokens == 65_536


SUBJECTS = {
    "dense": MODEL,
    "experts": subject(EXPERTS_30B, ("BF16", "AWQ", "Q8_0", "Q4_K_M", "Q2_K")),
    "large": subject(DENSE_70B, ("BF16", "FP8", "INT8", "Q6_K", "Q4_K_M", "Q3_K_M")),
}
DEVICES = st.lists(st.sampled_from((RTX_4090, RTX_3060, H100)), max_size=3)
WISHES = st.builds(
    Workload,
    goal=st.sampled_from(("quality", "speed", "context")),
    mode=st.sampled_from(("standard", "throughput", "latency")),
    context_tokens=st.sampled_from((None, None, 8192, 32768)),
    backend=st.sampled_from((None, None, "vllm", "llama.cpp", "ollama")),
)


@settings(deadline=None, max_examples=60, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
@given(st.sampled_from(sorted(SUBJECTS)), DEVICES, WISHES)
def test_explaining_never_changes_the_choice(name: str, cards: list, wishes: Workload) -> None:  # type: ignore[type-arg]
    there = simulated_machine(machine(*cards) if cards else BARE)
    model = SUBJECTS[name]
    plain = decide_here(there, model, wishes)
    for options in ({"explain": True}, {"everything": True}, {"brief": True}):
        other = decide_here(there, model, wishes, **options)
        assert other.verdict is plain.verdict
        for decision in (other, plain):
            assert (decision.plan is None) == (decision.verdict is not Verdict.FITS)
        if other.plan and plain.plan:  # the reasons tell of more that was tried
            assert replace(other.plan, reasons=()) == replace(plain.plan, reasons=())
