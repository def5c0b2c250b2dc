"""A catalog name as a ResolvedModel: every known variant of the model with its shape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.plan import Candidate, ResolvedModel
from modelscan.formats.quantization import bits_per_weight, canonical
from modelscan.formats.quantization_config import quantization_method
from modelscan.memory.architecture.from_config import from_config as architecture_from_config
from modelscan.memory.shape import from_config
from modelscan.models.quantization_quality import quality

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.core.model import Model, Variant
    from modelscan.core.workload import Workload
    from modelscan.state.config import Config

COUNTED = ("user", "huggingface", "modelscope", "llmfit")  # sources of parameters
ENGINE_FORMATS = ("safetensors", "gguf")
_SIMILAR = 3
# Lower bound by parameters: prediction layers are counted but not loaded (2 % of DeepSeek-R1);
# small models may count a tied embedding twice (a fifth of Qwen3-0.6B).
_FLOOR_SHARE, _SMALL_FLOOR_SHARE, _SMALL_PARAMETERS = 0.97, 0.75, 10**10
# Publishers of quantizations, best first, for models whose makers publish none: those with many
# models and documented methods. Only breaks ties between equal formats.
_PUBLISHERS = ("redhatai", "nvidia", "unsloth", "bartowski", "ggml-org", "lmstudio-community")


def from_name(text: str, config: Config, workload: Workload) -> ResolvedModel:
    """Resolve a catalog name. Raises UsageError (exit 2) for unknown or ambiguous ones."""
    from modelscan.catalog.search.lookup import find_noted

    model, notes = find_noted(text, config.paths)
    resolved = from_model(model, config, workload)
    return replace(resolved, warnings=(*resolved.warnings, *notes)) if notes else resolved


def from_model(model: Model, config: Config, workload: Workload) -> ResolvedModel:
    """Every variant of a catalog model that an engine here can load."""
    if any(
        v.source == "local_path" for v in model.variants
    ):  # bundled with modelscan, or added by a user
        from modelscan.models.from_local import from_path

        place = next(v.repo for v in model.variants if v.source == "local_path")
        return replace(from_path(place, workload, name=model.id), model=model)
    if model.open_weights is False and not model.variants:
        return ResolvedModel(
            id=model.id, name=model.name, task=model.task or "chat", candidates=(), model=model,
            closed=True, alternatives=_open_models_like(model, config),
        )  # fmt: skip
    original = _original(model)
    source = workload.source or config.source
    variants = _from_source(model.variants, source, explicit=workload.source is not None)
    labelled = [_labelled(variant, original) for variant in variants]
    chosen = _best_of_each([v for v in labelled if v.format in ENGINE_FORMATS and v.quantization])
    sized = [
        v
        for v in chosen
        if v.weight_bytes or model.parameters or v.parameters or model.architecture
    ]
    read = functools.cache(lambda: architecture_from_config(model.architecture or {}))
    return ResolvedModel(
        id=model.id,
        name=model.name,
        task=model.task or "chat",
        candidates=tuple(_candidate(model, variant, original, read) for variant in sized),
        model=model,
        warnings=tuple(_warnings(labelled, chosen)),
        unlisted=_repositories(v for v in labelled if v.format == "gguf" and not v.quantization),
        unsized=_repositories(v for v in chosen if v not in sized),
        other_formats=tuple(
            dict.fromkeys(v.format for v in labelled if v.format not in ENGINE_FORMATS)
        ),
    )


def _repositories(variants: Iterable[Variant]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(variant.repo for variant in variants))


def _open_models_like(model: Model, config: Config) -> tuple[str, ...]:
    from modelscan.catalog.alternatives import open_alternatives

    return tuple(open_alternatives(model, config.paths, limit=_SIMILAR))


def _candidate(
    model: Model, variant: Variant, original: str, read: Callable[[], Architecture]
) -> Candidate:
    """A variant whose shape is computed when the planner first reads it."""
    parameters = model.parameters or variant.parameters
    bits = bits_per_weight(variant.quantization)
    floor = variant.weight_bytes
    if floor is None and parameters and bits:
        share = _SMALL_FLOOR_SHARE if parameters < _SMALL_PARAMETERS else _FLOOR_SHARE
        floor = int(share * parameters * bits / 8)
    format_quality = quality(variant.quantization, original)
    return Candidate(variant, lambda: shape_of(model, variant, read), format_quality, floor)


def _original(model: Model) -> str:
    """The format the model was published in.

    Its own config states it (FP8, MXFP4); else that of its makers' main repository, if that
    contains nothing wider (Kimi-K2.6: INT4); else 16 bits.
    """
    method = None
    if model.architecture is not None:
        method = quantization_method(_quantization_config(model.architecture))
    return canonical(method) or _main_format(model.variants) or "BF16"


def _main_format(variants: Sequence[Variant]) -> str | None:
    """The widest format of the first repository; None if its name is that of a quantization."""
    main = variants[0].repo if variants else ""
    weights = [v for v in variants if v.repo == main and v.format == "safetensors"]
    names = [name for v in weights if (name := canonical(v.quantization))]
    if any(name.lower() in main.lower() for name in names):
        return None
    return max(names, key=lambda name: bits_per_weight(name) or 0.0, default=None)


def _quantization_config(config: Mapping[str, Any]) -> Any:
    for holder in (config, config.get("text_config") or {}):
        if isinstance(holder, Mapping) and holder.get("quantization_config"):
            return holder["quantization_config"]
    return None


def _labelled(variant: Variant, original: str) -> Variant:
    """Safetensors repositories without a quantization label are assumed to be in the original
    format; GGUF ones are not.
    """
    if variant.quantization or variant.format != "safetensors":
        return variant
    return replace(variant, quantization=original)


def _from_source(
    variants: tuple[Variant, ...], source: str, *, explicit: bool
) -> tuple[Variant, ...]:
    """The variants of one hub; ModelScope's mirrors under their own names."""
    if source == "modelscope":
        mirrors = tuple(
            replace(v, source="modelscope", repo=v.modelscope_repo or v.repo)
            for v in variants
            if v.modelscope_repo or v.source == "modelscope"
        )
        return mirrors or (() if explicit else variants)
    own = tuple(v for v in variants if v.source == source or v.source == "local_path")
    return own or (() if explicit else variants)


