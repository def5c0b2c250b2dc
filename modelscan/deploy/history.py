"""Past estimates of a model and the memory that its engine reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.measurement import Measurement
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One start of an engine. ``error_bytes`` is measured minus estimated."""

    deployment: str
    model: str
    backend: str
    backend_version: str | None
    quantization: str | None
    context_tokens: int | None
    estimated_bytes: int
    measured_bytes: int
    error_bytes: int
    error_percent: float
    margin_bytes: int | None
    within_margin: bool
    created_at: str | None


@dataclass(frozen=True, slots=True)
class History:
    """Every start of ``model`` whose engine reported its memory."""

    model: str
    rows: tuple[HistoryRow, ...]


def find_history(model: str, config: Config) -> History:
    """The starts of a deployment, a model id, or the last part of a model id."""
    return History(model, tuple(_row(m) for m in measurements(config) if _is_of(m, model)))


def measurements(config: Config) -> tuple[Measurement, ...]:
    """The recorded measurements; empty where no store exists."""
    from modelscan.state.store import Store

    file = config.paths.store_file
    if not file.is_file():
        return ()
    with Store.open(file) as store:
        return store.measurements()


def _is_of(row: Measurement, model: str) -> bool:
    names = {row.deployment, row.model, row.model.rsplit("/", 1)[-1]}
    return model in names or model.rsplit("/", 1)[-1].removesuffix(".gguf") in names


def _row(row: Measurement) -> HistoryRow:
    return HistoryRow(
        deployment=row.deployment,
        model=row.model,
        backend=row.backend,
        backend_version=row.backend_version,
        quantization=row.quantization,
        context_tokens=row.context_tokens,
        estimated_bytes=row.estimated_bytes,
        measured_bytes=row.measured_bytes,
        error_bytes=row.error_bytes,
        error_percent=100 * row.relative_error,
        margin_bytes=row.margin_bytes,
        within_margin=abs(row.error_bytes) <= (row.margin_bytes or 0),
        created_at=row.started_at,
    )
