"""Hugging Face repositories as records, and the most downloaded ones for ``catalog sync``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelscan.catalog.records import SourceRecord
from modelscan.core.errors import RemoteError
from modelscan.formats.repo_names import short, split_repo_name
from modelscan.hub.variants import packed, task_of, variants
from modelscan.net.address import public

if TYPE_CHECKING:
    from modelscan.hub.huggingface.client import HuggingFace
    from modelscan.hub.repo_info import RepoInfo


def popular(hub: HuggingFace, limit: int) -> tuple[SourceRecord, ...]:
    """The most downloaded text models. Raises RemoteError if the hub lists none."""
    infos = hub.most_downloaded(limit)
    if not infos:
        raise nothing_listed(hub.endpoint)
    return tuple(record(info) for info in infos)


def nothing_listed(endpoint: str) -> RemoteError:
    """The error for an empty listing, which must not replace the last good one."""
    return RemoteError(f"{public(endpoint)} lists no models", hint="modelscan config show")


def record(info: RepoInfo) -> SourceRecord:
    """A ``repository`` record: the hub's facts, and its weights as variants."""
    facts: dict[str, Any] = {
        "license": info.license,
        "task": task_of(info.task, info.repo),
        "open_weights": None if info.private else True,
        "downloads": info.downloads,
        "parameters": info.total_parameters,
        "limits.context_tokens": info.context_tokens,
        "tags": _plain_tags(info.tags),
    }
    if split_repo_name(short(info.repo)).derived or packed(info.parameters):
        facts.pop("parameters")  # it counts containers
    return SourceRecord(
        key=info.repo,
        kind="repository",
        name=short(info.repo),
        repos=(info.repo,) if info.source == "huggingface" else (),
        base=info.base_models[0] if len(info.base_models) == 1 else None,
        relation=_relation(info),
        facts={name: value for name, value in facts.items() if value not in (None, ())},
        variants=variants(info),
    )


def _relation(info: RepoInfo) -> str | None:
    """The relation to the base; several bases that are not quantized are merged."""
    several = len(info.base_models) > 1 and info.base_relation != "quantized"
    return "merge" if several else info.base_relation


def _plain_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """The tags that are plain words, without those that repeat another fact (``license:mit``)."""
    return tuple(dict.fromkeys(tag for tag in tags if ":" not in tag))[:24]
