"""What the search prefers: a smaller cache, experts on the host, publishers, engines, contexts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.planner_cases import (
    DENSE_8B,
    DENSE_32B,
    EXPERTS_30B,
    H100,
    LATENT_671B,
    RTX_3060,
    RTX_3090,
    RTX_4090,
    T4,
    TESLA_V100,
    decide,
    gpu,
    machine,
    subject,
)

from modelscan.core.gpu import Gpu
from modelscan.core.model import Model, Spec
from modelscan.core.plan import Candidate, Decision, Plan, Publisher, ResolvedModel
from modelscan.core.units import GIB
from modelscan.core.verdict import Verdict
from modelscan.core.workload import Workload
from modelscan.gpu.simulate import simulate
from modelscan.models.quantization_quality import quality

LONG_8B = DENSE_8B | {"max_position_embeddings": 131_072}
STRIX_HALO = simulate("Ryzen AI Max+ 395 128GB").gpus[0]
RADEON = simulate("RX 7900 XTX").gpus[0]


def plan(decision: Decision) -> Plan:
    assert decision.plan is not None, decision.refusal
    return decision.plan


def test_the_cache_loses_bits_before_the_context_or_the_layers() -> None:
    model = subject(DENSE_32B, ["Q4_K_M", "Q3_K_M"])
    found = plan(decide(model, machine(RTX_4090), Workload(context_tokens=32_768)))
    assert (found.quantization, found.offload) == ("Q4_K_M", "none")
    assert found.settings["cache-type-k"] == found.settings["cache-type-v"] == "q8_0"
    assert any("KV cache in q8_0" in reason and "perplexity" in reason for reason in found.reasons)


def test_the_cache_keeps_its_bits_where_everything_fits() -> None:
    found = plan(decide(subject(DENSE_8B, ["Q8_0"]), machine(RTX_4090), Workload()))
    assert "cache-type-k" not in found.settings


def test_vllm_caches_in_fp8_only_where_the_card_computes_it() -> None:
    model, wish = subject(LONG_8B, ["BF16"]), Workload(backend="vllm", context_tokens=60_000)
    assert plan(decide(model, machine(RTX_4090), wish)).settings["kv-cache-dtype"] == "fp8"
    assert decide(model, machine(RTX_3090), wish).plan is None


def test_a_cache_type_of_the_user_stays() -> None:
    wish = Workload(context_tokens=32_768, kv_cache_k="f16", kv_cache_v="f16")
    found = plan(decide(subject(DENSE_32B, ["Q4_K_M"]), machine(RTX_4090), wish))
    assert found.settings["cache-type-k"] == "f16"
    assert found.offload == "partial"


def test_a_mixture_never_moves_layers_before_its_experts() -> None:
    found = plan(decide(subject(EXPERTS_30B, ["Q8_0"]), machine(RTX_3060), Workload()))
    assert "n-cpu-moe" in found.settings
    assert found.settings["n-gpu-layers"] == "all"


def test_layers_follow_all_experts_on_a_tiny_card() -> None:
    small = gpu("small", 8, "8.6")
    found = plan(decide(subject(LATENT_671B, ["Q2_K"]), machine(small, host_gib=400), Workload()))
    assert found.settings["n-cpu-moe"] == "61"
    assert int(str(found.settings["n-gpu-layers"])) < 61


def test_what_is_left_of_a_mixture_is_dealt_to_the_cards_by_size() -> None:
    model = subject(EXPERTS_30B | {"num_hidden_layers": 94}, ["Q8_0"])
    found = plan(decide(model, machine(RTX_3060, RTX_3060), Workload()))
    first, second = (int(part) for part in str(found.settings["tensor-split"]).split(","))
    assert first > 2 * second  # the first layers have no experts left
    used = [device.total_bytes for device in found.estimate.per_gpu]
    assert max(used) < 1.3 * min(used)


def _published(model: ResolvedModel, *publishers: Publisher) -> ResolvedModel:
    candidates = tuple(
        Candidate(c.variant, c.shape, c.quality, c.floor_bytes, publisher)
        for c, publisher in zip(model.candidates, publishers, strict=True)
    )
    return replace(model, candidates=candidates)


def test_a_known_publisher_comes_before_a_stranger() -> None:
    model = _published(subject(DENSE_8B, ["W8A16", "Q8_0"]), "other", "known")
    found = plan(decide(model, machine(RTX_3060), Workload()))
    assert found.backend == "llama.cpp"
    assert any(reason.startswith("published by") for reason in found.reasons)


def test_the_makers_own_format_comes_before_a_strangers() -> None:
    model = _published(subject(DENSE_32B, ["W8A16", "FP8"]), "other", "maker")
    found = plan(decide(model, machine(H100), Workload(context_tokens=40_960, parallel=4)))
    assert found.quantization == "FP8"


@pytest.mark.parametrize(("publisher", "left_out"), [("other", True), ("known", False)])
def test_a_strangers_upcast_is_left_out_beside_the_published_weights(
    publisher: Publisher, left_out: bool
) -> None:
    model = subject(DENSE_8B, ["FP8", "BF16"], original="FP8")
    model.candidates[1].publisher = publisher
    found = decide(model, machine(H100), Workload(), everything=True)
    assert ("BF16" in dict(found.rejected)) is left_out
    assert any(one.quantization == "BF16" for one in found.alternatives) is not left_out
    alone = subject(DENSE_8B, ["BF16"], original="FP8")
    alone.candidates[0].publisher = publisher
    assert plan(decide(alone, machine(H100), Workload())).quantization == "BF16"


def test_an_upcast_is_not_the_published_precision() -> None:
    assert quality("BF16", "MXFP4").basis == "upcast"
    model = subject(DENSE_8B, ["BF16", "MXFP4"], original="MXFP4")
    assert plan(decide(model, machine(H100), Workload())).quantization == "MXFP4"


@pytest.mark.parametrize("card", [STRIX_HALO, RADEON, T4, TESLA_V100])
def test_llamacpp_is_preferred_where_vllm_is_a_poor_fit(card: Gpu) -> None:
    model = subject(DENSE_8B, ["BF16", "Q8_0"])
    found = plan(decide(model, machine(card), Workload()))
    assert found.backend == "llama.cpp"
    assert any("llama.cpp is usual" in reason for reason in found.reasons)


def test_the_gpu_is_used_where_it_shares_the_hosts_memory() -> None:
    """A smaller file on the GPU, not a larger one on the processor of the same memory."""
    here = simulate("M4 Pro 24GB")
    found = plan(decide(subject(EXPERTS_30B, ["Q4_K_M", "IQ3_XXS"]), here, Workload()))
    assert (found.quantization, found.gpus, found.offload) == ("IQ3_XXS", (0,), "none")


def test_a_pool_holds_the_trained_context() -> None:
    found = plan(decide(subject(LONG_8B, ["BF16"]), machine(H100), Workload()))
    assert found.context_tokens == 131_072
    assert (found.estimate.kv_capacity_tokens or 0) > 131_072


def test_a_cache_that_costs_memory_stays_at_the_usual_length() -> None:
    found = plan(decide(subject(LONG_8B, ["Q8_0"]), machine(RTX_4090), Workload()))
    assert found.context_tokens == 32_768


def test_a_requested_context_is_not_enlarged() -> None:
    wish = Workload(context_tokens=16_384)
    assert plan(decide(subject(LONG_8B, ["BF16"]), machine(H100), wish)).context_tokens == 16_384


@pytest.mark.parametrize(
    ("backend", "version", "option"),
    [
        ("vllm", "0.32.0", "hf-overrides"), ("vllm", "0.10.0", "rope-scaling"),
        ("sglang", "0.5.23", "json-model-override-args"),
    ],
)  # fmt: skip
def test_beyond_the_training_the_documented_scaling_is_added(
    backend: str, version: str, option: str
) -> None:
    wish = Workload(context_tokens=131_072, backend=backend, backend_version=version)  # type: ignore[arg-type]
    found = plan(decide(subject(DENSE_8B, ["BF16"]), machine(H100), wish))
    body = json.loads(str(found.settings[option]))
    scaling = body.get("rope_parameters") or body.get("rope_scaling") or body
    assert (scaling["rope_type"], scaling["factor"]) == ("yarn", 4.0)
    assert scaling["original_max_position_embeddings"] == 32_768


def test_llamacpp_scales_by_its_own_options() -> None:
    wish = Workload(context_tokens=65_536, backend="llama.cpp")
    found = plan(decide(subject(DENSE_8B, ["Q8_0"]), machine(H100), wish))
    assert found.settings["rope-scaling"] == "yarn"
    assert (found.settings["rope-scale"], found.settings["yarn-orig-ctx"]) == ("2", "32768")


@pytest.mark.parametrize(
    ("family", "context"), [("qwen3", 200_000), ("llama", 65_536), ("gemma3", 41_000)]
)
def test_a_context_that_no_scaling_reaches_is_refused(family: str, context: int) -> None:
    model = subject(DENSE_8B | {"model_type": family}, ["BF16", "Q8_0"])
    found = decide(model, machine(H100), Workload(context_tokens=context)).refusal
    assert found is not None
    assert any("40,960 positions" in reason for reason in found.reasons)


@pytest.mark.parametrize("degree", [3, 16])
def test_a_degree_that_cannot_be_honoured_is_refused(degree: int) -> None:
    """Never another number of GPUs, nor llama.cpp's layers instead."""
    model = subject(DENSE_32B, ["AWQ", "Q8_0"])
    found = decide(model, machine(*[RTX_4090] * 4), Workload(tensor_parallel=degree)).refusal
    assert found is not None
    assert str(degree) in " ".join(found.reasons)
    assert not found.required


