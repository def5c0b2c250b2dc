"""Losses of weight formats that this machine measured: stored by ``eval quant``, used by plans."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.core.plan import Candidate, QualityMeasurement, ResolvedModel
from modelscan.models.quantization_quality import quality_table
from modelscan.planner.quality import with_measurements
from modelscan.state.files import write_atomic

if TYPE_CHECKING:
    from modelscan.state.paths import Paths


def _folder(paths: Paths) -> Path:
    return paths.state / "quality"


def record_measurement(paths: Paths, measurement: QualityMeasurement) -> Path:
    """Store a measurement; it replaces that of the same model, formats and text."""
    one = measurement
    parts = (*one.models, one.reference, one.quantization, one.text_sha256)
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    path = _folder(paths) / f"{name}.json"
    write_atomic(path, json.dumps(to_json(one), indent=1))
    return path


def measurements_of(paths: Paths, *names: str) -> tuple[QualityMeasurement, ...]:
    """Those of a model by its ids and names, the newest first."""
    lower = {name.lower() for name in names}
    return tuple(
        one
        for one in _stored(_folder(paths), _stamp(_folder(paths)))
        if lower & {name.lower() for name in one.models}
    )


def _stamp(folder: Path) -> int:
    """Changes whenever a file is added to the folder or replaced; 0 without the folder."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=4)
def _stored(folder: Path, stamp: int) -> tuple[QualityMeasurement, ...]:
    if not stamp:
        return ()
    found = []
    for file in folder.glob("*.json"):
        try:
            found.append(from_json(QualityMeasurement, json.loads(file.read_text("utf-8"))))
        except (OSError, ValueError, NotReadable):
            continue  # a damaged file is no measurement
    return tuple(sorted(found, key=lambda one: one.measured_at, reverse=True))


def with_measured_quality(model: ResolvedModel, paths: Paths) -> ResolvedModel:
    """The model, its candidates with the losses that this machine measured of it."""
    from dataclasses import replace

    measurements = measurements_of(paths, model.id, model.name)
    if not measurements:
        return model
    return replace(
        model, candidates=tuple(_measured(one, measurements) for one in model.candidates)
    )


def _same_size(measured: int | None, planned: int | None) -> bool:
    """Whether two counts of parameters can be of one model: embeddings are counted or not."""
    if measured is None or planned is None:
        return True
    return 0.8 <= measured / planned <= 1.25 if planned else False


def _measured(candidate: Candidate, measurements: tuple[QualityMeasurement, ...]) -> Candidate:
    if candidate.quality is None:
        return candidate
    own = [one for one in measurements if _same_size(one.parameters, candidate.variant.parameters)]
    quality = with_measurements(
        candidate.quality, candidate.variant.quantization, own, quality_table()
    )
    if quality is candidate.quality:
        return candidate
    return Candidate(
        candidate.variant, lambda: candidate.shape, quality, candidate.floor_bytes,
        candidate.publisher, candidate.online,
    )  # fmt: skip
