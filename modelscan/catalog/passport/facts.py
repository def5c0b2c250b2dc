"""A model's passport: license, lineage, gated state, exact parameters, files with their hashes.

Built from a hub (``from_hub``), from a local folder or file (``from_local``), or from the catalog
alone. Unknown fields are None; ``warnings`` name what could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelscan.core.foreign import mapping, strings, text, whole
from modelscan.core.json_reader import json_value
from modelscan.core.model import Model, WeightFile
from modelscan.core.sampling import Sampling
from modelscan.formats.files import describe, gguf_sets
from modelscan.hub.variants import packed, quantization_label

if TYPE_CHECKING:
    from modelscan.hub.repo_info import RepoInfo

_MODEL_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class AdapterPassport:
    """The facts in a PEFT adapter's ``adapter_config.json``."""

    type: str | None
    base_model: str | None
    rank: int | None = None
    target_modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passport:
    """A model's passport.

    ``safetensors``: dtype -> parameters; ``parameters_basis``: the source of their number;
    ``sampling``: the values that its makers recommend.
    """

    source: str  # huggingface | modelscope | local | catalog
    name: str
    id: str | None = None  # the catalog's id
    repo: str | None = None
    path: str | None = None
    commit: str | None = None
    url: str | None = None
    task: str | None = None
    library: str | None = None
    open_weights: bool | None = None
    license: str | None = None
    license_name: str | None = None
    license_url: str | None = None
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    base_model: str | None = None
    base_models: tuple[str, ...] = ()
    base_relation: str | None = None
    adapter: AdapterPassport | None = None
    adapters: tuple[str, ...] | None = None
    datasets: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    gated: bool | None = None
    gated_kind: str | None = None
    private: bool | None = None
    downloads: int | None = None
    created_at: str | None = None
    last_modified: str | None = None
    architecture: str | None = None
    context_tokens: int | None = None
    sampling: Sampling | None = None
    format: str | None = None
    quantizations: tuple[str, ...] = ()
    safetensors: Mapping[str, int] | None = None
    parameters: int | None = None
    parameters_basis: str | None = None  # headers | hub | gguf | catalog
    size_bytes: int | None = None
    files: tuple[WeightFile, ...] = ()
    alternatives: tuple[str, ...] = ()
    moved_bytes: int = 0
    warnings: tuple[str, ...] = field(default=())


def from_model(model: Model, *, alternatives: Sequence[str] = ()) -> Passport:
    """The catalog's facts, for models without accessible weights (or without a network)."""
    variant = model.variants[0] if model.variants else None
    return Passport(
        source="catalog",
        name=model.name,
        id=model.id,
        repo=model.repos[0] if model.repos else None,
        task=model.task,
        open_weights=model.open_weights,
        license=model.license,
        tags=model.tags,
        downloads=model.downloads,
        context_tokens=model.limits.context_tokens,
        gated=variant.gated if variant else None,
        format=variant.format if variant else None,
        quantizations=tuple(
            dict.fromkeys(v.quantization for v in model.variants if v.quantization)
        ),
        parameters=model.parameters,
        parameters_basis="catalog" if model.parameters else None,
        files=variant.files if variant else (),
        alternatives=tuple(alternatives),
    )


def from_info(info: RepoInfo) -> Passport:
    """The facts in a repository's description, on a hub or of a local folder."""
    kind = info.weight_format
    labels = [label for label, _ in gguf_sets(info.files) if label] if kind == "gguf" else []
    label = quantization_label(info)
    return Passport(
        source=info.source,
        name=info.repo.partition("/")[2],
        repo=info.repo,
        commit=info.commit,
        task=info.task,
        library=info.library,
        open_weights=True if info.files and not info.private else None,
        license=info.license,
        license_name=info.license_name,
        license_url=info.license_url,
        tags=info.tags,
        languages=info.languages,
        base_model=info.base_models[0] if info.base_models else None,
        base_models=info.base_models,
        base_relation=info.base_relation,
        datasets=info.datasets,
        spaces=info.spaces,
        gated=info.gated,
        gated_kind=info.gated_kind,
        private=info.private,
        downloads=info.downloads,
        created_at=info.created_at,
        last_modified=info.last_modified,
        architecture=info.architecture,
        context_tokens=info.context_tokens,
        format=kind,
        quantizations=tuple(dict.fromkeys(labels or ([label] if label else []))),
        safetensors=dict(info.parameters) or None,
        parameters=info.total_parameters,
        parameters_basis="hub" if info.total_parameters else None,
        size_bytes=_total_size(info.files) or info.size_bytes,
        files=info.files,
    )


def _total_size(files: Sequence[WeightFile]) -> int | None:
    sizes = [file.size_bytes for file in files if file.size_bytes is not None]
    return sum(sizes) if sizes and len(sizes) == len(files) else None


def with_card(info: RepoInfo, card: Mapping[str, Any]) -> RepoInfo:
    """Fill missing facts from the card's front matter."""
    return replace(
        info,
        license=info.license or text(card.get("license")),
        license_name=info.license_name or text(card.get("license_name")),
        license_url=info.license_url or text(card.get("license_link")),
        languages=info.languages or strings(card.get("language")),
        base_models=info.base_models or strings(card.get("base_model")),
        base_relation=info.base_relation or text(card.get("base_model_relation")),
        datasets=info.datasets or strings(card.get("datasets")),
        library=info.library or text(card.get("library_name")),
        task=info.task or text(card.get("pipeline_tag")),
        tags=info.tags or strings(card.get("tags")),
    )


def parse_adapter(body: bytes | None, base: str | None) -> AdapterPassport:
    """``adapter_config.json`` as an AdapterPassport; unreadable fields are None."""

    try:
        data = mapping(json_value(body)) if body else {}
    except ValueError:
        data = {}
    return AdapterPassport(
        type=text(data.get("peft_type")),
        base_model=base or text(data.get("base_model_name_or_path")),
        rank=whole(data.get("r")),
        target_modules=strings(data.get("target_modules")),
    )


def without_packed(passport: Passport, notes: list[str]) -> Passport:
    """Remove the parameter count if it counts containers of packed weights."""
    if not passport.safetensors or not packed(passport.safetensors):
        return passport
    notes.append("the weights are packed: the safetensors counts are of containers, not parameters")
    return replace(passport, parameters=None, parameters_basis=None)


def weight_files(files: Sequence[WeightFile]) -> list[str]:
    """The safetensors files of the model: its shards, else the other files in the top folder.

    Some repositories contain the same weights twice (``consolidated.safetensors``).
    """
    descriptions = [describe(file.path) for file in files if "/" not in file.path]
    roots = [file for file in descriptions if file.format == "safetensors"]
    return [f.path for f in roots if f.whole == _MODEL_FILE] or [f.path for f in roots]