def test_mixed_cards_are_refused_by_name() -> None:
    model = subject(DENSE_32B, ["AWQ", "Q8_0"])
    found = decide(model, machine(H100, RTX_4090), Workload(tensor_parallel=2)).refusal
    assert found is not None
    assert "identical GPUs" in found.reasons[0]


def test_the_host_keeps_a_reserve() -> None:
    model = subject(DENSE_8B, ["Q8_0"])
    tight = machine(host_gib=14)
    tight = replace(tight, host=replace(tight.host, memory_bytes=64 * GIB, free_bytes=14 * GIB))
    found = plan(decide(model, tight, Workload(context_tokens=4_096)))
    assert found.estimate.host is not None
    assert (found.estimate.host.free_bytes or 0) < 11 * GIB


def _transcriber(
    *backends: str, classes: Sequence[str] = ("WhisperForConditionalGeneration",)
) -> ResolvedModel:
    whisper = DENSE_8B | {
        "num_hidden_layers": 8, "max_position_embeddings": 448, "architectures": list(classes),
    }  # fmt: skip
    model = subject(whisper, ["BF16"], task="speech_to_text")
    repo = model.candidates[0].variant.repo
    specs = tuple(Spec("huggingface", repo, name, None) for name in backends)
    return replace(model, model=Model(id=model.id, name=model.name, specs=specs))


