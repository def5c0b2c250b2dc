"""Bytes of weights on one GPU: the divided part, and the part that every rank stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from modelscan.core.architecture import Architecture, Attention, Layer, ModelShape

LayerCounts = Sequence[tuple[Layer, int]]  # different layers with their counts
_TWO_BYTES = 2  # norms, routers and biases stay in 16 bits in every quantization


@dataclass(frozen=True, slots=True)
class Ranks:
    """The division of a model: ``pipeline`` stages of ``tensor`` GPUs each."""

    tensor: int = 1
    pipeline: int = 1


def stage_layers(architecture: Architecture, ranks: Ranks, stage: int) -> tuple[Layer, ...]:
    """The blocks of pipeline stage ``stage``; a remainder goes to the stages before the last.

    Code: vllm/distributed/utils.py, get_pp_indices.
    """
    layers, count = architecture.layers, ranks.pipeline
    if count == 1:
        return layers
    base, left = divmod(len(layers), count)
    sizes = [base] * count
    for offset in range(left):
        sizes[count - 2 - offset if count > 1 else 0] += 1
    start = sum(sizes[:stage])
    return layers[start : start + sizes[stage]]


def stage_counts(architecture: Architecture, ranks: Ranks, stage: int) -> LayerCounts:
    """The different blocks of one stage with their counts; most models repeat one or two."""
    if ranks.pipeline == 1:
        return architecture.layer_counts
    return tuple(Counter(stage_layers(architecture, ranks, stage)).items())


def rank_bytes(
    shape: ModelShape, ranks: Ranks, stage: int, *, dtype: str | None = None, mtp: bool = False
) -> int:
    """Bytes of weights on one GPU of ``stage``.

    ``mtp`` includes the multi-token-prediction blocks, which engines load for speculation only.
    ``dtype`` float32 doubles an unquantized 16-bit checkpoint.
    """
    architecture, weights = shape.architecture, shape.weights
    scale = _dtype_scale(shape, dtype)
    ends = [(weights.embedding_bytes or 0) * scale, (weights.output_bytes or 0) * scale]
    counts = stage_counts(architecture, ranks, stage)
    mine = _block_bytes(shape, ranks, stage) * scale
    mine += _end_bytes(architecture, ends, ranks, stage)
    if stage == ranks.pipeline - 1:
        mine += _leftover_bytes(shape, mtp) * scale
    repeated = min(mine, sum(n * _repeated_bytes(architecture, layer) for layer, n in counts))
    copied = sum(n * _copied_heads_bytes(architecture, layer, ranks.tensor) for layer, n in counts)
    copied += _expert_padding_bytes(shape, sum(n for _, n in counts), ranks.tensor)
    tower = weights.vision_bytes * scale if stage == 0 else 0.0
    tower = tower / ranks.tensor if _vision_divides(architecture, ranks.tensor) else tower
    return round((mine - repeated) / ranks.tensor + repeated + copied + tower)


def _block_bytes(shape: ModelShape, ranks: Ranks, stage: int) -> float:
    """Bytes of the stage's blocks: the sum of their sizes if known, else an even share."""
    count = len(shape.architecture.layers)
    sizes = shape.weights.layer_bytes[:count]
    start = sum(len(stage_layers(shape.architecture, ranks, early)) for early in range(stage))
    mine = len(stage_layers(shape.architecture, ranks, stage))
    if len(sizes) == count:
        return float(sum(sizes[start : start + mine]))
    return (_inner_bytes(shape) - mtp_bytes(shape)) * mine / max(1, count)


def _inner_bytes(shape: ModelShape) -> int:
    """Bytes between the embedding and the head, without the vision tower."""
    weights = shape.weights
    ends = (weights.embedding_bytes or 0) + (weights.output_bytes or 0)
    return max(0, weights.total_bytes - ends - weights.vision_bytes)


def _leftover_bytes(shape: ModelShape, mtp: bool) -> float:
    """Bytes of the final norm and similar tensors; with ``mtp`` those of the prediction blocks."""
    sizes = shape.weights.layer_bytes[: len(shape.architecture.layers)]
    rest = 0
    if len(sizes) == len(shape.architecture.layers):
        rest = max(0, _inner_bytes(shape) - sum(sizes))
    if not shape.architecture.mtp_layers:
        return float(rest)
    return float(mtp_bytes(shape)) if mtp else 0.0


def _dtype_scale(shape: ModelShape, dtype: str | None) -> float:
    requested_four = dtype in ("float32", "float")
    quantized = shape.architecture.quantization is not None
    stored_four = shape.architecture.dtype == "float32"
    if quantized or requested_four == stored_four:
        return 1.0
    return 2.0 if requested_four else 0.5


def mtp_bytes(shape: ModelShape) -> int:
    """Bytes of the stored prediction blocks: total minus trunk if known, else an even share."""
    architecture = shape.architecture
    count = len(architecture.layers)
    if not architecture.mtp_layers or not count:
        return 0
    sizes = shape.weights.layer_bytes[:count]
    if len(sizes) == count:
        return max(0, _inner_bytes(shape) - sum(sizes))
    return _inner_bytes(shape) * architecture.mtp_layers // (count + architecture.mtp_layers)


