"""``modelscan estimate MODEL --history``: estimates beside what the engine really allocated."""

from __future__ import annotations

from modelscan.cli.context import current
from modelscan.cli.document import Document, Table
from modelscan.core.measurement import Measurement
from modelscan.core.units import format_bytes

_HEADER = ("DEPLOYMENT", "MODEL", "BACKEND", "ESTIMATED", "MEASURED", "ERROR", "WITHIN MARGIN")


def history_document(model: str) -> Document:
    """Every start of MODEL whose engine reported its memory."""
    found = [row for row in measurements() if _is_of(row, model)]
    rows = [_row(row) for row in found]
    cells = [
        (
            row.deployment, row.model, row.backend, _size(row.estimated_bytes),
            _size(row.measured_bytes), f"{100 * row.relative_error:+.2f} %", _within(row),
        )
        for row in found
    ]  # fmt: skip
    table = Table(
        _HEADER, cells, numeric=_HEADER[3:6],
        empty=f"no deployment of {model} has been measured here yet",
    )  # fmt: skip
    ids = [row.deployment for row in found]
    return Document("estimate.history", {"model": model, "rows": rows}, [table], ids)


def measurements() -> tuple[Measurement, ...]:
    """What the store remembers of earlier starts; nothing where there is no store yet."""
    from modelscan.state.store import Store

    file = current().config.paths.store_file
    if not file.is_file():
        return ()
    with Store.open(file) as store:
        return store.measurements()


def _is_of(row: Measurement, model: str) -> bool:
    """By deployment, by the model's id, or by its last part."""
    names = {row.deployment, row.model, row.model.rsplit("/", 1)[-1]}
    return model in names or model.rsplit("/", 1)[-1].removesuffix(".gguf") in names


def _row(row: Measurement) -> dict[str, object]:
    return {
        "deployment": row.deployment,
        "model": row.model,
        "backend": row.backend,
        "backend_version": row.backend_version,
        "quantization": row.quantization,
        "context_tokens": row.context_tokens,
        "estimated_bytes": row.estimated_bytes,
        "measured_bytes": row.measured_bytes,
        "error_bytes": row.error_bytes,
        "error_percent": 100 * row.relative_error,
        "margin_bytes": row.margin_bytes,
        "within_margin": _within(row),
        "created_at": row.started_at,
    }


def _within(row: Measurement) -> bool:
    return abs(row.error_bytes) <= (row.margin_bytes or 0)


def _size(value: int) -> str:
    return format_bytes(value)
