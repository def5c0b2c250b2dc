"""vLLM's other memory: non-torch, CUDA graphs, context, LoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.units import GIB
from modelscan.memory.lora import slots_bytes

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.engines.vllm.settings import VllmSettings
    from modelscan.engines.vllm.versions import VllmVersion
    from modelscan.memory.rank_weights import LayerCounts

# Fit over the 20 dense rows of 0.19 on H100 (median error 0.02 GiB, worst 0.16):
# 0.506 + layers x (0.00312 + 0.00884 x hidden / (4096 x tensor parallel)) for 2 x 51 captures.
_GRAPH_BASE_BYTES = 0.506 * GIB
_GRAPH_LAYER_BYTES = 0.00312 * GIB
_GRAPH_WIDTH_BYTES = 0.00884 * GIB
_ABSOLUTE_BIG_BYTES = round(1.79 * GIB)  # 0.6.5 logs, 80 GB cards: 1.79 with context, TP 2 3.58
_GRAPH_REFERENCE_SIZES = 51
# What the dense fit leaves, per layer: Qwen1.5-MoE 0.0175, gpt-oss 0.0125 GiB; GLM-5.1 (experts and
# sparse attention, 35 piecewise and 11 full graphs) 1.2 GiB in all, 2.2 to 2.4 with its drafter
# (35 and 35). A full graph takes three times a piecewise one (gpt-oss-20b: 83 and 7 graphs 0.63 to
# 0.71 GiB, 83 and 83 of two GPUs 1.55).
_GRAPH_EXPERTS_BYTES = 0.016 * GIB
_GRAPH_SPARSE_BYTES = 0.018 * GIB
_PIECEWISE, _FULL = 0.5, 1.5
# HIP's graphs, two R9700 at 0.11 to 0.13 with 18 to 30 graphs: 0.77 to 1.41 GiB of 24 layers, 0.76
# to 1.24 of 48, 1.6 of 62.
_HIP_GRAPH_BASE_BYTES = 0.65 * GIB
_HIP_GRAPH_LAYER_BYTES = 0.0125 * GIB
# ROCm, the same cards: 0.59 and 0.62 GiB more than CUDA's "weights" of gpt-oss-20b and of a 4-bit
# Qwen3-30B on one card, 0.35 to 0.4 on two, 0.3 for a dense model.
_HIP_LOADED_BYTES = round(0.26 * GIB)
_HIP_EXPERTS = 0.022  # repacking leaves fragments in the allocator
_HIP_NON_TORCH_BYTES = round(0.45 * GIB)
_COUNT_BITS = 33
M_ROPE_LENGTHS = 4  # code: mrope.py, cache_max_position_num
# Cards without NVLink: 1.64 GiB on two L40S where two H100 take 2.07; 0.34 to 0.43 on four A100
# of 40 GB (0.8.3) where H100 took 0.55.
_NON_TORCH_SMALL = 0.79
_NON_TORCH_DOUBLING_BYTES = 0.06 * GIB  # 2.07 -> 2.13 GiB from two to four GPUs


def non_torch_bytes(settings: VllmSettings, facts: VllmVersion) -> int:
    """Increase that is not torch's: communication buffers and workspaces of libraries."""
    tensor = settings.tensor_parallel
    if settings.rocm:
        return _HIP_NON_TORCH_BYTES
    if facts.context_charged and settings.big_gpu:
        return (1 + (tensor > 1)) * _ABSOLUTE_BIG_BYTES
    if tensor > 1:
        doublings = max(0, tensor.bit_length() - 2)
        total = facts.non_torch_tp_bytes + doublings * _NON_TORCH_DOUBLING_BYTES
        small = bool(settings.gpus) and not settings.big_gpu
        return round(total * (_NON_TORCH_SMALL if small else 1))
    return facts.non_torch_pp_bytes if settings.pipeline_parallel > 1 else facts.non_torch_bytes


