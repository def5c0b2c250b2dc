"""vLLM's KV pool: page sizes, groups of equal size with padding, tokens and concurrency.

Follows vllm/v1/core/kv_cache_utils.py: layers of one kind form a type; types are cut into groups
of the same number of layers (the last one padded), every group has its own block table, and a
block is ``page x group size`` bytes. States of Mamba and linear attention take whole pages, so the
attention block grows until its page is as large as a state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelscan.core.architecture import Architecture, Attention, Layer, RecurrentState
from modelscan.engines.vllm.settings import PER_HEAD

if TYPE_CHECKING:
    from modelscan.engines.vllm.settings import VllmSettings
    from modelscan.engines.vllm.versions import VllmVersion
    from modelscan.memory.rank_weights import LayerCounts

_STATEFUL = (Attention.LINEAR, Attention.SSM)
_FP8_DS_MLA_BYTES = 656  # 512 fp8 + 4 fp32 scales + 64 bf16 rope (code: fp8_ds_mla)
_INDEXER_SCALE_BYTES = 4  # sparse attention's indexer: head_dim fp8 + one fp32 scale


@dataclass(frozen=True, slots=True)
class LayerKind:
    """What one layer stores on one GPU. ``token_bytes`` grows with tokens, ``state_bytes`` not."""

    attention: Attention
    token_bytes: float
    state_bytes: int = 0
    window_tokens: int | None = None
    block_tokens: int = 0
    page_bytes: int = 0


Types = dict[LayerKind, int]  # how many layers store each kind, in the order they first appear


@dataclass(frozen=True, slots=True)
class Pool:
    """The layout of one rank's pool: ``group_layers`` layers share each of ``groups`` tables."""

    kinds: tuple[LayerKind, ...]  # one per group
    group_layers: int
    block_bytes: int  # all layers of a group together
    uniform: bool

    @property
    def groups(self) -> int:
        """The number of KV cache groups."""
        return len(self.kinds)

    @property
    def slots(self) -> int:
        """Layer slots with padding."""
        return self.groups * self.group_layers


def layout(
    architecture: Architecture,
    counts: LayerCounts,
    settings: VllmSettings,
    facts: VllmVersion,
) -> Pool:
    """The pool of the rank that runs the layers of ``counts``. No cache at all: an empty pool."""
    used = () if architecture.encoder_only else counts
    types: Types = {}
    for layer, n in (*used, *_drafters(architecture, used, settings)):
        for kind in _layer_kinds(architecture, layer, settings):
            types[kind] = types.get(kind, 0) + n
    if not types:
        return Pool((), 0, 0, True)
    if not settings.hybrid_groups or not architecture.known:  # a guess keeps everything
        types = _changed(types, _as_full)
    types = _paged(types, settings.block_size)
    if _one_table(types):
        size = sum(n * kind.page_bytes for kind, n in types.items())
        return Pool((next(iter(types)),), sum(types.values()), size, True)
    return _grouped(types, facts)


def _drafters(
    architecture: Architecture, counts: LayerCounts, settings: VllmSettings
) -> LayerCounts:
    """Prediction layers in use cache like the model's own attention (GLM-5.1 logs: 79 / 78)."""
    if not settings.speculative_mtp:
        return ()
    whole = [layer for layer, _ in counts if layer.attention in (Attention.FULL, Attention.MLA)]
    return [(layer, architecture.mtp_layers or 1) for layer in whole[-1:]]


def _layer_kinds(
    architecture: Architecture, layer: Layer, settings: VllmSettings
) -> tuple[LayerKind, ...]:
    kinds: list[LayerKind] = []
    if layer.state is not None:
        state = _state_bytes(layer.state, architecture, settings)
        kinds.append(LayerKind(Attention.SSM, 0.0, state_bytes=state))
    if layer.owns_cache and layer.attention not in (*_STATEFUL, Attention.NONE):
        kinds.append(
            LayerKind(
                layer.attention,
                token_bytes(architecture, layer, settings),
                window_tokens=layer.window_tokens,
            )
        )
    return tuple(kind for kind in kinds if kind.token_bytes or kind.state_bytes)


