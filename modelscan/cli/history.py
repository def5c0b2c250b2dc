"""``modelscan estimate MODEL --history``: estimates beside what the engine really allocated."""

from __future__ import annotations

from modelscan.cli.context import current
from modelscan.cli.document import Document, Table
from modelscan.core.deployment import Deployment
from modelscan.core.units import format_bytes

_HEADER = ("DEPLOYMENT", "MODEL", "BACKEND", "ESTIMATED", "MEASURED", "ERROR", "WITHIN MARGIN")


def history_document(model: str) -> Document:
    """Every deployment of MODEL whose engine reported its memory."""
    from modelscan.state.store import Store

    store_file = current().config.paths.store_file
    found: tuple[Deployment, ...] = ()
    if store_file.is_file():
        with Store.open(store_file) as store:
            found = store.all()
    rows = [row for item in found if _is_of(item, model) for row in _rows(item)]
    cells = [
        (
            row["deployment"], row["model"], row["backend"], _size(row["estimated_bytes"]),
            _size(row["measured_bytes"]), f"{row['error_percent']:+.2f} %", row["within_margin"],
        )
        for row in rows
    ]  # fmt: skip
    table = Table(
        _HEADER, cells, numeric=_HEADER[3:6],
        empty=f"no deployment of {model} has been measured here yet",
    )  # fmt: skip
    ids = [str(row["deployment"]) for row in rows]
    return Document("estimate.history", {"model": model, "rows": rows}, [table], ids)


def _is_of(deployment: Deployment, model: str) -> bool:
    """By name, by what the model is called, or by the file it was loaded from."""
    plan = deployment.plan or {}
    names = {deployment.name, deployment.model, str(plan.get("repo"))}
    return model in names or deployment.model.rsplit("/", 1)[-1] == model.rsplit("/", 1)[-1]


def _rows(deployment: Deployment) -> list[dict[str, object]]:
    estimate = (deployment.plan or {}).get("estimate") or {}
    measured = (deployment.measured or {}).get("total_bytes")
    estimated = estimate.get("total_bytes")
    if not estimated or not measured:
        return []
    error = int(estimated) - int(measured)
    return [
        {
            "deployment": deployment.name,
            "model": deployment.model,
            "backend": deployment.backend,
            "backend_version": estimate.get("backend_version"),
            "quantization": deployment.quantization,
            "context_tokens": deployment.context_tokens,
            "estimated_bytes": int(estimated),
            "measured_bytes": int(measured),
            "error_bytes": error,
            "error_percent": 100.0 * error / int(measured),
            "margin_bytes": estimate.get("margin_bytes"),
            "within_margin": abs(error) <= int(estimate.get("margin_bytes") or 0),
            "created_at": deployment.created_at,
        }
    ]


def _size(value: object) -> str:
    return format_bytes(value if isinstance(value, int) else None)
