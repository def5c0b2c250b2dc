"""Decisions: what an experienced person would pick, and why the rest was left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.planner_cases import (
    A100,
    B200,
    BARE,
    DENSE_8B,
    DENSE_32B,
    DENSE_70B,
    ENCODER,
    EVERY,
    EXPERTS_30B,
    H100,
    HEADS_40,
    LATENT_671B,
    MI300X,
    P40,
    RTX_3060,
    RTX_3090,
    RTX_4090,
    T4,
    TESLA_V100,
    decide,
    gpu,
    machine,
    subject,
)  # fmt: skip

from modelscan.core.errors import UsageError
from modelscan.core.machine import simulated_machine
from modelscan.core.plan import Decision, Plan, ReservedMemory, ResolvedModel
from modelscan.core.units import GIB
from modelscan.core.verdict import Verdict
from modelscan.core.workload import Workload
from modelscan.engines import support
from modelscan.engines.estimate import estimate
from modelscan.engines.flags import workload_of
from modelscan.formats.quantization import canonical
from modelscan.planner.decide import decide as decide_on
from modelscan.planner.hardware import needed

SAFETENSORS = ("BF16", "FP8", "AWQ")


def plan(decision: Decision) -> Plan:
    assert decision.plan is not None, decision.refusal
    return decision.plan


def test_eight_billion_on_24_gib_is_bf16() -> None:
    found = plan(decide(subject(DENSE_8B, SAFETENSORS), machine(RTX_4090), Workload()))
    assert (found.quantization, found.backend, found.gpus) == ("BF16", "vllm", (0,))
    assert found.context_tokens >= 16_384


def test_a_long_context_moves_eight_billion_to_fp8() -> None:
    wish = Workload(context_tokens=40_960, parallel=2)
    found = plan(decide(subject(DENSE_8B, SAFETENSORS), machine(RTX_4090), wish))
    assert (found.quantization, found.support) == ("FP8", "native")
    assert found.context_tokens == 40_960


def test_fp8_is_native_weight_only_or_absent() -> None:
    for device, kind in ((RTX_4090, "native"), (RTX_3090, "weight_only")):
        wish = Workload(quantization="FP8")
        found = plan(decide(subject(DENSE_8B, SAFETENSORS), machine(device), wish))
        assert (found.quantization, found.support) == ("FP8", kind)
    refused = decide(
        subject(DENSE_8B, SAFETENSORS), machine(TESLA_V100), Workload(quantization="FP8")
    )
    assert refused.plan is None
    assert any("compute capability" in reason for _, reason in refused.rejected)


def test_32_billion_on_24_gib_is_four_bit() -> None:
    found = plan(decide(subject(DENSE_32B, SAFETENSORS), machine(RTX_4090), Workload()))
    assert found.quantization == "AWQ"
    assert any("BF16" in reason for reason in found.reasons)


def test_volta_never_gets_fp8() -> None:
    found = plan(decide(subject(DENSE_32B, EVERY), machine(TESLA_V100), Workload()))
    assert canonical(found.quantization) not in ("FP8", "NVFP4", "INT8", "AWQ")


def test_tensor_parallel_divides_heads() -> None:
    """40 heads on 3 GPUs: two are used."""
    wish = Workload(backend="vllm", context_tokens=32_768)
    found = plan(decide(subject(HEADS_40, ["BF16"]), machine(*[RTX_4090] * 3), wish))
    assert (found.tensor_parallel, len(found.gpus)) == (2, 2)
    assert "--tensor-parallel-size 2" in " ".join(found.parameters)


def test_mixed_cards_are_split_by_layers_only() -> None:
    mixed = machine(RTX_4090, RTX_3090)
    refused = decide(subject(DENSE_32B, ["FP8"]), mixed, Workload())
    assert refused.plan is None
    assert ("FP8 safetensors on vllm, RTX 4090 + RTX 3090",
            "tensor parallelism needs identical GPUs") in refused.rejected  # fmt: skip
    found = plan(decide(subject(DENSE_70B, ["Q4_K_M"]), mixed, Workload()))
    assert found.gpus == (0, 1)
    assert found.tensor_parallel == 1


def test_671_billion_int4_on_24_gib_is_refused_with_both_numbers() -> None:
    wish = Workload(quantization="INT4")
    found = decide(subject(LATENT_671B, ["FP8"], original="FP8"), machine(RTX_4090), wish)
    assert found.refusal is not None
    text = " ".join(found.refusal.reasons)
    assert "available: FP8 (safetensors)" in text
    assert "336 GB" in text or "335 GB" in text or "342 GB" in text
    assert "24.0 GiB" in text
    assert (found.refusal.needed_bytes or 0) > 300 * GIB
    assert found.refusal.available_bytes == 24 * GIB


def test_no_fit_names_hardware_that_would_do() -> None:
    found = decide(subject(DENSE_70B, ["BF16", "FP8"]), machine(RTX_4090), Workload())
    assert found.refusal is not None
    assert [(row.count, row.name) for row in found.refusal.required] == [
        (1, "H100 80GB"), (2, "L40S 48GB"), (4, "RTX 4090"),
    ]  # fmt: skip
    for row in found.refusal.required:
        assert row.reason


def test_no_fit_offers_what_fits_when_one_wish_is_dropped() -> None:
    wish = Workload(quantization="BF16", context_tokens=32_768)
    found = decide(subject(DENSE_32B, ["BF16", "AWQ", "Q4_K_M"]), machine(RTX_4090), wish)
    assert found.refusal is not None
    offered = {item.quantization for item in found.refusal.alternatives}
    assert offered & {"AWQ", "Q4_K_M"}


def test_asked_context_is_never_reduced() -> None:
    wish = Workload(context_tokens=131_072)
    found = decide(subject(DENSE_70B, ["AWQ"]), machine(A100), wish)
    assert found.plan is None
    assert decide(subject(DENSE_70B, ["AWQ"]), machine(A100), Workload()).plan is not None


def test_a_reduced_context_is_said() -> None:
    found = plan(decide(subject(DENSE_8B, ["BF16"]), machine(gpu("A", 20, "8.6")), Workload()))
    assert found.context_tokens < 32_768
    assert any(reason.startswith("context reduced from 32k") for reason in found.reasons)


def test_gguf_without_a_gpu_runs_on_the_cpu_and_is_usable() -> None:
    found = plan(decide(subject(DENSE_8B), BARE, Workload()))
    assert (found.backend, found.gpus) == ("llama.cpp", ())
    assert found.quantization in ("Q4_K_M", "Q6_K")  # faster than Q8_0, better than Q2_K
    assert "--n-gpu-layers 0" in " ".join(found.parameters)


def test_safetensors_without_a_gpu_is_no_fit() -> None:
    found = decide(subject(DENSE_8B, SAFETENSORS), BARE, Workload())
    assert found.refusal is not None
    assert any("needs a GPU" in reason for _, reason in found.rejected)


def test_what_does_not_fit_the_card_is_partly_offloaded() -> None:
    found = plan(decide(subject(DENSE_32B, ["Q4_K_M"]), machine(RTX_3060), Workload()))
    words = " ".join(found.parameters)
    layers = int(words.partition("--n-gpu-layers ")[2].split()[0])
    assert 0 < layers < 64
    assert any("layers run on the CPU" in reason for reason in found.reasons)


def test_experts_are_offloaded_before_layers() -> None:
    found = plan(decide(subject(EXPERTS_30B, ["Q4_K_M"]), machine(RTX_3060), Workload()))
    words = " ".join(found.parameters)
    assert "--n-gpu-layers all --n-cpu-moe" in words
    assert any("experts" in reason for reason in found.reasons)


def test_full_offload_beats_partial() -> None:
    both = subject(DENSE_8B, ["BF16", "Q8_0"])
    found = plan(decide(both, machine(RTX_3060), Workload()))
    assert found.quantization == "Q8_0"
    assert "--n-gpu-layers all" in " ".join(found.parameters)


def test_goals_pull_in_their_direction() -> None:
    model, here = subject(DENSE_8B), machine(RTX_4090)
    by_goal = {goal: plan(decide(model, here, Workload(goal=goal))) for goal in
               ("quality", "speed", "context")}  # fmt: skip

    def speed(item: Plan) -> float:
        assert item.estimate.speed is not None
        return item.estimate.speed.decode_tokens_per_s or 0.0

    assert speed(by_goal["speed"]) > 1.5 * speed(by_goal["quality"])
    assert by_goal["context"].context_tokens == 40_960
    assert by_goal["quality"].quantization in ("BF16", "Q8_0")


def test_several_gpus_are_used_only_where_they_help() -> None:
    one = plan(decide(subject(DENSE_8B, ["BF16"]), machine(*[H100] * 8), Workload()))
    assert len(one.gpus) == 1
    fast = plan(decide(subject(DENSE_70B, ["FP8"]), machine(*[H100] * 8), Workload(goal="speed")))
    assert fast.tensor_parallel == 8


def test_the_original_format_counts_as_lossless() -> None:
    model = subject(LATENT_671B, ["BF16", "FP8", "AWQ"], original="FP8")
    found = plan(decide(model, machine(*[B200] * 8), Workload()))
    assert found.quantization == "FP8"


def test_fp4_is_weight_only_below_blackwell_from_the_version_that_has_the_kernel() -> None:
    model = subject(DENSE_70B, ["NVFP4"])
    assert plan(decide(model, machine(B200), Workload())).support == "native"
    assert plan(decide(model, machine(H100), Workload())).support == "weight_only"
    old = Workload(backend="vllm", backend_version="0.8.5")
    refusal = decide(model, machine(H100), old).refusal
    assert refusal is not None
    assert "from 0.9.0 on" in " ".join(refusal.reasons)


def test_amd() -> None:
    found = plan(decide(subject(DENSE_70B, ["FP8", "NVFP4"]), machine(MI300X), Workload()))
    assert (found.quantization, found.backend) == ("FP8", "vllm")


def test_embedding_models_are_served_as_such() -> None:
    model = subject(ENCODER, ["FP16", "Q8_0"], task="embedding")
    found = plan(decide(model, BARE, Workload()))
    assert (found.task, found.context_tokens) == ("embedding", 512)
    assert "--embedding" in found.parameters
    on_gpu = plan(decide(model, machine(RTX_4090), Workload(backend="vllm")))
    assert on_gpu.parameters[-2:] == ("--runner", "pooling")


def test_tasks_no_engine_serves() -> None:
    model = replace(subject(DENSE_8B, ["BF16"]), task="text_to_speech")
    found = decide(model, machine(RTX_4090), Workload())
    assert found.plan is None
    assert "speech synthesis" in " ".join(found.refusal.reasons)


def test_closed_weights() -> None:
    closed = ResolvedModel("openai/gpt-4o", "GPT-4o", "chat", (), closed=True,
                     alternatives=("openai/gpt-oss-120b",))  # fmt: skip
    refusal = decide(closed, BARE, Workload()).refusal
    assert refusal is not None
    assert (refusal.verdict, refusal.code) == ("not_supported", "closed_weights")
    assert refusal.open_models == ("openai/gpt-oss-120b",)


def test_memory_promised_to_others_counts() -> None:
    model, here = subject(DENSE_8B, ["Q4_K_M"]), machine(RTX_3060, host_gib=8)
    whole = plan(decide(model, here, Workload(context_tokens=8192)))
    assert whole.gpus == (0,)
    held = (ReservedMemory(0, 11 * GIB), ReservedMemory(None, 3 * GIB))
    assert decide(model, here, Workload(context_tokens=8192), held).plan is None


def test_a_partly_used_card_lowers_the_utilisation() -> None:
    busy = machine(gpu("H100", 80, "9.0", 3350, free=60))
    found = plan(decide(subject(DENSE_8B, ["BF16"]), busy, Workload()))
    share = float(found.parameters[found.parameters.index("--gpu-memory-utilization") + 1])
    assert share == pytest.approx(0.74, abs=0.011)
    assert found.estimate.per_gpu[0].budget_bytes <= 60 * GIB


@pytest.mark.parametrize("free", [60.8, 50.3, 41.7, 33.9])
def test_a_partly_used_card_in_a_pair_costs_cache_and_no_context(free: float) -> None:
    """What each rank takes beside its share (context, communication) is left free as well."""
    busy = machine(gpu("H100", 80, "9.0", 3350, free=free), H100)
    wish = Workload(backend="vllm", tensor_parallel=2)
    found = plan(decide(subject(DENSE_8B, ["BF16"]), busy, wish))
    assert (found.context_tokens, found.estimate.verdict) == (40_960, "fits")


def test_llamacpp_uses_the_emptier_card() -> None:
    here = machine(gpu("A", 24, "8.6", free=3), gpu("A", 24, "8.6", free=23))
    found = plan(decide(subject(DENSE_8B, ["Q8_0"]), here, Workload()))
    assert found.gpus == (1,)
    assert found.env["CUDA_VISIBLE_DEVICES"] == "1"


def test_more_requests_than_the_pool_holds_wait() -> None:
    """The engine starts and queues: the context of one request is not cut for it."""
    model, here = subject(DENSE_8B, ["BF16"]), machine(H100)
    found = plan(decide(model, here, Workload(backend="vllm", parallel=64)))
    assert (found.context_tokens, found.parallel) == (32_768, 64)
    assert any("others wait" in reason for reason in found.reasons)
    assert not any("tight" in reason for reason in found.reasons)
    held = found.estimate.max_concurrency
    assert held is not None
    assert 5 < held < 64


def test_a_choice_of_real_devices_is_always_told_to_the_engine() -> None:
    here = machine(RTX_4090)
    chosen = replace(here, gpus=(replace(here.gpus[0], index=1),))
    model = subject(DENSE_8B, ["Q8_0"])
    assert plan(decide(model, chosen, Workload())).env == {}
    real = plan(decide(model, replace(chosen, source="local"), Workload()))
    assert real.env["CUDA_VISIBLE_DEVICES"] == "1"
    assert plan(decide(model, replace(chosen, source="cluster"), Workload())).env == {}


def test_a_mode_throughput_recipe_is_followed() -> None:
    from modelscan.core.model import Model, Spec

    model = subject(DENSE_8B, ["BF16"])
    spec = Spec("huggingface", "acme/model-BF16", "SGLang", "BF16", mode="throughput")
    model = replace(model, model=Model("acme/model", "m", specs=(spec,)))
    here = machine(H100)
    assert plan(decide(model, here, Workload(mode="throughput"))).backend == "sglang"
    assert plan(decide(model, here, Workload())).backend == "vllm"


def test_overrides_are_honoured() -> None:
    wish = Workload(
        quantization="Q4_K_M", backend="llama.cpp", context_tokens=10_000, parallel=3,
        kv_cache_k="q8_0", kv_cache_v="q8_0", parameters=(("kv-unified", None),),
    )  # fmt: skip
    found = plan(decide(subject(DENSE_8B), machine(RTX_4090), wish))
    words = " ".join(found.parameters)
    assert "--ctx-size 10000 --parallel 3" in words
    assert words.endswith("--cache-type-k q8_0 --cache-type-v q8_0 --kv-unified")
    assert (found.context_tokens, found.parallel) == (10_000, 3)


def test_a_cache_type_an_engine_does_not_know() -> None:
    wish = Workload(kv_cache_k="fp8", kv_cache_v="fp8")
    found = decide(subject(DENSE_8B), machine(RTX_4090), wish)
    assert plan(found).backend == "vllm"
    with pytest.raises(UsageError, match="no cache type 'fp8'"):
        decide(subject(DENSE_8B), machine(RTX_4090), replace(wish, backend="llama.cpp"))


def test_two_alternatives_where_the_machine_allows() -> None:
    for model in (subject(DENSE_8B), subject(DENSE_8B, ["Q4_K_M"]), subject(DENSE_8B, ["BF16"])):
        found = decide(model, machine(RTX_4090), Workload())
        assert len(found.alternatives) >= 2
        assert plan(found) not in found.alternatives


def test_everything_is_compared_on_request() -> None:
    some = decide(subject(DENSE_8B), machine(RTX_4090), Workload())
    everything = decide(subject(DENSE_8B), machine(RTX_4090), Workload(), everything=True)
    assert plan(everything) == plan(some)
    assert len(everything.alternatives) > len(some.alternatives)
    shown = {item.quantization for item in (plan(everything), *everything.alternatives)}
    assert shown >= {"BF16", "FP8", "INT8", "AWQ", "Q8_0", "Q6_K", "Q4_K_M"}


def test_gpus_needed_per_quantization() -> None:
    rows = needed(
        subject(DENSE_70B, ["BF16", "FP8", "Q4_K_M"]), Workload(), simulated_machine(BARE)
    )
    assert len(rows) == 3
    totals = [row.memory_bytes * row.count for row in rows]
    assert totals == sorted(totals)
    assert "Q4_K_M" in (rows[0].reason or "")
    assert rows[-1].memory_bytes * rows[-1].count >= 160 * GIB


SUBJECTS = {
    "8b": subject(DENSE_8B), "32b": subject(DENSE_32B), "moe": subject(EXPERTS_30B),
    "70b": subject(DENSE_70B, ("BF16", "FP8", "AWQ", "Q4_K_M")),
    "671b": subject(LATENT_671B, ("FP8", "AWQ", "Q4_K_M"), original="FP8"),
    "encoder": subject(ENCODER, ("FP16", "Q8_0"), task="embedding"),
}  # fmt: skip
DEVICES = [RTX_4090, RTX_3090, RTX_3060, TESLA_V100, T4, P40, A100, H100, B200, MI300X]
MACHINES = st.lists(
    st.tuples(st.sampled_from(DEVICES), st.floats(0.3, 1.0)), max_size=4
).map(lambda rows: machine(*[
    replace(d, free_bytes=int(share * (d.memory_bytes or 0))) for d, share in rows
]))  # fmt: skip
WISHES = st.builds(
    Workload,
    goal=st.sampled_from(["quality", "speed", "context"]),
    mode=st.sampled_from(["standard", "throughput", "latency"]),
    context_tokens=st.sampled_from([None, None, 2048, 8192, 30_000]),
    parallel=st.sampled_from([None, None, 1, 3]),
    quantization=st.sampled_from([None, None, None, "INT4", "FP8", "Q4_K_M"]),
)
BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@BOUNDED
@given(st.sampled_from(sorted(SUBJECTS)), MACHINES, WISHES)
def test_a_plans_flags_estimated_again_fit(name: str, here: object, wish: Workload) -> None:
    model = SUBJECTS[name]
    decision = decide(model, here, wish)  # type: ignore[arg-type]
    assert (decision.plan is None) != (decision.refusal is None)
    for item in (decision.plan, *decision.alternatives):
        if item is None:
            continue
        shape = next(c.shape for c in model.candidates if c.variant.repo == item.repo)
        kept = replace(here, gpus=tuple(g for g in here.gpus if g.index in item.gpus))  # type: ignore[attr-defined,type-var]
        again = estimate(shape, workload_of(item, Workload()), kept, model=model.id)
        assert again.verdict == "fits", item.parameters
        assert again.total_bytes == item.estimate.total_bytes
        assert again.context_tokens == item.context_tokens
        if wish.context_tokens:
            assert item.context_tokens == wish.context_tokens or item is not decision.plan


@BOUNDED
@given(st.sampled_from(sorted(SUBJECTS)), MACHINES, WISHES)
def test_no_plan_violates_the_support_matrix(name: str, here: object, wish: Workload) -> None:
    decision = decide(SUBJECTS[name], here, wish)  # type: ignore[arg-type]
    by_index = {g.index: g for g in here.gpus}  # type: ignore[attr-defined]
    for item in (decision.plan, *decision.alternatives):
        if item is None:
            continue
        assert support.format_support(item.format, item.backend)
        for index in item.gpus:
            found = support.gpu_support(
                item.format, item.quantization, item.backend, by_index[index]
            )
            assert found, (item.quantization, item.backend, by_index[index].name)
        if not item.gpus:
            assert item.format == "gguf"
        assert item.reasons


@BOUNDED
@given(st.sampled_from(sorted(SUBJECTS)), st.sampled_from(DEVICES), WISHES)
def test_more_devices_never_take_a_fit_away(name: str, device: object, wish: Workload) -> None:
    model = SUBJECTS[name]
    fewer = decide(model, machine(device), wish, explain=False)  # type: ignore[arg-type]
    more = decide(model, machine(device, device), wish, explain=False)  # type: ignore[arg-type]
    assert fewer.plan is None or more.plan is not None


def test_the_same_question_has_the_same_answer() -> None:
    here = machine(RTX_4090, RTX_4090)
    assert decide(SUBJECTS["moe"], here, Workload()) == decide(SUBJECTS["moe"], here, Workload())


def test_an_alternative_s_engine_changes_no_verdict() -> None:
    """Ollama's misses do not tell whether the weights of unknown size would fit vLLM."""
    every = simulated_machine(machine(RTX_3060))
    here = replace(every, engines=tuple(e for e in every.engines if e.name in ("vllm", "ollama")))
    model = replace(subject(DENSE_70B, ["Q8_0"]), unsized=("acme/awq",))
    brief = decide_on(model, here, Workload(), explain=False, brief=True)
    full = decide_on(model, here, Workload(), explain=True)
    assert brief.verdict is full.verdict is Verdict.UNKNOWN
