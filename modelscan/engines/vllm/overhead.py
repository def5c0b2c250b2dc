"""vLLM's other memory: non-torch, CUDA graphs, context, LoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.units import GIB

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, Layer
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
# sparse attention, 19 sizes) 1.2 GiB in all, 2.2 to 2.4 with its drafter.
_GRAPH_EXPERTS_BYTES = 0.016 * GIB
_GRAPH_SPARSE_BYTES = 0.016 * GIB
_GRAPH_DRAFTER = 1.9
# Cards without NVLink: 1.64 GiB on two L40S where two H100 take 2.07; 0.34 to 0.43 on four A100
# of 40 GB (0.8.3) where H100 took 0.55.
_NON_TORCH_SMALL = 0.79
_NON_TORCH_DOUBLING_BYTES = 0.06 * GIB  # 2.07 -> 2.13 GiB from two to four GPUs


def non_torch_bytes(settings: VllmSettings, facts: VllmVersion) -> int:
    """Increase that is not torch's: communication buffers and workspaces of libraries."""
    tensor = settings.tensor_parallel
    if facts.context_charged and settings.big_gpu:
        return (1 + (tensor > 1)) * _ABSOLUTE_BIG_BYTES
    if tensor > 1:
        doublings = max(0, tensor.bit_length() - 2)
        total = facts.non_torch_tp_bytes + doublings * _NON_TORCH_DOUBLING_BYTES
        small = bool(settings.gpus) and not settings.big_gpu
        return round(total * (_NON_TORCH_SMALL if small else 1))
    return facts.non_torch_pp_bytes if settings.pipeline_parallel > 1 else facts.non_torch_bytes


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
    """CUDA graphs: per captured size and layer, wider layers more; none when eager."""
    if settings.eager or not settings.capture_sizes:
        return 0
    sizes = settings.capture_sizes / _GRAPH_REFERENCE_SIZES
    if not facts.two_graphs:
        sizes /= 2  # one graph per size instead of two
    width = architecture.hidden / (4096 * settings.tensor_parallel)
    layers = sum(n for _, n in counts)
    total = _GRAPH_BASE_BYTES + layers * (_GRAPH_LAYER_BYTES + _GRAPH_WIDTH_BYTES * width)
    total += sum(n for layer, n in counts if layer.moe) * _GRAPH_EXPERTS_BYTES
    if architecture.extra.get("indexer_key_length"):
        total += layers * _GRAPH_SPARSE_BYTES
    if settings.speculative_tokens:
        total *= _GRAPH_DRAFTER
    return round(total * min(sizes, 2.0))


def lora_bytes(architecture: Architecture, counts: LayerCounts, settings: VllmSettings) -> int:
    """Preallocated adapters: rank x (inputs + outputs) of every projection, per adapter."""
    if not settings.loras:
        return 0
    width = sum(n * _lora_width(architecture, layer, settings) for layer, n in counts)
    return settings.loras * settings.lora_rank * width * settings.dtype_bytes


def _lora_width(architecture: Architecture, layer: Layer, settings: VllmSettings) -> int:
    """Inputs are held in full, outputs are divided by tensor parallelism."""
    hidden, tensor = architecture.hidden, settings.tensor_parallel
    query = layer.heads * layer.key_length
    keys = layer.kv_heads * (layer.key_length + layer.value_length)
    attention = 3 * hidden + (query + keys) // tensor + query // tensor + hidden
    gates = 2 if architecture.gated_feed_forward else 1
    dense = gates * (hidden + layer.feed_forward // tensor)
    dense += layer.feed_forward // tensor + hidden
    return attention + (dense if layer.feed_forward else 0)
