"""The multi-token-prediction blocks of a GGUF file as a model of their own."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.architecture import Attention, ModelShape, Weights
from modelscan.engines.llamacpp.file_layout import FileLayout, ShapeKey
from modelscan.memory import weights_gguf
from modelscan.memory.quantization_mix import quantized
from modelscan.memory.tensor_table import tensor_table

if TYPE_CHECKING:
    from modelscan.core.architecture import Layer, Tensor

_SLIDING = (Attention.SLIDING, Attention.CHUNKED)


def prediction_layout(shape: ModelShape) -> FileLayout | None:
    """The layout of the prediction blocks, computed once per shape; None if the file has none."""
    return _of(ShapeKey(shape))


@functools.lru_cache(maxsize=8)
def _of(key: ShapeKey) -> FileLayout | None:
    blocks = prediction_shape(key.shape)
    return FileLayout.of(blocks) if blocks else None


def prediction_shape(shape: ModelShape) -> ModelShape | None:
    """The prediction blocks as a model: their tensors, and layers like the last one that attends
    to the whole context. None if the file has none.
    """
    architecture = shape.architecture
    count = architecture.mtp_layers
    attending = [layer for layer in architecture.layers if layer.kv_heads or _latent(layer)]
    whole = [layer for layer in attending if layer.attention not in _SLIDING]
    tensors = _renumbered(shape.tensors, len(architecture.layers))
    if not count or not tensors or not attending:
        return None
    layer = replace((whole or attending)[-1], owns_cache=True, state=None)
    blocks = replace(
        architecture, layers=(layer,) * count, mtp_layers=0, tied_embeddings=False, notes=()
    )
    total = sum(tensor.size_bytes for tensor in tensors)
    return replace(
        shape, architecture=blocks, tensors=tensors, path=None, draft=None,
        weights=Weights(total_bytes=total, basis=shape.weights.basis),
    )  # fmt: skip


def with_prediction_blocks(shape: ModelShape) -> ModelShape:
    """The shape with the prediction blocks that the model publishes, which a file that drafts with
    them has; the same shape where it has them, or where the model publishes none.
    """
    return _with_blocks(ShapeKey(shape))


@functools.lru_cache(maxsize=8)
def _with_blocks(key: ShapeKey) -> ModelShape:
    shape, architecture = key.shape, key.shape.architecture
    first = len(architecture.layers)
    if not architecture.mtp_layers or _renumbered(shape.tensors, first):
        return shape
    table = tensor_table(architecture, mtp=True)
    blocks = [entry for entry in table if (weights_gguf.layer_of(entry[0]) or 0) >= first]
    made = quantized(blocks, architecture, shape.quantization or "Q8_0")
    return replace(shape, tensors=(*shape.tensors, *made))


def _latent(layer: Layer) -> bool:
    return layer.attention is Attention.MLA


def _renumbered(tensors: tuple[Tensor, ...], first: int) -> tuple[Tensor, ...]:
    """The tensors of the blocks from ``first`` on, counted from 0."""
    found = []
    for tensor in tensors:
        layer = weights_gguf.layer_of(tensor.name)
        if layer is not None and layer >= first:
            rest = tensor.name.split(".", 2)[2]
            found.append(replace(tensor, name=f"blk.{layer - first}.{rest}"))
    return tuple(found)
