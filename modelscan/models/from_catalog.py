"""A catalog name as a ResolvedModel: every known variant of the model with its shape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.plan import Candidate, Publisher, ResolvedModel
from modelscan.formats.gguf_naming import labels_four_bit_floats
from modelscan.formats.quantization import bits_per_weight, canonical, means
from modelscan.formats.quantization_config import quantization_method
from modelscan.memory.architecture.from_config import from_config as architecture_from_config
from modelscan.memory.quantization_mix import dynamic_range
from modelscan.models.catalog_shape import own_config, shape_of, stated_quantization
from modelscan.models.expected_variants import FOUR_BIT_FLOATS, unconfirmed, with_expected
from modelscan.models.online_formats import missing_formats
from modelscan.models.quantization_quality import quality
from modelscan.models.siblings import sibling_of

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.model import Model, Variant
    from modelscan.core.workload import Workload
    from modelscan.state.config import Config

ENGINE_FORMATS = ("safetensors", "gguf")
_SIMILAR = 3
# Lower bound by parameters: prediction layers are counted but not loaded (2 % of DeepSeek-R1);
# small models may count a tied embedding twice (a fifth of Qwen3-0.6B).
_FLOOR_SHARE, _SMALL_FLOOR_SHARE, _SMALL_PARAMETERS = 0.97, 0.75, 10**10
_SIXTEEN = 16.0  # bits per weight
# Publishers of quantizations, best first, for models whose makers publish none: those with many
# models and documented methods.
_PUBLISHERS = (
    "redhatai", "neuralmagic", "nvidia", "amd", "intel", "ggml-org", "unsloth", "bartowski",
    "lmstudio-community", "hugging-quants", "mradermacher",
)  # fmt: skip
# Those whose cards state the scores of each quantization next to the original's.
_EVALUATORS = ("redhatai", "neuralmagic", "nvidia")


def from_name(text: str, config: Config, workload: Workload) -> ResolvedModel:
    """Resolve a catalog name. Raises UsageError (exit 2) for unknown or ambiguous ones."""
    from modelscan.catalog.search.lookup import find_noted

    model, notes = find_noted(text, config.paths)
    resolved = from_model(model, config, workload, ask=True)
    return replace(resolved, warnings=(*resolved.warnings, *notes)) if notes else resolved


def from_model(
    model: Model, config: Config, workload: Workload, *, ask: bool = False
) -> ResolvedModel:
    """Every variant of a catalog model that an engine here can load.

    ``ask``: online, a hub is queried for unknown file lists and an unknown config.json.
    """
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
    from modelscan.models.hub_facts import header_of, searched, with_hub_facts
    from modelscan.models.hub_header import shape_of_header

    notes: tuple[str, ...] = ()
    if ask and not config.offline:
        from modelscan.models.ask_hub import ask as ask_hub

        four_bits = canonical(original_format(model)) in FOUR_BIT_FLOATS
        wish = _gguf_wish(model, workload.quantization)
        notes = ask_hub(model, config, four_bits=four_bits, quantization=wish)
    model = with_hub_facts(model, config.paths)
    original = original_format(model)
    source = workload.source or config.source
    variants = _from_source(model.variants, source, explicit=workload.source is not None)
    labelled = [_labelled(variant, original) for variant in variants]
    if _stated_format(model):
        labelled = _one_format(labelled, original)
    labelled = list(with_expected(model, labelled, original))
    chosen = _best_of_each([v for v in labelled if v.format in ENGINE_FORMATS and v.quantization])
    sized = [
        v
        for v in chosen
        if v.weight_bytes or model.parameters or v.parameters or model.architecture
    ]
    read = functools.cache(lambda: architecture_from_config(own_config(model)))
    sibling = functools.cache(lambda: sibling_of(model, config.paths))

    def shape(variant: Variant) -> ModelShape:
        read_header = header_of(model, variant, config.paths)
        if read_header is not None and read_header.header is not None:
            return shape_of_header(read_header.header, read_header.path, variant)
        return shape_of(model, variant, read, sibling)

    return ResolvedModel(
        id=model.id,
        name=model.name,
        task=model.task or "chat",
        candidates=(
            *(
                _candidate(model, variant, original, shape, _publisher(variant, model.variants))
                for variant in sized
            ),
            *_online(model, sized, original, shape),
        ),
        model=model,
        notes=notes,
        unsearched=not any(v.format == "gguf" for v in variants)
        and not searched(model, config.paths),
        unlisted=_unlisted(labelled, chosen, workload.quantization),
        unsized=_repositories(v for v in chosen if v not in sized),
        other_formats=tuple(
            dict.fromkeys(v.format for v in labelled if v.format not in ENGINE_FORMATS)
        ),
    )


def _gguf_wish(model: Model, quantization: str | None) -> str | None:
    """The requested format, unless weights of another kind have it."""
    others = (v for v in model.variants if v.format != "gguf")
    if quantization is None or any(means(quantization, v.quantization, v.format) for v in others):
        return None
    return quantization


def _unlisted(
    variants: Sequence[Variant], chosen: Sequence[Variant], quantization: str | None
) -> tuple[str, ...]:
    """GGUF repositories that may have files in addition to ``chosen``.

    A repository with expected files counts only if they lack the requested format.
    """
    names = (v for v in variants if v.format == "gguf" and not v.quantization)
    unlisted = dict.fromkeys(v.repo for v in names)
    expected = unconfirmed(variants)
    if quantization and not any(means(quantization, v.quantization, v.format) for v in chosen):
        return tuple(dict.fromkeys((*unlisted, *expected)))
    return tuple(repo for repo in unlisted if repo not in expected)


def _repositories(variants: Iterable[Variant]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(variant.repo for variant in variants))


def _open_models_like(model: Model, config: Config) -> tuple[str, ...]:
    from modelscan.catalog.alternatives import open_alternatives

    return tuple(open_alternatives(model, config.paths, limit=_SIMILAR))


def _online(
    model: Model,
    variants: Sequence[Variant],
    original: str,
    shape: Callable[[Variant], ModelShape],
) -> Iterator[Candidate]:
    """The makers' 16-bit weights in formats that an engine makes while it loads them, unless they
    or a known publisher have such a format.
    """
    known = [v for v in variants if _publisher(v, model.variants) != "other"]
    if (bits_per_weight(original) or 0) < _SIXTEEN or model.task not in (None, "chat"):
        return
    wide = [
        v for v in known
        if v.format == "safetensors" and v.source != "local_path"
        and canonical(v.quantization) == canonical(original)
    ]  # fmt: skip
    for label in missing_formats(v.quantization for v in known) if wide else ():
        variant = replace(wide[0], quantization=label, weight_bytes=None)
        publisher = _publisher(variant, model.variants)
        made = _candidate(model, variant, original, shape, publisher)
        made.online = True
        yield made


def _candidate(
    model: Model,
    variant: Variant,
    original: str,
    shape: Callable[[Variant], ModelShape],
    publisher: Publisher,
) -> Candidate:
    """A variant whose shape is computed when the planner first reads it."""
    parameters = model.parameters or variant.parameters
    bits = bits_per_weight(variant.quantization)
    floor = variant.weight_bytes
    mixed = "expert_dtype" in (model.architecture or {})  # fewer bits than its label says
    if floor is None and parameters and bits and not mixed:
        share = _SMALL_FLOOR_SHARE if parameters < _SMALL_PARAMETERS else _FLOOR_SHARE
        low, *_ = dynamic_range(variant.quantization or "") or (1.0,)
        floor = int(share * low * parameters * bits / 8)
    format_quality = quality(variant.quantization, original)
    return Candidate(variant, lambda: shape(variant), format_quality, floor, publisher)


def original_format(model: Model) -> str:
    """The format the model was published in.

    Its own config states it (FP8, MXFP4); else that of its makers' main repository, if that
    contains nothing wider (Kimi-K2.6: INT4); else 16 bits.
    """
    return _stated_format(model) or _main_format(model.variants) or "BF16"


def _stated_format(model: Model) -> str | None:
    """The format in the model's own config; None if it has none or states no quantization."""
    if model.architecture is None:
        return None
    return canonical(quantization_method(stated_quantization(model.architecture)))


