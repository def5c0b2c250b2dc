"""vLLM's effective settings: the requested options, and its defaults by version and card."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.architecture import Architecture, Attention
from modelscan.core.gpu import Gpu, Inventory
from modelscan.core.units import GIB, parse_bytes
from modelscan.engines.option_values import decimal, flag, share, whole
from modelscan.engines.pool_settings import degrees, kv_dtype, selected_gpus
from modelscan.engines.vllm.capture import capture_sizes
from modelscan.engines.vllm.flags import NAMES
from modelscan.engines.vllm.multimodal_options import profiled
from modelscan.memory import defaults
from modelscan.memory.stated_cache import COMPRESSED, MODELOPT, cache_type

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.engines.vllm.versions import VllmVersion

_BIG_GPU_BYTES = 70 * GIB  # code: get_batch_defaults, "a100" excluded by name
_HUGE_GPU_BYTES = 160 * GIB
PER_HEAD = ("int8_per_token_head", "fp8_per_token_head")  # with a scale of each token and head
_FP8_KV = ("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "fp8_ds_mla", "int8", *PER_HEAD)
KV_TYPES = frozenset({"auto", "float16", "bfloat16", *_FP8_KV, "nvfp4", "nvfp4_4over6"})  # sized
_DTYPE_BYTES = {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "half": 2}


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """Resolved settings. CUDA graphs: ``capture_sizes`` batch sizes have a piecewise graph,
    ``full_sizes`` of them a full one as well.
    """

    max_model_len: int
    parallel: int
    max_num_seqs: int
    max_num_batched_tokens: int
    block_size: int
    kv_dtype: str  # auto or the value of --kv-cache-dtype
    dtype_bytes: int
    dtype_requested: str | None
    utilization: float
    eager: bool
    tensor_parallel: int
    pipeline_parallel: int
    context_parallel: int
    capture_sizes: int
    full_sizes: int
    speculative_tokens: int
    speculative_mtp: bool
    kv_pool_bytes: int | None
    blocks_override: int | None
    cpu_offload_bytes: int
    swap_bytes: int
    loras: int
    lora_rank: int
    prefix_caching: bool
    hybrid_groups: bool
    state_dtype: str | None
    v2_runner: bool
    charges_graphs: bool
    profiled_images: bool
    profiled_videos: bool
    pooling: bool  # embeddings and scores: nothing is sampled
    gpus: tuple[Gpu, ...]

    @property
    def big_gpu(self) -> bool:
        """The 80 GB class."""
        return bool(self.gpus) and (self.gpus[0].memory_bytes or 0) >= _BIG_GPU_BYTES

    @property
    def rocm(self) -> bool:
        """AMD cards: HIP's own memory, and no estimate of graphs."""
        return bool(self.gpus) and self.gpus[0].vendor == "amd"

    @property
    def packed_sparse_cache(self) -> bool:
        """Whether an 8-bit cache of sparse attention has FlashMLA's layout: everywhere but on
        compute capability 10, where FlashInfer's kernels come first (code: platforms/cuda.py).
        """
        capability = (self.gpus[0].compute_capability if self.gpus else None) or ""
        plain = capability.startswith("10.") and self.kv_dtype != "fp8_ds_mla"
        return self.kv_element_bytes < 2 and not plain

    @property
    def kv_element_bytes(self) -> float:
        """Bytes per cached value; scales of the 8-bit kinds are in ``kv_pool``."""
        if self.kv_dtype.startswith("nvfp4"):
            return 0.5625  # 4 bits and one 8-bit scale for 16 values
        return 1.0 if self.kv_dtype in _FP8_KV else float(min(self.dtype_bytes, 4))


def resolve(
    architecture: Architecture, workload: Workload, inventory: Inventory | None, facts: VllmVersion
) -> VllmSettings:
    """Settings of one deployment; options that are not set get the version's default."""
    tensor, pipeline = degrees(workload, NAMES)
    gpus = selected_gpus(workload, inventory, tensor * pipeline)
    max_len = _context(architecture, workload)
    seqs, tokens = _batch(workload, gpus, facts, max_len)
    eager = flag(workload, "enforce-eager")
    speculative = workload.parameter("speculative-config") or ""
    images, videos = profiled(workload)
    pooling = _pooling(architecture, workload)
    v2 = facts.v2_all or (_second_runner(architecture, facts) and not pooling)
    drafted = 1 + _speculative_tokens(speculative)
    piecewise, full = (
        (0, 0) if eager else capture_sizes(architecture, seqs, drafted, workload, facts)
    )
    dtype = workload.parameter("dtype")
    return VllmSettings(
        max_model_len=max_len,
        parallel=workload.parallel or 1,
        max_num_seqs=min(seqs, tokens),
        max_num_batched_tokens=tokens,
        block_size=whole(workload, "block-size") or _default_block(architecture),
        kv_dtype=cache_type(kv_dtype(workload, "vLLM", NAMES), architecture, _followed(facts)),
        dtype_bytes=_dtype_bytes(dtype),
        dtype_requested=dtype,
        utilization=share(workload, *NAMES.memory_share) or facts.utilization,
        eager=eager,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        context_parallel=whole(workload, "decode-context-parallel-size") or 1,
        capture_sizes=piecewise,
        full_sizes=full,
        speculative_tokens=_speculative_tokens(speculative),
        speculative_mtp="mtp" in speculative,
        kv_pool_bytes=_size(workload, "kv-cache-memory-bytes", "kv-cache-memory"),
        blocks_override=whole(workload, "num-gpu-blocks-override"),
        cpu_offload_bytes=round((decimal(workload, "cpu-offload-gb") or 0) * GIB),
        swap_bytes=_swap_bytes(workload, facts),
        loras=_loras(workload),
        lora_rank=whole(workload, "max-lora-rank") or 16,
        prefix_caching=_prefix_caching(architecture, workload, facts),
        hybrid_groups=facts.hybrid_groups and not flag(workload, "disable-hybrid-kv-cache-manager"),
        state_dtype=workload.parameter("mamba-ssm-cache-dtype"),
        v2_runner=v2,
        charges_graphs=_charges_graphs(v2, gpus, facts),
        profiled_images=images,
        profiled_videos=videos,
        pooling=pooling,
        gpus=gpus,
    )


