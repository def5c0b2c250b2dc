"""ModelScope repositories as records, and the most downloaded ones for ``catalog sync``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.catalog.curated import curated
from modelscan.catalog.sources.huggingface import nothing_listed
from modelscan.catalog.sources.huggingface import record as plain_record

if TYPE_CHECKING:
    from modelscan.catalog.records import SourceRecord
    from modelscan.hub.modelscope.client import ModelScope
    from modelscan.hub.repo_info import RepoInfo

# Organizations that mirror other labs' repositories with the same repository name.
MIRRORS = frozenset({
    "01ai", "ai-modelscope", "iic", "llm-research", "mirror013", "nv-community", "openai-mirror",
    "shanghai_ai_laboratory", "xorbits",
})  # fmt: skip


def popular(hub: ModelScope, limit: int) -> tuple[SourceRecord, ...]:
    """The most downloaded text models. Raises RemoteError if the hub lists none."""
    infos = hub.search("", limit=limit, task="text-generation")
    if not infos:
        raise nothing_listed(hub.endpoint)
    return tuple({info.repo: record(info) for info in infos}.values())


def record(info: RepoInfo) -> SourceRecord:
    """A record that may be linked to another hub's model with the same name, if that is safe.

    Anyone can publish under a famous name: only labs, converters and mirrors keep the plain name
    that is used for linking; other records' names include the owner.
    """
    owner = info.repo.partition("/")[0].lower()
    curated_facts = curated()
    trusted = (
        curated_facts.lab(owner) is not None
        or owner in curated_facts.converters
        or owner in MIRRORS
    )
    repository_record = plain_record(info)
    return repository_record if trusted else replace(repository_record, name=info.repo)