def _main_format(variants: Sequence[Variant]) -> str | None:
    """The widest format of the first repository; None if its name is that of a quantization."""
    main = variants[0].repo if variants else ""
    weights = [v for v in variants if v.repo == main and v.format == "safetensors"]
    names = [name for v in weights if (name := canonical(v.quantization))]
    if any(name.lower() in main.lower() for name in names):
        return None
    return max(names, key=lambda name: bits_per_weight(name) or 0.0, default=None)


def _labelled(variant: Variant, original: str) -> Variant:
    """Safetensors repositories without a quantization label are assumed to be in the original
    format; GGUF ones are not.
    """
    if variant.quantization or variant.format != "safetensors":
        return variant
    return replace(variant, quantization=original)


def _one_format(variants: Sequence[Variant], original: str) -> list[Variant]:
    """Without other labels of a repository's safetensors where one is the stated format."""
    published = {
        v.repo for v in variants
        if v.format == "safetensors" and canonical(v.quantization) == canonical(original)
    }  # fmt: skip
    return [
        v for v in variants
        if v.format != "safetensors" or v.repo not in published
        or canonical(v.quantization) == canonical(original)
    ]  # fmt: skip


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
    makers = _owner(listed[0]) if listed else ""
    best: dict[tuple[str, str | None], Variant] = {}
    for variant in listed:
        key = (variant.format, canonical(variant.quantization))
        current = best.get(key)
        if current is None or _standing(variant, makers) < _standing(current, makers):
            best[key] = variant
    return list(best.values())


def _owner(variant: Variant) -> str:
    return variant.repo.partition("/")[0].lower()


def _publisher(variant: Variant, variants: Sequence[Variant]) -> Publisher:
    """Who published a variant; the first repository is the makers'."""
    owner = _owner(variant)
    if owner == _owner(variants[0]) or variant.source == "local_path":
        return "maker"
    if owner in _EVALUATORS:
        return "evaluator"
    return "known" if owner in _PUBLISHERS else "other"


def _standing(variant: Variant, makers: str) -> tuple[bool, bool, bool, int, bool, bool, str]:
    owner = _owner(variant)
    rank = _PUBLISHERS.index(owner) if owner in _PUBLISHERS else len(_PUBLISHERS)
    dynamic = (variant.quantization or "").upper().startswith("UD-")
    expected = variant.listing == "expected"
    four_bits = canonical(variant.quantization) == "MXFP4"
    unnamed = expected and (
        not variant.files if not four_bits else not labels_four_bit_floats(variant.repo)
    )
    return (
        expected, unnamed, owner != makers, rank, dynamic, variant.weight_bytes is None,
        variant.repo,
    )  # fmt: skip