def _best_of_each(variants: Iterable[Variant]) -> list[Variant]:
    """One variant per format and quantization: the makers' own, else a known publisher's."""
    listed = list(variants)
    makers = listed[0].repo.partition("/")[0].lower() if listed else ""
    best: dict[tuple[str, str | None], Variant] = {}
    for variant in listed:
        key = (variant.format, canonical(variant.quantization))
        current = best.get(key)
        if current is None or _standing(variant, makers) < _standing(current, makers):
            best[key] = variant
    return list(best.values())


def _standing(variant: Variant, makers: str) -> tuple[bool, int, bool, bool, str]:
    owner = variant.repo.partition("/")[0].lower()
    rank = _PUBLISHERS.index(owner) if owner in _PUBLISHERS else len(_PUBLISHERS)
    dynamic = (variant.quantization or "").upper().startswith("UD-")
    return (owner != makers, rank, dynamic, variant.weight_bytes is None, variant.repo)


def shape_of(
    model: Model, variant: Variant, read: Callable[[], Architecture] | None = None
) -> ModelShape:
    """The shape of one variant: from its architecture if known, else from the parameter count.

    ``read`` returns the architecture of the model's own config, which variants share.
    """
    if model.architecture is not None:
        try:
            config = _config_for(model.architecture, variant)
            shape = from_config(
                config,
                quantization=canonical(variant.quantization),
                weight_bytes=variant.weight_bytes,
                parameters=model.parameters if _counted(model) else None,
                format=variant.format,
                architecture=read() if read and config is model.architecture else None,
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
        quantization=canonical(variant.quantization),
        weight_bytes=variant.weight_bytes,
    )


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
    """The bundled config, without its own quantization if this variant has another one."""
    own = canonical(quantization_method(_quantization_config(config)))
    quantization = canonical(variant.quantization)
    if own is None or quantization is None or own == quantization:
        return config
    stripped = {key: value for key, value in config.items() if key != "quantization_config"}
    inner = stripped.get("text_config")
    if isinstance(inner, Mapping) and "quantization_config" in inner:
        stripped["text_config"] = {k: v for k, v in inner.items() if k != "quantization_config"}
    return stripped


def _warnings(variants: list[Variant], chosen: list[Variant]) -> Iterable[str]:
    unlisted = [v.repo for v in variants if v.format == "gguf" and not v.quantization]
    if unlisted and not any(variant.format == "gguf" for variant in chosen):
        yield (
            f"{unlisted[0]} has GGUF files, but their names are not known offline: "
            f"modelscan plan hf:{unlisted[0]}"
        )