def _followed(facts: VllmVersion) -> tuple[str, ...]:
    """Checkpoints whose own cache type "auto" selects, since December 2025 (PR 29980)."""
    return (COMPRESSED, MODELOPT) if facts.since >= (0, 13, 0) else ()


def _batch(
    workload: Workload, gpus: tuple[Gpu, ...], facts: VllmVersion, max_len: int
) -> tuple[int, int]:
    """(sequences, tokens) of one step, as given or by version and card."""
    seqs = whole(workload, *NAMES.max_requests) or _default_seqs(gpus, facts)
    tokens = whole(workload, "max-num-batched-tokens") or _default_tokens(gpus, facts, max_len)
    return seqs, tokens


def _context(architecture: Architecture, workload: Workload) -> int:
    context = whole(workload, *NAMES.context)
    return context or defaults.context_tokens(workload, architecture)


def _is_big(gpus: tuple[Gpu, ...], facts: VllmVersion) -> bool:
    if not gpus or not facts.big_gpu_defaults:
        return False
    gpu = gpus[0]  # unified memory: NVML has no total, which counts as a small card
    large = (gpu.memory_bytes or 0) >= _BIG_GPU_BYTES and not gpu.unified_memory
    return large and "a100" not in gpu.name.lower()


def _default_seqs(gpus: tuple[Gpu, ...], facts: VllmVersion) -> int:
    return 1024 if _is_big(gpus, facts) else 256


def _default_tokens(gpus: tuple[Gpu, ...], facts: VllmVersion, max_len: int) -> int:
    if facts.whole_prompt_profile:  # V0 profiled the longest prompt; chunked above 32k
        return max(max_len, 2048) if max_len <= 32768 else 2048
    if gpus and facts.huge_gpu_tokens and (gpus[0].memory_bytes or 0) >= _HUGE_GPU_BYTES:
        return facts.huge_gpu_tokens
    return 8192 if _is_big(gpus, facts) else 2048


def _default_block(architecture: Architecture) -> int:
    """16, and 64 for MLA (FlashMLA, code: platforms/cuda.py)."""
    mla = any(layer.attention is Attention.MLA for layer in architecture.layers)
    return 64 if mla else 16


def _dtype_bytes(name: str | None) -> int:
    if name and name != "auto":
        return _DTYPE_BYTES.get(name, 2)
    return 2  # "auto" runs float32 checkpoints in half precision as well


def _second_runner(architecture: Architecture, facts: VllmVersion) -> bool:
    """Whether the second model runner runs the model by default."""
    layers = architecture.layer_counts
    if facts.v2_dense and not any(layer.moe or layer.state is not None for layer, _ in layers):
        return True
    quantized = architecture.quantization is not None and not facts.v2_quantized
    return architecture.name in facts.v2_types and not quantized


def _charges_graphs(v2: bool, gpus: tuple[Gpu, ...], facts: VllmVersion) -> bool:
    """Whether the pool is less the estimate of CUDA graphs."""
    if gpus and gpus[0].vendor == "amd" and not facts.rocm_graphs_charged:
        return False
    return facts.graphs_charged and (facts.v2_graphs_charged or not v2)


def _prefix_caching(architecture: Architecture, workload: Workload, facts: VllmVersion) -> bool:
    """As requested; by default on, for models with states only in newer versions (code:
    ModelConfig.is_prefix_caching_supported).
    """
    if flag(workload, "no-enable-prefix-caching"):
        return False
    layers = architecture.layer_counts
    if flag(workload, "enable-prefix-caching") or all(layer.state is None for layer, _ in layers):
        return True
    return facts.caches_states and any(layer.kv_heads for layer, _ in layers)


def _speculative_tokens(config: str) -> int:
    match = re.search(r"num_speculative_tokens\W+(\d+)", config)
    return int(match.group(1)) if match else 0


def _pooling(architecture: Architecture, workload: Workload) -> bool:
    if workload.embedding is not None:
        return workload.embedding
    runner = workload.parameter("runner") or workload.parameter("task")
    return architecture.embedding_model or runner in ("pooling", "embed", "score", "classify")


def _loras(workload: Workload) -> int:
    if not workload.adapters and not flag(workload, "enable-lora"):
        return 0
    return whole(workload, "max-loras") or 1


def _swap_bytes(workload: Workload, facts: VllmVersion) -> int:
    """Host memory per GPU for preempted requests: V0 pins it; V1 accepts the option and does
    nothing.
    """
    gib = decimal(workload, "swap-space") if facts.whole_prompt_profile else None
    return round((gib or 0) * GIB)


def _size(workload: Workload, *names: str) -> int | None:
    for name in names:
        text = workload.parameter(name)
        if text:
            return parse_bytes(text)
    return None
