"""GPUStack's two catalogue files out of its wheel."""

from __future__ import annotations

from modelscan.catalog.records import GPUSTACK as SOURCE
from modelscan.catalog.records import SourceSnapshot
from modelscan.catalog.sources.gpustack_parse import parse_catalog
from scripts.catalogs_packages import GPUSTACK, members

_FILES = {"model-catalog.yaml": "huggingface", "model-catalog-modelscope.yaml": "modelscope"}


def snapshot() -> SourceSnapshot:
    """The sets of both files; a set that both name gives two records."""
    files = members(GPUSTACK, inside="gpustack/assets/model-catalog", suffix=".yaml")
    records = [
        record
        for path, data in files
        for record in parse_catalog(data, flavour=_FILES[path.rpartition("/")[2]])
    ]
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=GPUSTACK.published,
        records=tuple(records),
        origin=GPUSTACK.origin,
        licence=GPUSTACK.licence,
    )
