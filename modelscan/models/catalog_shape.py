"""The shape of one variant of a catalog model: from its config, else from its parameter count."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.engines.version_tables import listed_anywhere
from modelscan.formats.files import is_projector
from modelscan.formats.quantization import canonical, label
from modelscan.formats.quantization_config import quantization_method
from modelscan.memory.shape import from_config

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.core.model import Model, Variant

    NamedArchitecture = tuple[str, Architecture]

PACKAGED = "configs"  # the source of configs that are not the repository's own file
# Publishers whose FP8 repositories have scales for blocks of 128 x 128 (their own config.json
# files): others' have one for each row.
_FP8_BLOCKS = re.compile(r"(qwen|deepseek-ai|minimaxai|stepfun-ai)/|zai-org/glm-5", re.IGNORECASE)
_BLOCKS = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
COUNTED = ("user", "huggingface", "modelscope", "llmfit")  # sources of parameters


def shape_of(
    model: Model,
    variant: Variant,
    read: Callable[[], Architecture] | None = None,
    sibling: Callable[[], NamedArchitecture | None] | None = None,
) -> ModelShape:
    """The shape of one variant: from its architecture if known, else from the parameter count.

    ``read`` returns the architecture of the model's own config, which variants share; ``sibling``
    id and architecture of a model of its series.
    """
    shape = _text_shape(model, variant, read, sibling)
    sizes = [file.size_bytes or 0 for file in variant.files if is_projector(file.path)]
    if not sizes or variant.format != "gguf":
        return shape
    return replace(shape, weights=replace(shape.weights, vision_bytes=sum(sizes)))


def _text_shape(
    model: Model,
    variant: Variant,
    read: Callable[[], Architecture] | None,
    sibling: Callable[[], NamedArchitecture | None] | None,
) -> ModelShape:
    if model.architecture is not None:
        try:
            own = own_config(model)
            config = _config_for(own, variant)
            shape = from_config(
                config,
                quantization=label(variant.quantization),
                weight_bytes=variant.weight_bytes,
                parameters=model.parameters if _counted(model) else None,
                format=variant.format,
                architecture=read() if read and config is own else None,
            )
            return _with_context(shape, model.limits.context_tokens)
        except UsageError:
            pass  # the config or format is not supported: estimate it by its parameters
    parameters = model.parameters or variant.parameters
    if not parameters:
        raise NotDeployableError(f"the size of {variant.repo} is not known", code="unknown_size")
    from modelscan.models.shape_from_parameter_count import shape_by_parameters

    return shape_by_parameters(
        parameters,
        active_parameters=model.active_parameters,
        context_tokens=model.limits.context_tokens,
        file_format=variant.format,
        quantization=label(variant.quantization),
        weight_bytes=variant.weight_bytes,
        sibling=sibling() if sibling else None,
    )


def own_config(model: Model) -> Mapping[str, Any]:
    """The catalog's config; without class names that are not the model's own.

    Packages of configs abbreviate some: one that no engine lists is not the repository's.
    """
    config = model.architecture or {}
    origin = model.provenance.get("architecture")
    classes = config.get("architectures")
    packaged = origin is not None and origin.source == PACKAGED
    if not packaged or not isinstance(classes, (list, tuple)) or listed_anywhere(tuple(classes)):
        return config
    return {key: value for key, value in config.items() if key != "architectures"}


def _counted(model: Model) -> bool:
    """Whether a source counted the parameters: the 8B in a name or a recipe is rounded."""
    origin = model.provenance.get("parameters")
    return origin is None or origin.source in COUNTED


def _with_context(shape: ModelShape, context_tokens: int | None) -> ModelShape:
    """The catalog's context if the architecture does not state the trained context."""
    if shape.architecture.context_tokens or not context_tokens:
        return shape
    architecture = replace(shape.architecture, context_tokens=context_tokens)
    return replace(shape, architecture=architecture)


def _config_for(config: Mapping[str, Any], variant: Variant) -> Mapping[str, Any]:
    """The bundled config, without its own quantization if this variant has another one; with that
    of the publisher, where it is known.
    """
    own = canonical(quantization_method(stated_quantization(config)))
    quantization = canonical(variant.quantization)
    if quantization == "FP8" and own != quantization and _FP8_BLOCKS.match(variant.repo):
        return {**_unquantized(config), "quantization_config": _BLOCKS}
    if own is None or quantization is None or own == quantization:
        return config
    return _unquantized(config)


def _unquantized(config: Mapping[str, Any]) -> Mapping[str, Any]:
    stripped = {key: value for key, value in config.items() if key != "quantization_config"}
    inner = stripped.get("text_config")
    if isinstance(inner, Mapping) and "quantization_config" in inner:
        stripped["text_config"] = {k: v for k, v in inner.items() if k != "quantization_config"}
    return stripped


def stated_quantization(config: Mapping[str, Any]) -> Any:
    """The ``quantization_config`` of a config.json, also of its text model; None without one."""
    for holder in (config, config.get("text_config") or {}):
        if isinstance(holder, Mapping) and holder.get("quantization_config"):
            return holder["quantization_config"]
    return None
