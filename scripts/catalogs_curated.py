"""The official repositories of ``catalogs/aliases.yaml`` that no package lists."""

from __future__ import annotations

from modelscan.catalog.curated import Curated, curated
from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.core.model import Variant
from modelscan.formats.repo_names import split_repo_name

SOURCE = "curated"
_COUNTS = ("parameters", "active_parameters")


def snapshot() -> SourceSnapshot:
    """One record per repository: that it exists; its format and sizes where known."""
    known = curated()
    listed = dict.fromkeys(known.known_repositories, "safetensors")
    named = (*known.known_formats, *known.known_parameters, *known.known_architectures)
    listed |= dict.fromkeys(named, "safetensors")
    listed |= dict.fromkeys(known.known_repositories_of_unknown_format, "unknown")
    records = [
        *(_record(repo, form, known) for repo, form in listed.items()),
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


def _record(repo: str, form: str, known: Curated) -> SourceRecord:
    counts = dict(zip(_COUNTS, known.known_parameters.get(repo, ()), strict=False))
    return SourceRecord(
        key=repo,
        kind="repository",
        name=repo.partition("/")[2],
        repos=(repo,),
        facts={"open_weights": True, **counts},
        architecture=known.known_architectures.get(repo),
        variants=(Variant(repo, form, known.known_formats.get(repo)),),
    )
