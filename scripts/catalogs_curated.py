"""The official repositories of ``catalogs/aliases.yaml`` that no package lists."""

from __future__ import annotations

from modelscan.catalog.curated import curated
from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.core.model import Variant
from modelscan.formats.repo_names import split_repo_name

SOURCE = "curated"


def snapshot() -> SourceSnapshot:
    """One record per repository: that it exists, and the format of its files where known."""
    known = curated()
    listed = dict.fromkeys(known.known_repositories, "safetensors")
    listed |= dict.fromkeys(known.known_repositories_of_unknown_format, "unknown")
    listed |= dict.fromkeys(known.known_formats, "safetensors")
    records = [
        *(_record(repo, form, known.known_formats.get(repo)) for repo, form in listed.items()),
        *(_conversion(*item) for item in known.known_conversions.items()),
    ]
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=known.reviewed,
        records=tuple(sorted(records, key=lambda record: record.key)),
        origin="catalogs/aliases.yaml",
        licence="Apache-2.0",
    )


def _conversion(repo: str, base: str) -> SourceRecord:
    name = repo.partition("/")[2]
    split = split_repo_name(name)
    variant = Variant(repo, split.format or "safetensors", split.quantization)
    return SourceRecord(
        key=repo, kind="repository", name=name, repos=(repo,), base=base, variants=(variant,)
    )


def _record(repo: str, form: str, quantization: str | None) -> SourceRecord:
    return SourceRecord(
        key=repo,
        kind="repository",
        name=repo.partition("/")[2],
        repos=(repo,),
        facts={"open_weights": True},
        variants=(Variant(repo, form, quantization),),
    )