def token_bytes(architecture: Architecture, layer: Layer, settings: VllmSettings) -> float:
    """Bytes one token takes in one layer on one GPU.

    MLA's latent is the same for all heads, so tensor parallelism does not divide it (logs:
    31,105 bytes per token of DeepSeek-V2-Lite at one and at two GPUs). Heads that cannot be
    divided are copied: at least one per GPU.
    """
    if layer.attention is Attention.MLA and architecture.latent:
        return _latent_bytes(architecture, layer, settings)
    heads = max(1, layer.kv_heads // settings.tensor_parallel)
    per_head = (layer.key_length + layer.value_length) * settings.kv_element_bytes
    if settings.kv_dtype in PER_HEAD:
        per_head += 8.0  # a scale each for key and value
    return heads * per_head


def _latent_bytes(architecture: Architecture, layer: Layer, settings: VllmSettings) -> float:
    """The latent, and the key of a sparse attention's indexer where the layer has one."""
    latent = architecture.latent
    assert latent is not None
    indexer = int(architecture.extra.get("indexer_key_length", 0) or 0)
    extra = indexer + _INDEXER_SCALE_BYTES if indexer and not layer.borrows_index else 0
    values = (latent.kv_lora_rank + latent.rope_length) * settings.kv_element_bytes
    if indexer and settings.packed_sparse_cache:
        values = _FP8_DS_MLA_BYTES
    return values + extra


def _state_bytes(state: RecurrentState, architecture: Architecture, settings: VllmSettings) -> int:
    """Convolution part in the model's type; recurrent part too, unless the config says float32.

    Code: MambaStateDtypeCalculator, "auto" is the model's type.
    """
    convolution = (state.conv_kernel - 1) * (state.inner + 2 * state.groups * state.state)
    recurrent = state.inner * state.state
    dtype_name = settings.state_dtype or architecture.extra.get("mamba_ssm_dtype")
    size = 4 if dtype_name == "float32" else settings.dtype_bytes
    return (convolution * settings.dtype_bytes + recurrent * size) // settings.tensor_parallel


def _changed(types: Types, change: Callable[[LayerKind], LayerKind]) -> Types:
    """Every kind changed; those that become equal are counted together."""
    changed: Types = {}
    for kind, n in types.items():
        new = change(kind)
        changed[new] = changed.get(new, 0) + n
    return changed


def _as_full(kind: LayerKind) -> LayerKind:
    if kind.attention in (Attention.SLIDING, Attention.CHUNKED):
        return replace(kind, attention=Attention.FULL, window_tokens=None)
    return kind


def _paged(types: Types, block: int) -> Types:
    """Give every kind its block and a page; all pages end up equal where kinds are mixed."""
    state = max(kind.state_bytes for kind in types)
    growing = [kind.token_bytes for kind in types if kind.token_bytes]
    if state and growing:
        block = max(block, block * math.ceil(state / (block * max(growing))))
    paged = _changed(types, lambda kind: _sized(kind, block))
    if _one_table(paged):
        return paged
    page = max(kind.page_bytes for kind in paged)
    return _changed(paged, lambda kind: _widened(kind, page))


def _sized(kind: LayerKind, block: int) -> LayerKind:
    grows = bool(kind.token_bytes)
    page = math.ceil(block * kind.token_bytes) if grows else kind.state_bytes
    return LayerKind(
        kind.attention, kind.token_bytes, kind.state_bytes, kind.window_tokens,
        block if grows else kind.block_tokens, page,
    )  # fmt: skip


def _widened(kind: LayerKind, page: int) -> LayerKind:
    """Enlarge to the common page: as many whole blocks of tokens as go in, the rest is padding."""
    if not kind.token_bytes:
        return replace(kind, page_bytes=page)
    tokens = kind.block_tokens * max(1, page // kind.page_bytes)
    return replace(kind, page_bytes=page, block_tokens=tokens)


def _one_table(types: Types) -> bool:
    """All layers need the same number of slots: one block table, whatever their sizes."""
    first = next(iter(types))
    same = {
        (kind.attention in (Attention.FULL, Attention.MLA), kind.window_tokens) for kind in types
    }
    return len(types) == 1 or (len(same) == 1 and not first.state_bytes)


def _grouped(types: Types, facts: VllmVersion) -> Pool:
    smallest, largest = min(types.values()), max(types.values())
    size = largest if largest < smallest * facts.padding_ratio else smallest
    groups = tuple(kind for kind, count in types.items() for _ in range(math.ceil(count / size)))
    return Pool(groups, size, groups[0].page_bytes * size, False)


def blocks_per_request(pool: Pool, settings: VllmSettings, facts: VllmVersion) -> int:
    """Blocks that one request of ``max_model_len`` uses, over all groups."""
    return sum(_group_blocks(kind, settings, facts) for kind in pool.kinds)


def _group_blocks(kind: LayerKind, settings: VllmSettings, facts: VllmVersion) -> int:
    if kind.state_bytes:
        held = facts.mamba_blocks if settings.prefix_caching else 1
        return held + settings.speculative_tokens
    length = math.ceil(settings.max_model_len / settings.context_parallel)
    if kind.window_tokens is None:
        return math.ceil(length / kind.block_tokens)
    spare = kind.window_tokens - (kind.attention is Attention.SLIDING)
    cells = min(spare + settings.max_num_batched_tokens, length)
    border = 1 if kind.attention is Attention.SLIDING else 0  # a window may start inside a block
    return math.ceil(cells / kind.block_tokens) + border


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a pool holds: ``tokens`` as this version prints it."""

    blocks: int
    tokens: int
    concurrency: float
    bytes_per_token: float
    request_bytes: int


def capacity(
    pool: Pool, pool_bytes: int, settings: VllmSettings, facts: VllmVersion
) -> Capacity | None:
    """Tokens and concurrency of ``pool_bytes``; None for a model without any cache."""
    if not pool.kinds:
        return None
    need = blocks_per_request(pool, settings, facts)
    blocks = settings.blocks_override or max(0, pool_bytes) // pool.block_bytes
    concurrency = blocks / need
    grows = [kind.block_tokens for kind in pool.kinds if kind.token_bytes]
    block = min(grows) if grows else 1
    tokens = blocks // pool.groups * block * settings.context_parallel
    per_token = pool.block_bytes * pool.groups / (block * settings.context_parallel)
    if facts.tokens_by_concurrency and not pool.uniform:
        tokens = int(concurrency * settings.max_model_len)
        per_token = need * pool.block_bytes / settings.max_model_len
    if any(kind.state_bytes for kind in pool.kinds):  # states do not grow with tokens
        per_token = sum(pool.block_bytes / size for size in grows) / settings.context_parallel
    return Capacity(blocks, tokens, concurrency, per_token, need * pool.block_bytes)


def state_blocks(pool: Pool, settings: VllmSettings, facts: VllmVersion) -> int:
    """The blocks of one request that contain states."""
    return sum(_group_blocks(kind, settings, facts) for kind in pool.kinds if kind.state_bytes)
