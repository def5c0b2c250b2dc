"""Bytes that one token reads: of the weights those in use, and of the cache what it attends to."""

from __future__ import annotations

from modelscan.core.architecture import Architecture, Attention, Layer, ModelShape, Weights
from modelscan.core.workload import Workload

_SPARSE_SHARE = 0.7  # a smaller active share means experts, even if their number is unknown
_CACHE_BYTES = {"f32": 4.0, "q8_0": 1.0625, "q5_1": 0.75, "q5_0": 0.6875, "q4_1": 0.625,
                "q4_0": 0.5625, "iq4_nl": 0.5625}  # fmt: skip


def active_bytes(shape: ModelShape) -> float:
    """Weight bytes read per token: without the embedding table and the inactive experts."""
    architecture, weights = shape.architecture, shape.weights
    total = float(weights.total_bytes - weights.vision_bytes)
    if not architecture.tied_embeddings:
        total -= weights.embedding_bytes or 0
    experts = architecture.experts
    if experts is None:
        return total * _stated_share(weights)
    if weights.expert_bytes is not None:
        return total - weights.expert_bytes * (1 - experts.active / experts.total)
    if weights.parameters and weights.active_parameters:
        return total * weights.active_parameters / weights.parameters
    return total


def _stated_share(weights: Weights) -> float:
    """The active share if only parameter counts are known; 1.0 for dense models."""
    if not weights.parameters or not weights.active_parameters:
        return 1.0
    share = weights.active_parameters / weights.parameters
    return share if share < _SPARSE_SHARE else 1.0


def cache_read_bytes(architecture: Architecture, tokens: int, element_bytes: float) -> float:
    """Bytes of cache and recurrent states that one token reads after ``tokens`` of context."""
    return sum(
        count * _layer_cache(architecture, layer, tokens, element_bytes)
        for layer, count in architecture.layer_counts
    )


def _layer_cache(
    architecture: Architecture, layer: Layer, tokens: int, element_bytes: float
) -> float:
    state = layer.state
    state_bytes = 0.0 if state is None else 4.0 * state.inner * state.state
    if layer.attention in (Attention.LINEAR, Attention.SSM, Attention.NONE):
        return state_bytes
    attended = min(tokens, layer.window_tokens or tokens)
    if layer.attention is Attention.MLA and architecture.latent:
        latent = architecture.latent
        return state_bytes + attended * (latent.kv_lora_rank + latent.rope_length) * element_bytes
    values = attended * layer.kv_heads * (layer.key_length + layer.value_length)
    return state_bytes + values * element_bytes


def cache_element_bytes(workload: Workload) -> float:
    """Bytes of one cached value of the workload's cache type."""
    cache_type = (workload.parameter("kv-cache-dtype") or workload.kv_cache_k or "f16").lower()
    if "fp8" in cache_type or cache_type == "int8":
        return 1.0
    return _CACHE_BYTES.get(cache_type, 2.0)
