"""Parsers of Hugging Face's responses.

In ``tree``, the SHA-256 is ``lfs.oid`` (``oid`` is a git hash); ``gguf.total`` is the number of
parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.core.errors import RemoteError
from modelscan.core.foreign import flag, mapping, rows, strings, text, whole
from modelscan.core.model import WeightFile
from modelscan.formats.quantization_config import quantization_method
from modelscan.hub.repo_info import RepoInfo

_RELATION = re.compile(r"^base_model:(adapter|finetune|quantized|merge):(.+)$")


def parse_info(payload: Any) -> RepoInfo:
    """``GET /api/models/{id}``, or a row of a search. Raises RemoteError if it is neither."""
    data = mapping(payload)
    repo = text(data.get("id")) or text(data.get("modelId"))
    if repo is None:
        raise RemoteError("the hub sent something that is not a description of a repository")
    card, config = mapping(data.get("cardData")), mapping(data.get("config"))
    tags = strings(data.get("tags"))
    gguf, gated = mapping(data.get("gguf")), data.get("gated")
    counts = _counts(mapping(data.get("safetensors")).get("parameters"))
    base, relation = _base(card, tags)
    total = whole(mapping(data.get("safetensors")).get("total")) or sum(counts.values()) or None
    return RepoInfo(
        source="huggingface",
        repo=repo,
        commit=text(data.get("sha")),
        task=text(data.get("pipeline_tag")),
        library=text(data.get("library_name")) or text(card.get("library_name")),
        license=next(iter(strings(card.get("license"))), None) or _tagged(tags, "license:"),
        license_name=text(card.get("license_name")),
        license_url=text(card.get("license_link")),
        tags=tags,
        languages=strings(card.get("language")),
        base_models=base,
        base_relation=relation,
        datasets=strings(card.get("datasets")) or _all_tagged(tags, "dataset:"),
        spaces=strings(data.get("spaces")),
        gated=None if gated is None else bool(gated),
        gated_kind=text(gated),
        private=flag(data.get("private")),
        downloads=whole(data.get("downloads")),
        likes=whole(data.get("likes")),
        created_at=text(data.get("createdAt")),
        last_modified=text(data.get("lastModified")),
        parameters=counts,
        total_parameters=total or whole(gguf.get("total")),
        context_tokens=whole(gguf.get("context_length")) or None,
        architecture=text(gguf.get("architecture")) or text(config.get("model_type")),
        quantization=quantization_method(config.get("quantization_config")),
        files=parse_siblings(data.get("siblings")),
        size_bytes=whole(data.get("usedStorage")),
    )


def parse_search(payload: Any) -> list[RepoInfo]:
    """``GET /api/models``: a list of rows. Raises RemoteError if it is not a list."""
    if not isinstance(payload, list):
        raise RemoteError("the hub sent something that is not a list of models")
    return [parse_info(row) for row in rows(payload) if row.get("id") or row.get("modelId")]


def parse_siblings(payload: Any) -> tuple[WeightFile, ...]:
    """The files in a model's description; sizes and hashes only if requested with ``blobs``."""
    files = [
        WeightFile(str(row["rfilename"]), whole(row.get("size")), _sha(mapping(row.get("lfs"))))
        for row in rows(payload)
        if text(row.get("rfilename"))
    ]
    return tuple(sorted(files, key=lambda f: f.path))


def parse_tree(payload: Any) -> tuple[WeightFile, ...]:
    """``GET …/tree``: only files; the hash is ``lfs.oid``, never ``oid``.

    Raises RemoteError if it is not a list.
    """
    if not isinstance(payload, list):
        raise RemoteError("the hub sent something that is not a list of files")
    return tuple(
        WeightFile(str(row["path"]), whole(row.get("size")), _sha(mapping(row.get("lfs"))))
        for row in rows(payload)
        if row.get("type") == "file" and text(row.get("path"))
    )


def _sha(lfs: Mapping[str, Any]) -> str | None:
    value = text(lfs.get("sha256")) or text(lfs.get("oid"))
    value = value.removeprefix("sha256:") if value else None
    return value.lower() if value and re.fullmatch(r"[0-9a-fA-F]{64}", value) else None


def _counts(value: Any) -> dict[str, int]:
    counts = {str(k): whole(v) for k, v in mapping(value).items()}
    return {dtype: count for dtype, count in sorted(counts.items()) if count}


def _tagged(tags: tuple[str, ...], prefix: str) -> str | None:
    return next(iter(_all_tagged(tags, prefix)), None)


def _all_tagged(tags: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return tuple(tag[len(prefix) :] for tag in tags if tag.startswith(prefix))


def _base(card: Mapping[str, Any], tags: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """Base models, and the relation to them (from the hub's own tags)."""
    matches = [match for tag in tags if (match := _RELATION.match(tag))]
    relation = text(card.get("base_model_relation")) or (matches[0][1] if matches else None)
    base_models = strings(card.get("base_model")) or tuple(dict.fromkeys(m[2] for m in matches))
    return base_models, relation
