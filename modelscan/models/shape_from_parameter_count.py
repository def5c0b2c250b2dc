"""The estimated shape of a model with only a known number of parameters; its estimates are ranges.

Depth and width follow the parameter count as they do in published dense models with grouped-query
attention; the cache is the least certain part. The architecture is marked unknown, so that every
estimate has basis "range" and a warning.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import NamedTuple

from modelscan.core.architecture import (
    Architecture,
    Attention,
    Layer,
    ModelShape,
    Tensor,
    Weights,
)
from modelscan.core.errors import UsageError
from modelscan.core.units import format_count
from modelscan.formats.quantization import bits_per_weight
from modelscan.memory import weights, weights_gguf
from modelscan.memory.quantization_mix import dynamic_range, quantized
from modelscan.memory.tensor_table import tensor_table
from modelscan.memory.weight_formats import WeightFormat, weight_format

_SPREAD = 0.1  # of the weights: mixed formats, unquantized embeddings


class _Typical(NamedTuple):
    """The shape of a published model of about this size (its config.json)."""

    parameters: float
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_length: int
    feed_forward: int


# Qwen3 0.6B to 32B, Llama 3.3 70B, Mistral Large 123B, Llama 3.1 405B.
_TYPICAL = (
    _Typical(0.6e9, 28, 1024, 16, 8, 128, 3072),
    _Typical(1.7e9, 28, 2048, 16, 8, 128, 6144),
    _Typical(4e9, 36, 2560, 32, 8, 128, 9728),
    _Typical(8e9, 36, 4096, 32, 8, 128, 12288),
    _Typical(14e9, 40, 5120, 40, 8, 128, 17408),
    _Typical(32e9, 64, 5120, 64, 8, 128, 25600),
    _Typical(70e9, 80, 8192, 64, 8, 128, 28672),
    _Typical(123e9, 88, 12288, 96, 8, 128, 28672),
    _Typical(405e9, 126, 16384, 128, 8, 128, 53248),
)
_VOCABULARY = 151_936


def shape_by_parameters(
    parameters: int,
    *,
    active_parameters: int | None,
    context_tokens: int | None,
    file_format: str,
    quantization: str | None,
    weight_bytes: int | None,
) -> ModelShape:
    """An estimated shape, with bytes from the files' size or from parameters x bits per weight."""
    like = _like(parameters, active_parameters)
    bits = bits_per_weight(quantization) or 16.0
    total = weight_bytes or round(parameters * bits / 8)
    base = _reference(like, file_format, quantization)
    scale = total / max(1, base.weights.total_bytes)
    low, high = _spread(quantization) if weight_bytes is None else (1.0, 1.0)
    known_weights = replace(
        _scaled(base.weights, scale),
        total_bytes=total,
        basis="range",
        parameters=parameters,
        active_parameters=active_parameters or parameters,
        low_bytes=round(low * total),
        high_bytes=round(high * total),
    )
    return ModelShape(
        architecture=replace(base.architecture, context_tokens=context_tokens),
        weights=known_weights,
        format=file_format,
        quantization=quantization,
        tensors=tuple(
            Tensor(t.name, t.shape, t.type, round(t.size_bytes * scale)) for t in base.tensors
        ),
    )


def _spread(quantization: str | None) -> tuple[float, float]:
    """Bounds of the weights as factors of parameters x bits per weight."""
    bounds = dynamic_range(quantization) if quantization else None
    low, _, high = bounds or (1.0, 1.0, 1.0)
    return min(low, 1 - _SPREAD), max(high, 1 + _SPREAD)


def _like(parameters: int, active: int | None) -> _Typical:
    """Scales a typical model. The cache follows the active width: experts add no attention."""
    size = min(parameters, 4 * active) if active else parameters
    return min(_TYPICAL, key=lambda row: abs(row.parameters - size))


@functools.lru_cache(maxsize=128)
def _reference(like: _Typical, file_format: str, quantization: str | None) -> ModelShape:
    """The typical model itself in this format: computed once, then scaled."""
    architecture = _architecture(like)
    bits = bits_per_weight(quantization) or 16.0
    if file_format == "gguf":
        return _gguf(architecture, quantization or "Q4_K_M")
    form = _form(quantization if bits < 16 else None)
    counts = weights.FileCounts(weight_bytes=round(like.parameters * bits / 8))
    computed = weights.from_architecture(architecture, form, 0, counts)
    return ModelShape(architecture, computed, file_format, quantization)


def _scaled(base: Weights, scale: float) -> Weights:
    def times(value: int | None) -> int | None:
        return None if value is None else round(value * scale)

    return replace(
        base,
        embedding_bytes=times(base.embedding_bytes),
        output_bytes=times(base.output_bytes),
        expert_bytes=times(base.expert_bytes),
        layer_bytes=tuple(round(value * scale) for value in base.layer_bytes),
    )


def _form(quantization: str | None) -> WeightFormat:
    """The format's proportions; an unknown format gets those of unquantized weights."""
    try:
        return weight_format(quantization, None, None, None)
    except UsageError:
        return weight_format(None, None, None, None)


def _architecture(like: _Typical) -> Architecture:
    layer = Layer(
        Attention.FULL, heads=like.heads, kv_heads=like.kv_heads, key_length=like.head_length,
        value_length=like.head_length, feed_forward=like.feed_forward,
    )  # fmt: skip
    return Architecture(
        name="llama",
        layers=(layer,) * like.layers,
        hidden=like.hidden,
        vocabulary=_VOCABULARY,
        context_tokens=None,
        known=False,
        notes=(
            f"the architecture is not known: sized as a dense model of "
            f"{format_count(like.parameters)} parameters, the estimate is a range",
        ),
    )


def _gguf(architecture: Architecture, quantization: str) -> ModelShape:
    table = tensor_table(architecture)
    try:
        tensors = quantized(table, architecture, quantization)
    except UsageError:  # llama-quantize here cannot produce this type: only the proportions matter
        tensors = quantized(table, architecture, "Q4_K_M")
    computed = weights_gguf.from_tensors(tensors, architecture)
    return ModelShape(architecture, computed, "gguf", quantization, tensors=tensors)
