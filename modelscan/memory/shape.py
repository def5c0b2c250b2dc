"""Model shapes, the input of the estimators, from a GGUF header or from config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.architecture import Architecture, Attention, Latent, Layer, ModelShape
from modelscan.formats.gguf import GgufHeader
from modelscan.formats.gguf_types import FILE_TYPES
from modelscan.memory import weights as safetensors_weights
from modelscan.memory import weights_gguf
from modelscan.memory.architecture import from_gguf as architecture_gguf
from modelscan.memory.architecture import gguf_rules as llamacpp_archs
from modelscan.memory.architecture.checkpoint import stored_quantization
from modelscan.memory.architecture.config_keys import unread_note
from modelscan.memory.architecture.from_config import from_config as architecture_from_config
from modelscan.memory.architecture.tensor_layout import gguf_name
from modelscan.memory.architecture.vision_parameters import multimodal_parameters
from modelscan.memory.quantization_mix import dynamic_range, quantized
from modelscan.memory.stated_cache import stated_cache
from modelscan.memory.tensor_table import tensor_table
from modelscan.memory.weight_formats import WeightFormat, weight_format


def from_gguf(
    header: GgufHeader, *, path: str | None = None, quantization: str | None = None,
    vision_bytes: int = 0,
) -> ModelShape:  # fmt: skip
    """The shape of a GGUF file (shards: merge their headers first). Raises GgufError.

    ``vision_bytes``: tensor bytes of the projector (mmproj) file that is loaded with it.
    """
    architecture = architecture_gguf.from_gguf(header)
    file_type = header.integer("general.file_type")
    name = quantization or (FILE_TYPES.get(file_type) if file_type is not None else None)
    weights = weights_gguf.from_tensors(header.tensors, architecture)
    return ModelShape(
        architecture=architecture,
        weights=replace(weights, vision_bytes=vision_bytes),
        format="gguf",
        quantization=name,
        tensors=header.tensors,
        path=path,
    )


def from_config(
    config: Mapping[str, Any], *, quantization: str | None = None, parameters: int | None = None,
    weight_bytes: int | None = None, safetensors: Mapping[str, int] | None = None,
    hf_quant_config: Mapping[str, Any] | None = None, format: str = "safetensors",
    architecture: Architecture | None = None,
) -> ModelShape:  # fmt: skip
    """The shape a config.json describes, in one variant.

    ``architecture``: that of ``config``, if it has already been read for another variant.
    ``weight_bytes``: the files' size; ``safetensors``: dtype -> element count, as hubs report;
    ``parameters``: their total, used only if it agrees with the architecture.
    ``format`` "gguf" projects the file that conversion with ``quantization`` would produce.
    Raises ConfigError if a basic size is missing, UsageError for an unknown quantization.
    """
    architecture = architecture or architecture_from_config(config)
    if format == "gguf":
        return _projected(architecture, quantization or "Q4_K_M", weight_bytes)
    quant = safetensors_weights.config_quantization(config)
    form = weight_format(
        quantization, quant, hf_quant_config, architecture.dtype, config.get("expert_dtype")
    )
    if form.own:
        stored = stored_quantization(quant, hf_quant_config)
        checkpoint = replace(architecture.checkpoint, quantization=stored)
        architecture = replace(architecture, checkpoint=checkpoint)
        stated = stated_cache(quant, hf_quant_config)
        architecture = replace(architecture, extra={**architecture.extra, **stated})
    if weight_bytes is None and safetensors is None:  # otherwise the files' size is exact
        architecture = replace(architecture, notes=(*architecture.notes, *_format_notes(form)))
    vision = multimodal_parameters(config, architecture.hidden)
    counts = safetensors_weights.FileCounts(weight_bytes, safetensors, parameters)
    return ModelShape(
        architecture=replace(architecture, quantization=form.name),
        weights=safetensors_weights.from_architecture(architecture, form, vision, counts),
        format="mlx" if form.mlx else format,
        quantization=quantization or form.name or architecture.dtype,
    )


def _format_notes(form: WeightFormat) -> tuple[str, ...]:
    """Notes on why the weights' size is a range; empty if it is not."""
    if not form.known:
        return (f"the bits per weight of {form.name} are not known: from 4 bits to all of them",)
    if form.unread:
        return (unread_note(tuple(f"quantization_config.{key}" for key in form.unread)),)
    return ()


def _projected(
    architecture: Architecture, quantization: str, weight_bytes: int | None
) -> ModelShape:
    """The shape of a GGUF file that is not on this machine, with llama-quantize's tensor types.

    ``weight_bytes`` (the real file's size) overrides the recipe's sum.
    """
    converted = _as_llamacpp_reads(architecture)
    tensors = quantized(tensor_table(converted), converted, quantization)
    weights = weights_gguf.from_tensors(tensors, converted)
    basis = "computed" if converted.known else "range"
    if weight_bytes:
        tensors = _rescaled(tensors, weight_bytes / max(1, weights.total_bytes))
        weights = weights_gguf.from_tensors(tensors, converted)
        basis = "exact"
    weights = replace(weights, basis=basis)
    spread = dynamic_range(quantization) if not weight_bytes else None
    if spread:
        low, middle, high = (round(share * weights.total_bytes) for share in spread)
        tensors = _rescaled(tensors, middle / max(1, weights.total_bytes))
        weights = weights_gguf.from_tensors(tensors, converted)
        weights = replace(weights, basis="range", low_bytes=low, high_bytes=high)
        note = f"{quantization} chooses a type per tensor: the exact size is in the file only"
        converted = replace(converted, notes=(*converted.notes, note))
    return ModelShape(
        architecture=converted,
        weights=weights,
        format="gguf",
        quantization=quantization,
        tensors=tensors,
    )


def _rescaled(tensors: tuple[Any, ...], scale: float) -> tuple[Any, ...]:
    """The tensors with their sizes multiplied by ``scale``, so that they add up to the file's."""
    return tuple(replace(t, size_bytes=round(t.size_bytes * scale)) for t in tensors)


def _as_llamacpp_reads(architecture: Architecture) -> Architecture:
    """The architecture with its GGUF name, without the features that llama.cpp ignores."""
    name = gguf_name(architecture.name)
    windows = name in llamacpp_archs.WINDOW_RULES or name in llamacpp_archs.WINDOW_LISTED
    layers = architecture.layers
    if not windows or name in llamacpp_archs.WINDOW_IGNORED:
        layers = tuple(_without_window(layer) for layer in layers)
    if architecture.latent:
        layers = tuple(_with_latent(layer, architecture.latent) for layer in layers)
    extra = {k: v for k, v in architecture.extra.items() if _keeps_extra(name, k)}
    own_design = name in llamacpp_archs.OWN_CACHE_DESIGN
    return replace(
        architecture,
        name=name,
        layers=layers,
        extra=extra,
        vision=False,
        known=architecture.known and not own_design,
    )


def _keeps_extra(name: str, key: str) -> bool:
    return not key.startswith("indexer") or name in llamacpp_archs.INDEXER_CACHE


def _without_window(layer: Layer) -> Layer:
    if layer.attention not in (Attention.SLIDING, Attention.CHUNKED):
        return layer
    return replace(layer, attention=Attention.FULL, window_tokens=None)


def _with_latent(layer: Layer, latent: Latent) -> Layer:
    if layer.attention is not Attention.MLA:
        return layer
    return replace(layer, value_length=latent.kv_lora_rank)
