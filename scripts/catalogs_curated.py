"""The official repositories of ``catalogs/aliases.yaml`` that no package lists."""

from __future__ import annotations

from modelscan.catalog.curated import curated
from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.core.model import Variant

SOURCE = "curated"


def snapshot() -> SourceSnapshot:
    """One record per repository: that it exists, and the format of its files where known."""
    known = curated()
    listed = dict.fromkeys(known.known_repositories, "safetensors")
    listed |= dict.fromkeys(known.known_repositories_of_unknown_format, "unknown")
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=known.reviewed,
        records=tuple(_record(repo, form) for repo, form in sorted(listed.items())),
        origin="catalogs/aliases.yaml",
        licence="Apache-2.0",
    )


def _conversion(repo: str, base: str) -> SourceRecord:
    return SourceRecord(
        key=repo,
        kind="repository",
        name=repo.partition("/")[2],
        repos=(repo,),
        base=base,
        variants=(Variant(repo, "gguf", None),),
    )


def _record(repo: str, form: str) -> SourceRecord:
    return SourceRecord(
        key=repo,
        kind="repository",
        name=repo.partition("/")[2],
        repos=(repo,),
        facts={"open_weights": True},
        variants=(Variant(repo, form, None),),
    )