def _end_bytes(
    architecture: Architecture, ends: Sequence[float], ranks: Ranks, stage: int
) -> float:
    """Bytes of the embedding (first stage) and head (last stage; a tied head is the embedding)."""
    embedding, output = ends
    first, last = stage == 0, stage == ranks.pipeline - 1
    mine = embedding if first else 0.0
    if last:
        mine += output or (embedding if architecture.tied_embeddings and not first else 0.0)
    return mine


def _repeated_bytes(architecture: Architecture, layer: Layer) -> float:
    """Bytes of a layer that every GPU stores in full: norms, routers, MLA's down projections."""
    values = 2 * architecture.hidden
    if layer.moe and architecture.experts:
        values += architecture.hidden * architecture.experts.total
    latent = architecture.latent
    if layer.attention is Attention.MLA and latent:
        down = latent.kv_lora_rank + latent.rope_length + (latent.q_lora_rank or 0)
        values += architecture.hidden * down
        values += 0 if layer.borrows_index else _indexer_values(architecture)
    return values * _TWO_BYTES


def _indexer_values(architecture: Architecture) -> int:
    """Elements of the sparse attention's indexer, which every GPU stores in full."""
    length = int(architecture.extra.get("indexer_key_length", 0))
    heads = int(architecture.extra.get("indexer_heads", 0))
    latent = architecture.latent
    query = (latent.q_lora_rank if latent else None) or architecture.hidden
    return length * (heads * query + architecture.hidden) + heads * architecture.hidden


def _copied_heads_bytes(architecture: Architecture, layer: Layer, tensor: int) -> float:
    """Bytes of KV projections that several GPUs store, if there are fewer KV heads than GPUs."""
    if layer.attention is Attention.MLA or not layer.kv_heads or layer.kv_heads >= tensor:
        return 0.0
    width = layer.key_length + layer.value_length
    return architecture.hidden * width * (1 - layer.kv_heads / tensor) * _TWO_BYTES


def _expert_padding_bytes(shape: ModelShape, layers: int, tensor: int) -> float:
    """Bytes of padding by MXFP4 kernels: hidden to 256, a GPU's share of the width to 128.

    gpt-oss-20b on two GPUs: 2880 -> 3072 and 1440 -> 1536, 7.0 GiB where the file has 6.4.
    """
    experts, architecture = shape.architecture.experts, shape.architecture
    stored = shape.weights.expert_bytes
    if architecture.quantization != "MXFP4" or experts is None or not stored:
        return 0.0
    share = max(1, experts.width // tensor)
    grown = _up(architecture.hidden, 256) * _up(share, 128) / (architecture.hidden * share)
    return stored * (grown - 1) * layers / len(architecture.layers) / tensor


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _vision_divides(architecture: Architecture, tensor: int) -> bool:
    heads = architecture.vision_heads
    return heads is not None and heads % tensor == 0


def rope_table_bytes(
    architecture: Architecture, dtype_bytes: int, *, m_rope_lengths: int = 1
) -> int:
    """Bytes of the cos/sin tables that engines compute: trained context x rotary size each.

    ``m_rope_lengths``: factor by which an engine lengthens the table of multimodal positions.

    Llama-3.1-8B: 131,072 x 128 x 2 B = 32 MiB, which is the 14.99 GiB of the logs, against 14.96 of
    parameters. Linear scaling multiplies the length (Gemma-3: x 8, 512 MiB). With a base of their
    own, layers with a window have a table of their own, as wide as their heads (Gemma-4: 256, and
    512). None for models that rotate nothing (``no_rope``).
    """
    extra = architecture.extra
    if extra.get("no_rope"):
        return 0
    windowed = _rotary(architecture, local=True) if extra.get("rope_tables") else 0
    rotary = _rotary(architecture, local=False if windowed else None)
    if extra.get("rope_tables"):
        windowed = windowed or rotary
    partial = float(extra.get("partial_rotary_factor", 1.0) or 1.0)
    values = rotary * float(extra.get("rope_linear_factor", 1.0)) + windowed
    lengths = m_rope_lengths if extra.get("m_rope") else 1
    return round((architecture.context_tokens or 0) * values * partial * lengths) * dtype_bytes


def _rotary(architecture: Architecture, *, local: bool | None) -> int:
    """Elements of the widest head among the layers with (``local``) or without a window, or all."""
    chosen = [
        layer
        for layer, _ in architecture.layer_counts
        if local is None or local == (layer.window_tokens is not None)
    ]
    return max((_rotated(architecture, layer) for layer in chosen), default=0)


def _rotated(architecture: Architecture, layer: Layer) -> int:
    if layer.attention is Attention.MLA and architecture.latent:
        return architecture.latent.rope_length
    return layer.key_length if layer.heads else 0


def latent_copies_bytes(architecture: Architecture, counts: LayerCounts, tensor: int) -> int:
    """Bytes of the second copy of MLA's up projections, in 16 bits, that decoding uses.

    Code: vllm process_weights_after_loading of MLA (W_UV, W_UK_T); SGLang w_kc and w_vc.
    """
    latent = architecture.latent
    if latent is None:
        return 0
    heads = sum(n * layer.heads for layer, n in counts if layer.attention is Attention.MLA)
    width = (latent.nope_length or 128) + (latent.value_length or 128)
    return heads // tensor * latent.kv_lora_rank * width * _TWO_BYTES
