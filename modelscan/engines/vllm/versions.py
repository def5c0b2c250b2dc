"""What changed in vLLM's memory between versions, with the source of each constant.

"Logs" are published start-up logs of the named version (H100 80 GB unless another GPU is named);
"code" is that version's source. Where a cause is known, the constant is that cause, not a fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelscan.core.units import GIB, MIB
from modelscan.engines.residuals import Residuals
from modelscan.engines.versions import Version, parse_version, row_for

OLDEST_VERSION, DEFAULT_VERSION = "0.6.0", "0.32.0"  # range of the known versions


@dataclass(frozen=True, slots=True)
class VllmVersion:
    """Facts valid from ``since`` on.

    ``sampler_bytes``: bytes per (sequence x vocabulary entry) that the profiled sampler holds
    with the logits in the model's own type (``v2_sampler_bytes`` in the second model runner: a
    float32 copy, later none). ``buffers_charged``: the profile compares the card's free memory, so
    that buffers made after the weights count too. ``hidden_copies``: activations of hidden size
    alive during the widest moment of a layer. ``moe_workspace_kept``: the experts' workspace
    outlives the layer, so it adds to the sampler's peak.
    """

    since: Version
    utilization: float
    sampler_bytes: float
    hidden_copies: int
    moe_workspace_kept: bool
    non_torch_bytes: int
    non_torch_tp_bytes: int
    non_torch_pp_bytes: int
    context_bytes: int
    context_tp_bytes: int
    context_charged: bool
    graphs_charged: bool
    graph_sizes_step: int  # between 256 and the largest captured batch
    two_graphs: bool  # a full and a piecewise graph of every size
    big_gpu_defaults: bool  # 1024 sequences and 8192 tokens on 70 GiB cards
    whole_prompt_profile: bool  # V0: the profile runs max_model_len tokens at once
    hybrid_groups: bool  # padded groups of equal size; before: every layer kept in full
    padding_ratio: float  # take the larger type as group size below this ratio
    tokens_by_concurrency: bool  # prints int(concurrency x max_model_len) for hybrids
    mamba_blocks: int  # state blocks a request holds with prefix caching
    caches_states: bool  # prefix caching is on by default for models with states
    v2_types: frozenset[str]  # model types that the second model runner runs by default
    v2_quantized: bool  # quantized ones too
    v2_dense: bool  # and every model without experts and without states
    v2_all: bool
    v2_graphs_charged: bool  # its profile includes CUDA graphs
    v2_sampler_bytes: int
    buffers_charged: bool
    rocm_graphs_charged: bool
    expert_loras: bool  # adapters have matrices for every expert
    huge_gpu_tokens: int | None  # default tokens per step on cards of 160 GiB
    driver_weights: bool  # ROCm: "weights" are what the driver counts, not torch
    source: str


def _gib(value: float) -> int:
    return round(value * GIB)


_V0 = VllmVersion(
    since=(0, 0, 0), utilization=0.9, sampler_bytes=36, hidden_copies=3,
    moe_workspace_kept=False,
    non_torch_bytes=_gib(0.35), non_torch_tp_bytes=_gib(1.0), non_torch_pp_bytes=_gib(0.35),
    context_bytes=0, context_tp_bytes=0, context_charged=True,
    graphs_charged=False, graph_sizes_step=8, two_graphs=False,
    big_gpu_defaults=False, whole_prompt_profile=True, hybrid_groups=False, padding_ratio=1.0,
    tokens_by_concurrency=False, mamba_blocks=1, caches_states=False, driver_weights=True,
    v2_types=frozenset(), v2_quantized=False, v2_dense=False, v2_all=False,
    v2_graphs_charged=False, v2_sampler_bytes=4, buffers_charged=False, rocm_graphs_charged=False,
    huge_gpu_tokens=None, expert_loras=False,
    source="0.6 logs, RTX 3090: non-torch 0.35 GiB with the context; 2.07 GiB at 20,000 and 2.99 "
    "at 29,000 tokens = tokens x (3 ffn + 3 hidden) x 2 B",
)  # fmt: skip
_INCREASE = VllmVersion(
    since=(0, 7, 0), utilization=0.9, sampler_bytes=36, hidden_copies=3,
    moe_workspace_kept=False,
    non_torch_bytes=_gib(0.1), non_torch_tp_bytes=_gib(0.5), non_torch_pp_bytes=_gib(0.07),
    context_bytes=_gib(0.51), context_tp_bytes=_gib(1.5), context_charged=False,
    graphs_charged=False, graph_sizes_step=8, two_graphs=False,
    big_gpu_defaults=False, whole_prompt_profile=True, hybrid_groups=False, padding_ratio=1.0,
    tokens_by_concurrency=False, mamba_blocks=1, caches_states=False, driver_weights=True,
    v2_types=frozenset(), v2_quantized=False, v2_dense=False, v2_all=False,
    v2_graphs_charged=False, v2_sampler_bytes=4, buffers_charged=False, rocm_graphs_charged=False,
    huge_gpu_tokens=None, expert_loras=False,
    source="0.7 log, 48 GB Ada card: non-torch 0.08 GiB, an increase over the start",
)  # fmt: skip
_V1_EARLY = VllmVersion(
    since=(0, 8, 0), utilization=0.9, sampler_bytes=36, hidden_copies=4,
    moe_workspace_kept=False,
    non_torch_bytes=_gib(0.13), non_torch_tp_bytes=_gib(0.55), non_torch_pp_bytes=_gib(0.07),
    context_bytes=_gib(0.51), context_tp_bytes=_gib(1.5), context_charged=False,
    graphs_charged=False, graph_sizes_step=8, two_graphs=False,
    big_gpu_defaults=True, whole_prompt_profile=False, hybrid_groups=False, padding_ratio=1.0,
    tokens_by_concurrency=False, mamba_blocks=1, caches_states=False, driver_weights=True,
    v2_types=frozenset(), v2_quantized=False, v2_dense=False, v2_all=False,
    v2_graphs_charged=False, v2_sampler_bytes=4, buffers_charged=False, rocm_graphs_charged=False,
    huge_gpu_tokens=None, expert_loras=False,
    source="0.8 to 0.16: peak = sequences x vocabulary x 38 B at two-byte logits; non-torch became "
    "an increase over the start, 0.13 GiB (0.55 with tensor parallel)",
)  # fmt: skip


def _after(base: VllmVersion, **changes: object) -> VllmVersion:
    return replace(base, **changes)  # type: ignore[arg-type]  # fields are checked by the tests


_HYBRID = _after(
    _V1_EARLY, since=(0, 9, 1), hybrid_groups=True, padding_ratio=1.25,
    source="code: hybrid KV cache manager on by default, groups of equal size with padding",
)  # fmt: skip
_BOTH = _after(
    _HYBRID, since=(0, 11, 0), two_graphs=True,
    source="code: cudagraph_mode FULL_AND_PIECEWISE by default",
)  # fmt: skip
_EXPERT_LORAS = _after(
    _BOTH, since=(0, 11, 1), expert_loras=True, source="code: lora/layers/fused_moe.py",
)  # fmt: skip
_WORKSPACE = _after(
    _EXPERT_LORAS, since=(0, 13, 0), moe_workspace_kept=True, graph_sizes_step=16,
    source="code: WorkspaceManager keeps the largest workspace; captures every 16 above 256",
)  # fmt: skip
_SAMPLER = _after(
    _WORKSPACE, since=(0, 17, 0), sampler_bytes=12.5, mamba_blocks=2,
    source="0.17 logs: Qwen3-14B 2.23 GiB where 0.16 took 5.64, i.e. 14.5 B at two-byte logits; "
    "fp32 model 16.7 B; prefix caching of states in 'align' mode holds 2 blocks",
)  # fmt: skip
_NON_TORCH = _after(
    _SAMPLER, since=(0, 18, 0), non_torch_bytes=_gib(0.25), non_torch_tp_bytes=_gib(2.07),
    padding_ratio=1.5,
    source="0.18 and 0.19 logs: 0.24 to 0.25 GiB on one GPU, 2.06 to 2.13 with tensor parallel, "
    "0.07 with pipeline parallel",
)  # fmt: skip
_CHARGED = _after(
    _NON_TORCH, since=(0, 20, 0), tokens_by_concurrency=True, graphs_charged=True,
    utilization=0.92,
    source="code 0.20.0: VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS is 1 and the default utilisation "
    "0.92 (0.19.1: 0 and 0.9); logs of 2026-05 print token counts that are no multiple of the "
    "block; 0.19.0 still prints blocks / groups x block",
)  # fmt: skip
_TORCH_WEIGHTS = _after(
    _CHARGED, since=(0, 21, 0), driver_weights=False,
    source="code: rocm.py, get_current_memory_usage asks torch (0.20.0: mem_get_info)",
)  # fmt: skip
_V2_FIRST = _after(
    _TORCH_WEIGHTS, since=(0, 22, 0), v2_types=frozenset({"qwen3"}),
    source="code: config/vllm.py, DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES; its "
    "profile_cudagraph_memory returns 0",
)  # fmt: skip
_V2_LLAMA = _after(
    _V2_FIRST, since=(0, 23, 0), v2_types=frozenset({"qwen3", "llama", "mistral"}),
    source="code as before; 0.23.0 log of a 1B Llama: 0.24 GiB of activation where the first "
    "runner takes 0.50, no graphs charged",
)  # fmt: skip
_V2_QUANTIZED = _after(
    _V2_LLAMA, since=(0, 24, 0), v2_quantized=True,
    v2_types=frozenset({"qwen3", "llama", "mistral", "deepseek_v2", "qwen2_moe", "granitemoe"}),
    source="code: six architectures, quantized ones too",
)  # fmt: skip
_V2_DENSE = _after(
    _V2_QUANTIZED, since=(0, 25, 0), v2_dense=True,
    source="code: _is_default_v2_model_runner_model is true without experts and states",
)  # fmt: skip
_CACHED_STATES = _after(
    _V2_DENSE, since=(0, 26, 0), caches_states=True,
    source="code: is_prefix_caching_supported is true of hybrid models (0.25.0: false)",
)  # fmt: skip
_CONSUMED = _after(
    _CACHED_STATES, since=(0, 27, 0), buffers_charged=True, rocm_graphs_charged=True,
    source="code: memory_profiling takes total_consumed from the card's free memory (0.26.0: "
    "weights, peak and non-torch); profile_cudagraph_memory where is_cuda_alike (before: is_cuda)",
)  # fmt: skip
_HUGE = _after(
    _CONSUMED, since=(0, 28, 0), huge_gpu_tokens=16384, v2_sampler_bytes=0,
    source="code: get_batch_defaults, 16384 tokens from 160 GiB on; sampler.py copies the logits "
    "to float32 only for requests that change them",
)  # fmt: skip
_V2_GRAPHS = _after(
    _HUGE, since=(0, 29, 0), v2_graphs_charged=True,
    source="code: profile_cudagraph_memory of the second model runner measures",
)  # fmt: skip
_V2_ALL = _after(
    _V2_GRAPHS, since=(0, 31, 0), v2_all=True,
    source="code: use_v2_model_runner has no list of models any more",
)  # fmt: skip

VERSIONS = (
    _V0, _INCREASE, _V1_EARLY, _HYBRID, _BOTH, _EXPERT_LORAS, _WORKSPACE, _SAMPLER, _NON_TORCH,
    _CHARGED, _TORCH_WEIGHTS, _V2_FIRST, _V2_LLAMA, _V2_QUANTIZED, _V2_DENSE, _CACHED_STATES,
    _CONSUMED, _HUGE, _V2_GRAPHS, _V2_ALL,
)  # fmt: skip


def facts_for(version: str | None) -> VllmVersion:
    """The facts of a version; None is ``DEFAULT_VERSION``."""
    return row_for(VERSIONS, parse_version(version or DEFAULT_VERSION))


# benchmarks/bench_memory_gpu.py: the least that contains 95 % of the parts and pools of 105
# measured starts. vLLM on unified memory budgets what the whole machine uses (DGX Spark: 8 GiB).
RESIDUALS = Residuals(
    compute=0.05, weights=0.012, kv=0.001, floor_bytes=300 * MIB, graphs=0.3, unified=0.065
)
