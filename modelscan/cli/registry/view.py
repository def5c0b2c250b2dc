"""Models and versions of the registry as people read them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.units import format_bytes, format_count, format_tokens

if TYPE_CHECKING:
    from modelscan.registry.answers import (
        RegistryHistory,
        RegistryModelList,
        RegistryModelShown,
        RegistryResolved,
    )
    from modelscan.registry.types import Lineage, ModelVersion

_CHOSEN = {
    "version": "the version",
    "alias": "the alias",
    "digest": "the digest",
    "champion": "the alias champion",
    "newest_published": "the newest published version",
    "newest_draft": "the newest draft: no version is published",
}


def model_document(
    model: RegistryModelShown, warnings: Sequence[str] = (), notes: Sequence[str] = ()
) -> Document[Any]:
    """A model with its versions."""
    aliases = ", ".join(f"{name} = {number}" for name, number in model.aliases.items())
    pairs: list[tuple[str, object]] = [
        ("slug", model.slug),
        ("name", model.name),
        ("family", model.family),
        ("license", model.license),
        ("modalities", ", ".join(model.modalities or ()) or None),
        ("base", model.base),
        ("context", format_tokens(model.context_tokens)),
        ("parameters", format_count(model.parameters)),
        ("visibility", model.visibility),
        ("tags", ", ".join(model.tags) or None),
        ("aliases", aliases or None),
        ("description", model.description),
        ("created", f"{model.created_at} by {model.created_by}"),
        ("etag", model.etag),
    ]
    blocks: list[Block] = [Fields(pairs), versions_table(model.versions)]
    blocks += [Note(text) for text in notes]
    return Document("registry.model", model, blocks, [model.slug], list(warnings))


def publishing_notes(model: RegistryModelShown) -> list[str]:
    """What a public model's local weights need to be published: nothing is uploaded here."""
    if model.visibility != "public":
        return []
    local = [one for one in model.versions if (one.weights_url or "").startswith("file:")]
    if not local:
        return []
    place = unquote(urlsplit(local[0].weights_url or "").path)
    name = model.slug.rpartition("/")[2]
    line = shlex.join(["hf", "upload", f"YOUR-NAME/{name}", place])
    return [f"nothing was uploaded: the files stay on this machine; to publish them: {line}"]


def versions_table(versions: Sequence[ModelVersion]) -> Table:
    """Versions, the newest first."""
    rows = [
        (
            one.name, one.state, one.quantization, _bytes(one.size_bytes), _memory(one),
            ",".join(one.tags) or None,
        )
        for one in versions
    ]  # fmt: skip
    return Table(
        ("VERSION", "STATE", "FORMAT", "SIZE", "MEMORY", "TAGS"), rows,
        numeric=("SIZE",), optional=("SIZE",), empty="it has no version",
    )  # fmt: skip


def version_document(
    version: ModelVersion, warnings: Sequence[str] = (), notes: Sequence[str] = ()
) -> Document[Any]:
    """One version."""
    lineage = version.lineage
    pairs: list[tuple[str, object]] = [
        ("version", version.name),
        ("state", version.state),
        ("weights", version.weights_url),
        ("revision", version.revision),
        ("format", version.format),
        ("quantization", version.quantization),
        ("license", version.license),
        ("size", _bytes(version.size_bytes)),
        ("memory", _memory(version)),
        ("files", _files(version)),
        *([] if lineage is None else _lineage(lineage)),
        ("tags", ", ".join(f"{one.tag} ({one.by})" for one in version.tagged) or None),
        ("digest", f"sha256:{version.digest}"),
        ("created", f"{version.created_at} by {version.created_by}"),
        ("etag", version.etag),
    ]
    blocks: list[Block] = [Fields(pairs), *(Note(text) for text in notes)]
    return Document("registry.version", version, blocks, [version.name], list(warnings))