def buffer_bytes(
    architecture: Architecture, settings: VllmSettings, facts: VllmVersion, *, stage: int
) -> int:
    """What the runner keeps on one GPU from before the profile on, without the weights.

    Code: PenaltiesState of the second runner (v1/worker/gpu/sample/penalties.py) counts tokens in
    32 bits for every request and vocabulary entry, and marks the prompt's in one bit; grammars
    (structured_outputs.py) have a bit for every token that a step may sample. GPUModelRunner, and
    EncoderRunner of multimodal models, hold a step's embeddings.
    """
    embeddings = settings.max_num_batched_tokens * architecture.hidden * settings.dtype_bytes
    if not settings.v2_runner:
        return embeddings if facts.buffers_charged else 0
    multimodal = architecture.vision or architecture.extra.get("audio")
    bits = _COUNT_BITS + 1 + settings.speculative_tokens
    counts = settings.max_num_seqs * (architecture.vocabulary * bits // 8)
    samples = stage == settings.pipeline_parallel - 1 and not settings.pooling
    return (embeddings if multimodal else 0) + (counts if samples else 0)


def per_layer_bytes(architecture: Architecture, settings: VllmSettings) -> int:
    """A step's embeddings per layer, which Gemma 4's multimodal model allocates with its weights.

    Code: gemma4_mm.py, per_layer_embeddings (tokens x layers x width).
    """
    width = int(architecture.extra.get("per_layer_embedding", 0))
    if not width or not architecture.vision or not architecture.name.startswith("gemma4"):
        return 0
    values = settings.max_num_batched_tokens * len(architecture.layers) * width
    return values * settings.dtype_bytes


def context_bytes(settings: VllmSettings, facts: VllmVersion) -> int:
    """CUDA context and communicators made before the profile; not charged to the budget."""
    several = settings.tensor_parallel * settings.pipeline_parallel > 1
    return facts.context_tp_bytes if several else facts.context_bytes


def graph_bytes(
    architecture: Architecture,
    counts: LayerCounts,
    settings: VllmSettings,
    facts: VllmVersion,
) -> int:
    """CUDA graphs: per graph and layer, wider layers more; none when eager.

    A piecewise graph of every captured size; newer versions make a full one of the sizes that
    ``max_num_seqs`` requests can reach as well.
    """
    if settings.eager or not settings.capture_sizes:
        return 0
    if settings.rocm:
        layers = sum(n for _, n in counts)
        return round(_HIP_GRAPH_BASE_BYTES + layers * _HIP_GRAPH_LAYER_BYTES)
    graphs = float(settings.capture_sizes)  # one of every size
    if facts.two_graphs:
        graphs = _PIECEWISE * settings.capture_sizes + _FULL * settings.full_sizes
    sizes = graphs / (2 * _GRAPH_REFERENCE_SIZES)
    width = architecture.hidden / (4096 * settings.tensor_parallel)
    layers = sum(n for _, n in counts)
    total = _GRAPH_BASE_BYTES + layers * (_GRAPH_LAYER_BYTES + _GRAPH_WIDTH_BYTES * width)
    total += sum(n for layer, n in counts if layer.moe) * _GRAPH_EXPERTS_BYTES
    if architecture.extra.get("indexer_key_length"):
        total += layers * _GRAPH_SPARSE_BYTES
    return round(total * min(sizes, 2.0))


def driver_bytes(shape: ModelShape, settings: VllmSettings, facts: VllmVersion) -> int:
    """What ROCm's log line of the weights counts on top of them: all that the driver gave out."""
    if not settings.rocm or not facts.driver_weights:
        return 0
    experts = (shape.weights.expert_bytes or 0) / settings.tensor_parallel
    return _HIP_LOADED_BYTES + round(_HIP_EXPERTS * experts / settings.pipeline_parallel)


def lora_bytes(
    architecture: Architecture, counts: LayerCounts, settings: VllmSettings, facts: VllmVersion
) -> int:
    """Preallocated adapters of the largest rank; none without ``enable-lora``."""
    values = settings.loras * settings.lora_rank
    return slots_bytes(
        architecture, counts, values, settings.tensor_parallel, experts=facts.expert_loras
    )
