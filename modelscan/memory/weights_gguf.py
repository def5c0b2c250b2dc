"""Bytes of weights from a GGUF tensor table: exact, by layer, embedding, output and experts."""

from __future__ import annotations

import functools

from modelscan.core.architecture import Architecture, Tensor, Weights

EMBEDDING = "token_embd.weight"
OUTPUT = "output.weight"
# Stored with the token embedding in host memory (LLM_TENSOR_LAYER_INPUT in src/llama-arch.cpp).
INPUT_TENSORS = (EMBEDDING, "position_embd.weight", "token_types.weight", "token_embd_norm",
                 "per_layer_token_embd.weight")  # fmt: skip
_BLOCK_DIGITS = 6  # a longer number is no block of any model


@functools.lru_cache(maxsize=16_384)  # models share their tensors' names
def layer_of(name: str) -> int | None:
    """The block number of a tensor ``blk.N.…``; None for other tensors."""
    if not name.startswith("blk."):
        return None
    number = name[4:].partition(".")[0]
    plausible = number.isascii() and number.isdecimal() and len(number) <= _BLOCK_DIGITS
    return int(number) if plausible else None


def is_expert(name: str) -> bool:
    """Whether this is a routed expert's matrix, as ``--n-cpu-moe`` selects them.

    Source: llama.cpp's pattern ``ffn_(up|down|gate)_(ch|)exps``.
    """
    return "_exps." in name or "_chexps." in name


def values(tensor: Tensor) -> int:
    """The number of elements of a tensor."""
    count = 1
    for dimension in tensor.shape:
        count *= dimension
    return count


def from_tensors(tensors: tuple[Tensor, ...], architecture: Architecture) -> Weights:
    """Exact bytes of the loaded tensors; multi-token-prediction blocks are not loaded."""
    trunk = len(architecture.layers)
    loaded = [t for t in tensors if (layer_of(t.name) or 0) < trunk]
    per_layer = [0] * trunk
    for tensor in loaded:
        layer = layer_of(tensor.name)
        if layer is not None:
            per_layer[layer] += tensor.size_bytes
    parameters = sum(values(t) for t in tensors)
    return Weights(
        total_bytes=sum(t.size_bytes for t in loaded),
        basis="exact",
        parameters=parameters,
        active_parameters=_active(loaded, architecture),
        embedding_bytes=sum(t.size_bytes for t in loaded if t.name == EMBEDDING),
        output_bytes=sum(t.size_bytes for t in loaded if t.name == OUTPUT),
        expert_bytes=sum(t.size_bytes for t in loaded if is_expert(t.name)),
        layer_bytes=tuple(per_layer),
    )


def _active(tensors: list[Tensor], architecture: Architecture) -> int:
    """Parameters used per token: active experts only, without embedding tables."""
    experts = architecture.experts
    share = experts.active / experts.total if experts and experts.total else 1.0
    total = 0.0
    tied = architecture.tied_embeddings
    for tensor in tensors:
        if tensor.name.startswith("per_layer_token_embd") or (
            tensor.name == EMBEDDING and not tied
        ):
            continue
        total += values(tensor) * (share if is_expert(tensor.name) else 1.0)
    return round(total)