def _lineage(lineage: Lineage) -> list[tuple[str, object]]:
    """Where a version comes from: base, method, run, data, and what it kept of the base."""
    facts = lineage.adapter_facts
    base = lineage.base or lineage.base_model
    if base is not None and lineage.base_revision is not None:
        base = f"{base}, revision {lineage.base_revision}"
    kept = [("tokenizer", lineage.tokenizer_kept), ("template", lineage.template_kept)]
    said = [f"{name} {'as' if same else 'not as'} the base's" for name, same in kept
            if same is not None]  # fmt: skip
    digests = (("run record", lineage.run_digest), ("dataset", lineage.dataset_digest))
    return [
        ("base", base),
        ("method", lineage.method),
        ("run", lineage.run),
        *((name, None if value is None else f"sha256:{value}") for name, value in digests),
        ("adapter", None if facts is None else f"rank {facts.max_rank}, {facts.format}"),
        ("kept", ", ".join(said) or None),
    ]


def list_document(answer: RegistryModelList) -> Document[Any]:
    """A page of models."""
    rows = [
        (
            one.slug, one.family, one.license, format_tokens(one.context_tokens),
            _bytes(one.min_vram_bytes), one.latest_version, ",".join(one.tags) or None,
        )
        for one in answer.models
    ]  # fmt: skip
    table = Table(
        ("SLUG", "FAMILY", "LICENSE", "CONTEXT", "MEMORY", "VERSION", "TAGS"), rows,
        numeric=("CONTEXT", "MEMORY", "VERSION"), optional=("CONTEXT", "LICENSE", "FAMILY"),
        empty="no model fits; add one: modelscan registry add SLUG --from MODEL",
    )  # fmt: skip
    blocks: list[Block] = [table]
    if answer.next_cursor is not None:
        shown = f"{len(answer.models)} of {answer.total:,}"
        blocks.append(Note(f"{shown}; the next ones: --cursor {answer.next_cursor}"))
    return Document("registry.list", answer, blocks, [one.slug for one in answer.models])


def resolve_document(answer: RegistryResolved) -> Document[Any]:
    """What a reference means."""
    pairs: list[tuple[str, object]] = [
        ("version", f"{answer.slug}@{answer.version}"),
        ("state", answer.state),
        ("chosen", _CHOSEN[answer.chosen_by]),
        ("weights", answer.weights_url),
        ("revision", answer.revision),
        ("quantization", answer.quantization),
        ("license", answer.license),
        ("memory", _memory(answer)),
        ("tags", ", ".join(answer.tags) or None),
        ("digest", answer.digest),
    ]
    name = f"{answer.slug}@{answer.version}"
    return Document("registry.resolve", answer, [Fields(pairs)], [name], _resolve_notes(answer))


def history_document(answer: RegistryHistory) -> Document[Any]:
    """What happened to a model."""
    rows = [(one.id, one.at, one.event, one.version, one.actor, _detail(one.data))
            for one in answer.events]  # fmt: skip
    table = Table(
        ("ID", "TIME", "EVENT", "VERSION", "BY", "DETAIL"), rows,
        optional=("ID", "DETAIL"), empty="nothing is recorded of it",
    )  # fmt: skip
    return Document("registry.history", answer, [table], [str(one.id) for one in answer.events])


def _resolve_notes(answer: RegistryResolved) -> list[str]:
    if answer.state == "deprecated":
        return [f"{answer.slug}@{answer.version} is deprecated"]
    if answer.state == "draft":
        return [f"{answer.slug}@{answer.version} is a draft, which may change"]
    return []


def _detail(data: Any) -> str | None:
    parts = [f"{name} {value}" for name, value in data.items() if isinstance(value, str)]
    parts += [", ".join(value) for value in data.values() if isinstance(value, list)]
    return "; ".join(parts) or None


def _bytes(value: int | None) -> str | None:
    return None if value is None else format_bytes(value)


def _memory(version: ModelVersion | RegistryResolved) -> str | None:
    if version.min_vram_bytes is None:
        return None
    at = "" if version.context_tokens is None else f" at {format_tokens(version.context_tokens)}"
    return f"{format_bytes(version.min_vram_bytes)}{at}"


def _files(version: ModelVersion) -> str | None:
    if not version.files:
        return None
    hashed = len(version.sha256)
    return f"{len(version.files)}, {hashed} with a checksum"
