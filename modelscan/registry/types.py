"""The registry's records: what a model and a version are, and what is searched for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelscan.core.adapter import AdapterFacts

Visibility = Literal["private", "public"]
VersionState = Literal["draft", "published", "deprecated"]
ModelOrder = Literal["slug", "updated", "created"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryModelFacts:
    """What a person states about a model; None: unknown.

    ``slug`` is its name, ``license`` an SPDX id, ``base`` the model it was made from,
    ``context_tokens`` the context that it was trained for. ``visibility``: public models are also
    in the hub's view.
    """

    slug: str
    name: str | None = None
    family: str | None = None
    license: str | None = None
    modalities: tuple[str, ...] | None = None
    description: str | None = None
    visibility: Visibility = "private"
    base: str | None = None
    context_tokens: int | None = None
    parameters: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryModel(RegistryModelFacts):
    """A stored model. ``tags`` are those of its versions that are not deprecated.

    ``latest_version``: the newest published one that is not deprecated; ``min_vram_bytes``: the
    least of the versions that are not deprecated. Times are RFC 3339.
    """

    tags: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    latest_version: str | None = None
    version_count: int = 0
    min_vram_bytes: int | None = None
    created_at: str = ""
    created_by: str = ""
    updated_at: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """A file of a version; ``path`` is relative to the weights."""

    path: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a version comes from. ``base`` is ``SLUG@VERSION``; None: unknown or not made here.

    ``base_model``: MODEL, where the base is no version of the registry. ``tokenizer_kept`` and
    ``template_kept``: whether they are those of the base. ``adapter_facts``: of a LoRA adapter.
    """

    base: str | None = None
    method: str | None = None
    run: str | None = None
    dataset_digest: str | None = None
    adapter: bool | None = None
    tokenizer_kept: bool | None = None
    template_kept: bool | None = None
    base_model: str | None = None
    base_revision: str | None = None
    run_digest: str | None = None
    adapter_facts: AdapterFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryVersionFacts:
    """What a version is; None: unknown. Nothing of it changes once it is published.

    ``weights_url``: the repository, folder or file with the weights, never the weights themselves.
    ``min_vram_bytes``: what one request of ``context_tokens`` needs, by the estimator.
    """

    weights_url: str | None = None
    revision: str | None = None
    format: str | None = None
    quantization: str | None = None
    license: str | None = None
    files: tuple[WeightsFile, ...] = ()
    size_bytes: int | None = None
    min_vram_bytes: int | None = None
    context_tokens: int | None = None
    lineage: Lineage | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMark:
    """A tag of a version: who set it, and when (RFC 3339)."""

    tag: str
    by: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(RegistryVersionFacts):
    """A stored version. ``version`` counts up: "1", "2", …; ``digest`` identifies the content."""

    slug: str
    version: str
    state: VersionState = "draft"
    digest: str = ""
    tags: tuple[str, ...] = ()
    tagged: tuple[TagMark, ...] = ()
    created_at: str = ""
    created_by: str = ""
    updated_at: str = ""
    published_at: str | None = None
    etag: str = ""

    @property
    def name(self) -> str:
        """``SLUG@VERSION``."""
        return f"{self.slug}@{self.version}"

    @property
    def sha256(self) -> dict[str, str]:
        """The checksums of the files that have one, by path."""
        return {one.path: one.sha256 for one in self.files if one.sha256 is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFilter:
    """What models are searched for. A bound never matches an unknown value.

    One version that is not deprecated must have all ``tags`` and the VRAM; every word of ``text``
    must begin a word of the model's slug, name, family, base or description.
    """

    tags: tuple[str, ...] = ()
    license: str | None = None
    family: str | None = None
    modalities: tuple[str, ...] = ()
    max_vram_bytes: int | None = None
    min_context_tokens: int | None = None
    text: str | None = None
    visibility: Visibility | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryPage:
    """Models in order; ``next_cursor`` gives the page after it, None at the end."""

    items: tuple[RegistryModel, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RegistryEvent:
    """Something that happened to a model. ``at`` is RFC 3339."""

    id: int
    at: str
    actor: str
    event: str
    slug: str | None
    version: str | None
    etag: str | None
    data: Mapping[str, Any]
