"""Releases up to 9fb7434 added the figures of two runs: such measurements are deleted."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.deployments import make

from modelscan.core.deployment import Measured
from modelscan.core.jsonform import to_json
from modelscan.core.measurement import Measurement
from modelscan.state.doubled import delete_doubled
from modelscan.state.records import to_document
from modelscan.state.store import MIGRATIONS, Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "modelscan.sqlite3"


def start(name: str, minute: int, measured: int, **changes: Any) -> Measurement:
    values = {"backend": "llama.cpp", "context_tokens": 1024, **changes}
    return Measurement(
        deployment=name, started_at=f"2026-01-01T00:{minute:02}:00.000Z", model="m",
        backend_version=None, quantization="Q8_0", estimated_bytes=1000, measured_bytes=measured,
        margin_bytes=0, **values,
    )  # fmt: skip


def before_the_migration(file: Path, rows: list[Measurement]) -> None:
    Store.open(file).close()
    with sqlite3.connect(file) as connection:
        for row in rows:
            values = (row.deployment, row.started_at, json.dumps(to_json(row)))
            connection.execute("INSERT INTO measurements VALUES (?, ?, ?)", values)
        before = MIGRATIONS.steps.index(delete_doubled)
        connection.execute("DROP TABLE speeds")  # of a later step
        connection.execute("UPDATE rooms SET version = ? WHERE name = 'deployments'", (before,))
    connection.close()


def kept(file: Path) -> list[tuple[str, int]]:
    with Store.open(file) as store:
        return [(row.deployment, row.measured_bytes) for row in store.measurements()]


def test_doubled_rows_go_and_right_ones_stay(file: Path) -> None:
    rows = [
        start("a", 0, 1000), start("a", 1, 1700), start("a", 2, 1005),  # the third: removed between
        start("b", 3, 1002), start("b", 4, 2900, context_tokens=4096),  # with --force
        start("o", 5, 10, backend="ollama"), start("o", 6, 20, backend="ollama"),
    ]  # fmt: skip
    before_the_migration(file, rows)
    assert kept(file) == [("a", 1000), ("a", 1005), ("b", 1002), ("o", 10), ("o", 20)]


def test_the_row_of_a_running_deployment_does_not_bring_it_back(file: Path) -> None:
    wrong = start("a", 1, 1700)
    before_the_migration(file, [start("a", 0, 1000), wrong])
    running = make("a", started_at=wrong.started_at, measured=Measured(total_bytes=1700))
    with sqlite3.connect(file) as connection:
        values = ("a", "local", "running", None, "", "", json.dumps(to_document(running)))
        connection.execute("INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    connection.close()
    with Store.open(file) as store:
        row = store.get("a")
        assert row is not None and row.measured is None
        store.put(row)
    assert kept(file) == [("a", 1000)]
