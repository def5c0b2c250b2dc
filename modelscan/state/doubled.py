"""The migration that deletes measurements in which two runs were added up."""

from __future__ import annotations

import contextlib
import json
import sqlite3

from modelscan.core.measurement import Measurement
from modelscan.state.records import measurement_of

_SAME = 0.01  # two starts of one model with one context differ by less


def delete_doubled(connection: sqlite3.Connection) -> None:
    """Delete measurements in which releases up to 9fb7434 added the figures of the previous run.

    Every start of a deployment but its first was read from a log that still had the run before. It
    is kept where a first start of the same model, quantization and context measured the same;
    otherwise measurement and the figures in the deployment's row are deleted: unknown, not wrong.
    """
    sql = "SELECT deployment, started_at, document FROM measurements ORDER BY started_at"
    first: dict[str, Measurement] = {}
    later: list[Measurement] = []
    for _, _, text in connection.execute(sql).fetchall():
        row = _measurement(text)
        if row is None or row.backend == "ollama":  # Ollama's figures come from its own list
            continue
        if row.deployment in first:
            later.append(row)
        else:
            first[row.deployment] = row
    right = [(_subject(row), row.measured_bytes) for row in first.values()]
    for row in later:
        if any(_agrees(row, subject, size) for subject, size in right):
            continue
        key = (row.deployment, row.started_at)
        connection.execute("DELETE FROM measurements WHERE deployment = ? AND started_at = ?", key)
        _forget_measured(connection, row)


def _measurement(text: str) -> Measurement | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return measurement_of(document) if isinstance(document, dict) else None


def _subject(row: Measurement) -> tuple[object, ...]:
    return (row.model, row.backend, row.quantization, row.context_tokens)


def _agrees(row: Measurement, subject: tuple[object, ...], size: int) -> bool:
    return subject == _subject(row) and abs(row.measured_bytes - size) <= _SAME * size


def _forget_measured(connection: sqlite3.Connection, row: Measurement) -> None:
    """A running deployment's row would write its measurement again."""
    sql = "SELECT document FROM deployments WHERE name = ?"
    for (text,) in connection.execute(sql, (row.deployment,)).fetchall():
        with contextlib.suppress(ValueError):
            document = json.loads(text)
            if isinstance(document, dict) and document.get("started_at") == row.started_at:
                document["measured"] = None
                connection.execute(
                    "UPDATE deployments SET document = ? WHERE name = ?",
                    (json.dumps(document, ensure_ascii=False), row.deployment),
                )
