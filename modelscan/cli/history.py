"""``modelscan estimate MODEL --history``: estimates compared with measured memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.cli.context import current
from modelscan.cli.document import Document, Table
from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.core.measurement import Measurement
    from modelscan.deploy.history import History

_HEADER = ("DEPLOYMENT", "MODEL", "BACKEND", "ESTIMATED", "MEASURED", "ERROR", "WITHIN MARGIN")


def history_document(model: str) -> Document[History]:
    """Every start of MODEL whose engine reported its memory."""
    from modelscan.deploy.history import find_history

    answer = find_history(model, current().config)
    cells = [
        (
            row.deployment, row.model, row.backend, format_bytes(row.estimated_bytes),
            format_bytes(row.measured_bytes), f"{row.error_percent:+.2f} %", row.within_margin,
        )
        for row in answer.rows
    ]  # fmt: skip
    table = Table(
        _HEADER, cells, numeric=_HEADER[3:6], optional=("MODEL", "BACKEND"),
        empty=f"no deployment of {model} has been measured on this machine",
    )  # fmt: skip
    ids = [row.deployment for row in answer.rows]
    return Document("estimate.history", answer, [table], ids)


def measurements() -> tuple[Measurement, ...]:
    """The recorded measurements."""
    from modelscan.deploy.history import measurements as recorded

    return recorded(current().config)