def test_transcription_runs_where_the_catalog_has_a_recipe() -> None:
    found = plan(decide(_transcriber("vLLM"), machine(RTX_3060), Workload()))
    assert found.backend == "vllm"
    assert "max-model-len" not in found.settings  # the model's own, which is not of a chat


@pytest.mark.parametrize(
    ("backends", "classes", "verdict", "word"),
    [
        ((), [], Verdict.UNKNOWN, "not known"),
        (("VoxBox",), ["WhisperForConditionalGeneration"], Verdict.NOT_SUPPORTED, "VoxBox"),
    ],
)
def test_transcription_without_a_recipe_is_not_planned(
    backends: tuple[str, ...], classes: list[str], verdict: Verdict, word: str
) -> None:
    model = _transcriber(*backends, classes=classes)
    found = decide(model, machine(RTX_3060), Workload()).refusal
    assert found is not None
    assert found.verdict is verdict
    assert word in " ".join(found.reasons)


@pytest.mark.parametrize("task", ["image", "video", "text_to_speech"])
def test_other_tasks_are_not_supported_by_name(task: str) -> None:
    found = decide(subject(DENSE_8B, ["BF16"], task=task), machine(H100), Workload()).refusal
    assert found is not None
    assert found.verdict is Verdict.NOT_SUPPORTED
    assert "which no engine here serves" in found.reasons[0]
    assert found.needed_bytes is None


