"""The bundled quality measurements, read once per process."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from modelscan.planner.quality import QualityTable, parse_quality, quality_of
from modelscan.state.bundled import bundled_dir

if TYPE_CHECKING:
    from modelscan.core.plan import Quality


@functools.cache
def quality_table() -> QualityTable:
    """``catalogs/quality.tsv``, parsed."""
    return parse_quality((bundled_dir() / "quality.tsv").read_text(encoding="utf-8"))


def quality(quantization: str | None, original: str | None = None) -> Quality:
    """The quality of a format, ``original`` being the one the model was published in."""
    return quality_of(quantization, quality_table(), original=original)
