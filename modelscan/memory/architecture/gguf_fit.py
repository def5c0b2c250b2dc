"""Checks that llama.cpp makes when it loads a GGUF file: the keys and the tensors must agree.

A file that fails them cannot be loaded (``check_tensor_dims``, ``load_hparams`` of b11549), so that
an estimate of it would be of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelscan.core.architecture import Architecture, Attention, Layer, Tensor
from modelscan.formats.gguf import GgufError, GgufHeader

_HINT = "llama.cpp does not load it either: download or convert the model again"
_GATED = 2  # queries with a gate of the same size


def lacking(header: GgufHeader, key: str) -> GgufError:
    """The error of a file without a key that llama.cpp requires."""
    return GgufError(f"the file lacks '{header.architecture}.{key}'", hint=_HINT)


def require_fit(
    header: GgufHeader, architecture: Architecture, blocks: Sequence[Mapping[str, Tensor]]
) -> None:
    """Raises GgufError if a key is missing or contradicts the shape of a tensor."""
    if architecture.context_tokens is None:
        raise lacking(header, "context_length")
    _require_experts(header, architecture)
    for index, layer in enumerate(architecture.layers):
        _require_block(header, architecture, layer, index, blocks[index])


def _require_experts(header: GgufHeader, architecture: Architecture) -> None:
    if not any("_exps." in tensor.name for tensor in header.tensors):
        return
    experts = architecture.experts
    if experts is None:
        raise lacking(header, "expert_count")
    if not 0 < experts.active <= experts.total:
        raise lacking(header, "expert_used_count")


def _require_block(
    header: GgufHeader, architecture: Architecture, layer: Layer, index: int,
    tensors: Mapping[str, Tensor],
) -> None:  # fmt: skip
    if "ffn_down.weight" in tensors and not layer.feed_forward:
        raise lacking(header, "feed_forward_length")
    if "attn_kv_a_mqa.weight" in tensors:
        if not header.key("attention.kv_lora_rank"):
            raise lacking(header, "attention.kv_lora_rank")
        return
    if layer.attention is Attention.MLA or architecture.latent or layer.state:
        return  # a recurrent block's queries and keys have sizes of their own
    query = layer.heads * layer.key_length
    for name, widths in (
        ("attn_q", (query, _GATED * query)),
        ("attn_k", (layer.kv_heads * layer.key_length,)),
        ("attn_v", (layer.kv_heads * layer.value_length,)),
    ):
        rows = _rows(tensors, name)
        if rows is not None and rows not in widths:
            raise GgufError(
                f"blk.{index}.{name} has {rows:,} rows, the header says {widths[0]:,} "
                f"({layer.heads} heads, {layer.kv_heads} of the cache)",
                hint=_HINT,
            )


def _rows(tensors: Mapping[str, Tensor], name: str) -> int | None:
    tensor = tensors.get(f"{name}.weight")
    return tensor.shape[1] if tensor and len(tensor.shape) == 2 else None
