"""The answers of commands and of HTTP: a resolved reference, a model with its versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelscan.registry.resolve import ChosenBy, ResolvedVersion, effective_license
from modelscan.registry.types import (
    ModelVersion,
    RegistryEvent,
    RegistryModel,
    VersionState,
    WeightsFile,
)


@dataclass(frozen=True, slots=True)
class RegistryResolved:
    """What a reference means: where the weights are, and what they need. None: unknown.

    ``sha256`` are the checksums of the files, by path; ``min_vram_bytes`` is for one request of
    ``context_tokens``.
    """

    slug: str
    version: str
    state: VersionState
    chosen_by: ChosenBy
    weights_url: str | None
    revision: str | None
    format: str | None
    quantization: str | None
    license: str | None
    sha256: Mapping[str, str]
    files: tuple[WeightsFile, ...]
    size_bytes: int | None
    min_vram_bytes: int | None
    context_tokens: int | None
    tags: tuple[str, ...]
    aliases: tuple[str, ...]
    digest: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryModelShown(RegistryModel):
    """A model with its versions, the newest first."""

    versions: tuple[ModelVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryModelList:
    """The models that fit a query; ``next_cursor``: of the page after it, None at the end."""

    models: tuple[RegistryModel, ...]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryRemoved:
    """The names of what was deleted."""

    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegistryHistory:
    """What happened to a model, the newest first."""

    slug: str
    events: tuple[RegistryEvent, ...]


@dataclass(frozen=True, slots=True)
class RegistryTransferred:
    """Models and versions that were written or read; ``unchanged`` were there already."""

    file: str
    models: int
    versions: int
    unchanged: int = 0
    sha256: str | None = None


def resolved_answer(found: ResolvedVersion) -> RegistryResolved:
    """A resolved reference as it is answered."""
    version, model = found.version, found.model
    return RegistryResolved(
        slug=model.slug,
        version=version.version,
        state=version.state,
        chosen_by=found.chosen_by,
        weights_url=version.weights_url,
        revision=version.revision,
        format=version.format,
        quantization=version.quantization,
        license=effective_license(found),
        sha256=version.sha256,
        files=version.files,
        size_bytes=version.size_bytes,
        min_vram_bytes=version.min_vram_bytes,
        context_tokens=version.context_tokens,
        tags=version.tags,
        aliases=tuple(name for name, number in model.aliases.items() if number == version.version),
        digest=f"sha256:{version.digest}",
        etag=version.etag,
    )
