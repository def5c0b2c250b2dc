"""A model's passport: licence, lineage, gated state, exact parameters, files with their hashes.

Made from a hub (headers only, by range requests: less than 1 MiB is moved), from a local folder or
file (``passport_local``), or from the catalog alone. Unknown stays None; what could not be had is
said in ``warnings``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.core.architecture import Tensor
from modelscan.core.errors import ModelscanError
from modelscan.core.model import Model, WeightFile
from modelscan.core.reference import Kind, Reference
from modelscan.core.units import KIB
from modelscan.formats.safetensors import BadHeader, parameters_by_dtype, read_header
from modelscan.hub.card import parse_card
from modelscan.hub.repo_info import (
    RepoInfo,
    gguf_groups,
    mapping,
    packed,
    quantization_label,
    strings,
    text,
    whole,
)
from modelscan.hub.repository import Hub, RemoteFile

HEADER_BUDGET_BYTES = 768 * KIB
_SHARD = re.compile(r"^model(?:-\d{5}-of-\d{5})?\.safetensors$")


@dataclass(frozen=True, slots=True)
class Adapter:
    """What ``adapter_config.json`` says of a PEFT adapter."""

    type: str | None
    base_model: str | None
    rank: int | None = None
    target_modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passport:
    """``safetensors``: dtype -> parameters; ``parameters_basis`` says who counted them."""

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
    adapter: Adapter | None = None
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


def from_hub(hub: Hub, ref: Reference) -> Passport:
    """The passport of a repository; raises what the hub raises for the repository itself."""
    before = hub.http.received_bytes
    info = hub.repo_info(ref)
    notes: list[str] = []
    if not info.files_complete:
        notes.append(f"the hub lists only a part of the files of {ref.value}")
    if ref.kind is Kind.MODELSCOPE:
        info = _with_card(info, hub, ref, notes)
    adapter = _adapter(hub, ref, info, notes)
    made = replace(
        _from_info(info),
        url=hub.page_url(ref),
        adapter=adapter,
        adapters=None if adapter else _adapters(hub, ref, notes),
    )
    made = without_packed(replace(made, **_counted(hub, ref, info, notes)), notes)
    if adapter and adapter.base_model and not made.base_models:
        made = replace(made, base_model=adapter.base_model, base_relation="adapter")
    return replace(made, moved_bytes=hub.http.received_bytes - before, warnings=tuple(notes))


def from_model(model: Model, *, alternatives: Sequence[str] = ()) -> Passport:
    """What the catalog knows, for models without weights to look at (or without a network)."""
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


def _from_info(info: RepoInfo) -> Passport:
    kind = info.weight_format
    labels = [label for label, _ in gguf_groups(info.files)] if kind == "gguf" else []
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
    """Fill what the hub does not state from the card's front matter."""
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


def _with_card(info: RepoInfo, hub: Hub, ref: Reference, notes: list[str]) -> RepoInfo:
    if not any(file.path == "README.md" for file in info.files):
        return info
    readme = _tried(notes, "the model card", lambda: hub.fetch_optional(ref, "README.md"))
    return with_card(info, parse_card(readme)) if readme else info


def _adapter(hub: Hub, ref: Reference, info: RepoInfo, notes: list[str]) -> Adapter | None:
    """What kind of adapter the repository is; None where it is none."""
    named = any(file.path == "adapter_config.json" for file in info.files)
    if not named and info.base_relation != "adapter":
        return None
    base = info.base_models[0] if info.base_models else None
    body = None
    if named:
        body = _tried(
            notes, "adapter_config.json", lambda: hub.fetch_optional(ref, "adapter_config.json")
        )
    return parse_adapter(body, base)


def parse_adapter(body: bytes | None, base: str | None) -> Adapter:
    """``adapter_config.json`` as an Adapter; what cannot be read stays unknown."""
    import json

    try:
        data = mapping(json.loads(body)) if body else {}
    except (ValueError, RecursionError):
        data = {}
    return Adapter(
        type=text(data.get("peft_type")),
        base_model=base or text(data.get("base_model_name_or_path")),
        rank=whole(data.get("r")),
        target_modules=strings(data.get("target_modules")),
    )


def _adapters(hub: Hub, ref: Reference, notes: list[str]) -> tuple[str, ...] | None:
    if ref.kind is not Kind.HUGGINGFACE:
        return None  # ModelScope has no such question
    found = _tried(notes, "the list of adapters", lambda: hub.huggingface.adapters_of(ref.value))
    return None if found is None else tuple(info.repo for info in found)


def _counted(hub: Hub, ref: Reference, info: RepoInfo, notes: list[str]) -> dict[str, Any]:
    """Parameters by dtype from the headers, where they can be read within the budget."""
    files = weight_files(info.files)
    counts = None
    if files:
        counts = _tried(notes, "the safetensors headers", lambda: _headers(hub, ref, files))
    if counts is None:
        return {}
    total = sum(counts.values())
    if info.parameters and dict(info.parameters) != counts:
        stated = sum(info.parameters.values())
        notes.append(f"the hub counts {stated} parameters, the files' headers {total}")
    return {"safetensors": counts, "parameters": total, "parameters_basis": "headers"}


def without_packed(made: Passport, notes: list[str]) -> Passport:
    """A number of containers is no number of parameters."""
    if not made.safetensors or not packed(made.safetensors):
        return made
    notes.append("the weights are packed: the safetensors counts are of containers, not parameters")
    return replace(made, parameters=None, parameters_basis=None)


def weight_files(files: Sequence[WeightFile]) -> list[str]:
    """The safetensors files that make up the model: its shards, else the other root files.

    Some repositories carry the same weights twice (``consolidated.safetensors``).
    """
    roots = [f.path for f in files if f.path.endswith(".safetensors") and "/" not in f.path]
    return [path for path in roots if _SHARD.match(path)] or roots


def _headers(hub: Hub, ref: Reference, paths: Sequence[str]) -> dict[str, int] | None:
    """None when the headers together are larger than the budget."""
    first = 64 * KIB if len(paths) <= 4 else 16 * KIB
    left = HEADER_BUDGET_BYTES
    tensors: list[Tensor] = []
    for path in paths:
        if left < first:
            return None
        remote = _Bounded(hub.open_file(ref, path), left)
        try:
            tensors.extend(read_header(remote.read, first_bytes=first).tensors)
        except _BudgetSpentError:
            return None
        left -= remote.moved_bytes
    return parameters_by_dtype(tensors)


class _BudgetSpentError(BadHeader):
    """The headers are larger than what a passport may move."""


class _Bounded:
    """Reads exactly what is asked, until the budget is spent."""

    def __init__(self, remote: RemoteFile, budget_bytes: int) -> None:
        self._remote = remote
        self._budget_bytes = budget_bytes
        self.moved_bytes = 0

    def read(self, offset: int, size: int) -> bytes:
        if self.moved_bytes + size > self._budget_bytes:
            raise _BudgetSpentError("the headers are larger than the budget")
        part = self._remote.hub.fetch_range(self._remote.ref, self._remote.path, offset, size)
        self.moved_bytes += len(part)
        return part


def _tried(notes: list[str], what: str, call: Any) -> Any:
    """A part of a passport that may fail alone: None and a sentence instead of an error."""
    try:
        return call()
    except ModelscanError as error:
        notes.append(f"{what} could not be read: {error.message}")
        return None