def _online(model: ResolvedModel) -> ResolvedModel:
    """The same model with its 16-bit weights quantized by the engine as well."""
    wide, fp8 = model.candidates
    variant = replace(fp8.variant, repo=wide.variant.repo)
    made = Candidate(variant, fp8.shape, fp8.quality, fp8.floor_bytes, online=True)
    return replace(model, candidates=(wide, made))


def test_weights_that_are_too_wide_are_quantized_while_loading() -> None:
    model = _online(subject(DENSE_32B, ["BF16", "FP8"]))
    found = plan(decide(model, machine(gpu("L40S", 48, "8.9", 864)), Workload()))
    assert (found.backend, found.quantization) == ("vllm", "FP8")
    assert found.settings["quantization"] == "fp8"
    assert found.repo == model.candidates[0].variant.repo
    assert any("while they are loaded" in reason for reason in found.reasons)
    assert not any("--quantization may change" in one for one in found.estimate.warnings)
    assert plan(decide(model, machine(H100), Workload())).quantization == "BF16"


def test_older_versions_do_not_quantize_while_loading() -> None:
    model = _online(subject(DENSE_32B, ["BF16", "FP8"]))
    wish = Workload(backend="vllm", backend_version="0.10.0")
    assert decide(model, machine(gpu("L40S", 48, "8.9", 864)), wish).plan is None


def test_full_cards_are_avoided_where_the_next_format_costs_less() -> None:
    """A file that leaves no room for context is not worth a tenth of a percent."""
    model = subject(DENSE_32B, ["Q6_K", "Q5_K_M"])
    tight = gpu("tight", 31, "12.0", 1792)
    wish = Workload(context_tokens=16_384)
    assert plan(decide(model, machine(tight), wish)).quantization == "Q5_K_M"


def test_the_engine_reads_a_length_that_nobody_states() -> None:
    unknown = {k: v for k, v in DENSE_8B.items() if k != "max_position_embeddings"}
    found = plan(decide(subject(unknown, ["BF16"]), machine(H100), Workload()))
    assert found.settings["max-model-len"] == "auto"
    wish = Workload(backend="sglang")
    assert (
        "context-length"
        not in plan(decide(subject(unknown, ["BF16"]), machine(H100), wish)).settings
    )


def test_a_reduced_context_does_not_hide_experts_on_the_host() -> None:
    """The whole context with a few experts in host memory, not 4k of it on the card alone."""
    card = gpu("card", 34, "8.6")
    found = plan(decide(subject(EXPERTS_30B, ["Q8_0"]), machine(card), Workload()))
    assert found.context_tokens >= 32_768


@pytest.mark.parametrize("task", ["text_to_speech", "image"])
def test_a_recipe_for_another_server_is_named(task: str) -> None:
    model = subject(DENSE_8B, ["BF16"], task=task)
    spec = Spec("huggingface", model.candidates[0].variant.repo, "VoxBox", None)
    known = replace(model, model=Model(id=model.id, name=model.name, specs=(spec,)))
    found = decide(known, machine(H100), Workload()).refusal
    assert found is not None
    assert "its recipe is for VoxBox, which runs on GPUStack: --target NAME" in found.reasons[0]


def test_a_format_without_a_kernel_is_the_last_resort() -> None:
    card = simulate("MI300X").gpus[0]
    both = subject(DENSE_32B, ["NVFP4", "Q4_K_M"])
    assert plan(decide(both, machine(card), Workload())).quantization == "Q4_K_M"
    alone = plan(decide(subject(DENSE_32B, ["NVFP4"]), machine(card), Workload()))
    assert alone.quantization == "NVFP4"
    assert any("is emulated on gfx942" in reason for reason in alone.reasons)
