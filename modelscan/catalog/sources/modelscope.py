"""ModelScope's repositories as records, and the most downloaded ones for ``catalog sync``."""

from __future__ import annotations

from dataclasses import replace

from modelscan.catalog.curated import curated
from modelscan.catalog.records import SourceRecord
from modelscan.catalog.sources.huggingface import nothing_listed
from modelscan.catalog.sources.huggingface import record as plain_record
from modelscan.hub.modelscope.client import ModelScope
from modelscan.hub.repo_info import RepoInfo

# Organisations that mirror other labs' repositories under the repository's own name.
MIRRORS = frozenset({
    "01ai", "ai-modelscope", "iic", "llm-research", "mirror013", "nv-community", "openai-mirror",
    "shanghai_ai_laboratory", "xorbits",
})  # fmt: skip


def popular(hub: ModelScope, limit: int) -> tuple[SourceRecord, ...]:
    """The most downloaded text models; raises RemoteError where the hub lists none."""
    infos = hub.search("", limit=limit, task="text-generation")
    if not infos:
        raise nothing_listed(hub.endpoint)
    return tuple({info.repo: record(info) for info in infos}.values())


def record(info: RepoInfo) -> SourceRecord:
    """A record that may be joined to another hub's model of the same name, where that is safe.

    Anyone may publish under a famous name: only labs, converters and mirrors keep the bare name,
    by which records are joined; everybody else's owner is part of it.
    """
    owner = info.repo.partition("/")[0].lower()
    known = curated()
    trusted = known.lab(owner) is not None or owner in known.converters or owner in MIRRORS
    made = plain_record(info)
    return made if trusted else replace(made, name=info.repo)
