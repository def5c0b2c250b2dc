"""The estimated shape of a model with only a known number of parameters; its estimates are ranges.

With a model of the same series, its layers are the likeliest ones. Else depth and width follow the
parameter count as they do in published models with grouped-query attention, dense or with experts.
The cache is the least certain part: the upper end of a range has a full one in every layer. The
architecture is marked unknown, so that every estimate has basis "range" and a warning.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import NamedTuple

from modelscan.core.architecture import (
    FULL_CACHE,
    Architecture,
    Attention,
    Experts,
    Layer,
    ModelShape,
    Tensor,
    Weights,
)
from modelscan.core.errors import UsageError
from modelscan.core.units import format_count
from modelscan.formats.quantization import bits_per_weight
from modelscan.memory import weights, weights_gguf
from modelscan.memory.architecture.tensor_layout import gguf_name
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
_MOE_SHARE = 0.7  # of the parameters: fewer are active in a mixture of experts
_EXPERTS, _ACTIVE_EXPERTS, _LEAST_WIDTH = 128, 8, 64
_CACHE_BYTES = 2  # of a cached value


def shape_by_parameters(
    parameters: int,
    *,
    active_parameters: int | None,
    context_tokens: int | None,
    file_format: str,
    quantization: str | None,
    weight_bytes: int | None,
    sibling: tuple[str, Architecture] | None = None,
) -> ModelShape:
    """An estimated shape, with bytes from the files' size or from parameters x bits per weight.

    ``sibling``: id and architecture of a model of the series.
    """
    like = _like(parameters, active_parameters)
    bits = bits_per_weight(quantization) or 16.0
    total = weight_bytes or round(parameters * bits / 8)
    guessed = (
        _of_sibling(*sibling, like) if sibling else _typical(like, parameters, active_parameters)
    )
    base = _reference(guessed, file_format, quantization)
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


def _reference(
    architecture: Architecture, file_format: str, quantization: str | None
) -> ModelShape:
    """The guessed architecture in this format, before it is scaled to the model's bytes."""
    bits = bits_per_weight(quantization) or 16.0
    if file_format == "gguf":
        return _gguf(architecture, quantization or "Q4_K_M")
    form = _form(quantization if bits < 16 else None)
    computed = weights.from_architecture(architecture, form, 0, weights.FileCounts())
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


@functools.lru_cache(maxsize=256)
def _typical(like: _Typical, parameters: int, active: int | None) -> Architecture:
    """A published model's sizes; with experts where only a part of the parameters is active."""
    if active and active < _MOE_SHARE * parameters:
        return _with_experts(like, parameters)
    layer = Layer(
        Attention.FULL, heads=like.heads, kv_heads=like.kv_heads, key_length=like.head_length,
        value_length=like.head_length, feed_forward=like.feed_forward,
    )  # fmt: skip
    what = f"a dense model of {format_count(like.parameters)} parameters"
    return _unknown("llama", (layer,) * like.layers, like.hidden, what)


def _with_experts(like: _Typical, parameters: int) -> Architecture:
    layer = Layer(
        Attention.FULL, heads=like.heads, kv_heads=like.kv_heads, key_length=like.head_length,
        value_length=like.head_length, moe=True,
    )  # fmt: skip
    attention = 2 * like.hidden * like.head_length * (like.heads + like.kv_heads)
    rest = parameters - 2 * like.hidden * _VOCABULARY - like.layers * attention
    width = max(_LEAST_WIDTH, round(rest / (3 * like.hidden * like.layers * _EXPERTS)))
    what = f"a mixture of {_EXPERTS} experts of {format_count(parameters)} parameters"
    made = _unknown("qwen3_moe", (layer,) * like.layers, like.hidden, what)
    return replace(made, experts=Experts(_EXPERTS, _ACTIVE_EXPERTS, width))


def _of_sibling(name: str, sibling: Architecture, like: _Typical) -> Architecture:
    """The layers of a model of the series; a full cache in every layer is the upper end.

    Its class stays its own: an engine may list the one and not the other.
    """
    full = 2 * like.layers * like.kv_heads * like.head_length * _CACHE_BYTES
    note = f"the architecture is not known: sized like {name}, the estimate is a range"
    return replace(
        sibling, known=False, quantization=None, notes=(note,),
        checkpoint=replace(sibling.checkpoint, classes=()),
        extra={**sibling.extra, FULL_CACHE: full},
    )  # fmt: skip


def _unknown(name: str, layers: tuple[Layer, ...], hidden: int, what: str) -> Architecture:
    return Architecture(
        name=name,
        layers=layers,
        hidden=hidden,
        vocabulary=_VOCABULARY,
        context_tokens=None,
        known=False,
        notes=(f"the architecture is not known: sized as {what}, the estimate is a range",),
    )


def _gguf(architecture: Architecture, quantization: str) -> ModelShape:
    architecture = replace(architecture, name=gguf_name(architecture.name))
    table = tensor_table(architecture)
    try:
        tensors = quantized(table, architecture, quantization)
    except UsageError:  # llama-quantize here cannot produce this type: only the proportions matter
        tensors = quantized(table, architecture, "Q4_K_M")
    computed = weights_gguf.from_tensors(tensors, architecture)
    return ModelShape(architecture, computed, "gguf", quantization, tensors=tensors)
