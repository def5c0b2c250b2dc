"""What SGLang's pools hold: bytes per token and per state slot, and how a GPU is divided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.architecture import Architecture, Attention, Layer
from modelscan.core.units import GIB

if TYPE_CHECKING:
    from modelscan.engines.sglang.settings import SglangSettings
    from modelscan.memory.rank_weights import LayerCounts

# Free before loading against the card's memory, published logs: 0.6 GiB on one 24 GiB card,
# 1.3 (H100, four GPUs) to 2.5 (H200, eight GPUs).
_CONTEXT_BYTES = round(0.6 * GIB)
_CONTEXT_PARALLEL_BYTES = round(1.6 * GIB)
_INDEXER_SCALE_BYTES = 4
_SPARSE_FP8_BYTES = 656  # 512 fp8 + scales + bf16 rope


@dataclass(frozen=True, slots=True)
class Pools:
    """One GPU's pools. ``token_bytes`` is what a token of the full pool brings along."""

    tokens: int
    kv_bytes: int
    token_bytes: float
    state_slots: int
    state_bytes: int
    rest_bytes: int  # before it was divided; negative: nothing is left after the weights

    def requests(self, context_tokens: int) -> float:
        """The number of requests of full length that fit: by tokens, and by state slots if
        there are any.
        """
        by_tokens = self.tokens / context_tokens if self.token_bytes else float(self.state_slots)
        return min(by_tokens, self.state_slots) if self.state_bytes else by_tokens


def sized(
    settings: SglangSettings, per_token: float, state: int, free_bytes: int | None, weights: int
) -> Pools | None:
    """The pools of one GPU with ``free_bytes`` before the start; None if that is unknown.

    ``per_token`` and ``state`` are the bytes of a token and of a slot on this GPU.
    """
    if free_bytes is None:
        return None
    before = free_bytes - context_bytes(settings)
    pool = round(before * settings.fraction) - weights
    pool -= state * (settings.running or 0) * settings.drafted
    slots = _state_slots(settings, pool, state) if state else 0
    token_pool = pool - slots * state
    tokens = max(0, int(token_pool / per_token)) if per_token else 0
    tokens = min(tokens, settings.pool_tokens or tokens) // settings.page * settings.page
    return Pools(tokens, round(tokens * per_token), per_token, slots, slots * state, pool)


def _state_slots(settings: SglangSettings, pool: int, state: int) -> int:
    """As requested; one per running request without the radix cache, which keeps states to
    restart from; else a share of the pool (code: handle_max_mamba_cache).
    """
    if settings.state_slots:
        return settings.state_slots
    if settings.running and not settings.radix_cache:
        return settings.running
    share = settings.state_ratio / (1 + settings.state_ratio)
    return max(0, int(pool * share // state))


def context_bytes(settings: SglangSettings) -> int:
    """Bytes used before the weights: CUDA context and communicators."""
    several = settings.tensor_parallel * settings.pipeline_parallel > 1
    return _CONTEXT_PARALLEL_BYTES if several else _CONTEXT_BYTES


def token_bytes(architecture: Architecture, counts: LayerCounts, settings: SglangSettings) -> float:
    """Bytes per token of capacity; a sliding layer counts for its shorter pool.

    Layers that read another one's cache have one all the same: gemma-4-E4B's logs have 28,672
    bytes in 7 full and 71,680 in 35 sliding layers, 18 of the 42 shared.
    """
    kinds = {layer.attention for layer, _ in counts}
    shorter = settings.sliding_pool and Attention.FULL in kinds
    total = 0.0
    for layer, n in counts:
        sliding = layer.attention in (Attention.SLIDING, Attention.CHUNKED)
        share = settings.sliding_ratio if sliding and shorter else 1.0
        total += n * _layer_token_bytes(architecture, layer, settings) * share
    return total


def _layer_token_bytes(architecture: Architecture, layer: Layer, settings: SglangSettings) -> float:
    stateful = (Attention.LINEAR, Attention.SSM, Attention.NONE)
    if layer.attention in stateful:
        return 0.0
    if layer.attention is Attention.MLA and architecture.latent:
        return _latent_bytes(architecture, layer, settings)
    heads = max(1, layer.kv_heads // settings.tensor_parallel)
    return heads * (layer.key_length + layer.value_length) * settings.kv_element_bytes


def _latent_bytes(architecture: Architecture, layer: Layer, settings: SglangSettings) -> float:
    """The latent, and for sparse attention the indexer's key (fp8 and a scale).

    GLM-5 in BF16: 78 x (576 x 2 + 132) = 100,152 bytes, as in its log.
    """
    latent = architecture.latent
    assert latent is not None
    indexer = int(architecture.extra.get("indexer_key_length", 0) or 0)
    extra = indexer + _INDEXER_SCALE_BYTES if indexer and not layer.borrows_index else 0
    if indexer and settings.kv_element_bytes == 1.0:
        return _SPARSE_FP8_BYTES + extra
    return (latent.kv_lora_rank + latent.rope_length) * settings.kv_element_bytes + extra


def state_bytes(counts: LayerCounts, settings: SglangSettings) -> int:
    """A slot of all layers: convolution in 16 bits, recurrent part in float32 (the default).

    granite-4.0-h-micro: 36 layers x (4096 x 128 x 4 B + conv) = 72 MiB, 39 slots = 2.74 GiB.
    """
    total = 0
    for layer, n in counts:
        state = layer.state
        if state is None:
            continue
        convolution = (state.conv_kernel - 1) * (state.inner + 2 * state.groups * state.state)
        total += n * ((convolution * 2 + state.inner * state.state * 4) // settings.tensor_parallel)
    return total
